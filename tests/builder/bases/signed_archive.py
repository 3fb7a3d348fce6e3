"""A real Debian archive: packages in a pool, indexes signed by a key made for it, served over HTTP."""

import functools
import hashlib
import http.server
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from email.utils import formatdate
from pathlib import Path
from typing import Any

from debian.deb822 import Deb822

from builder.layers.deb import read_deb


@dataclass(frozen=True)
class SignedArchive:
    root: Path
    url: str
    keyring: Path
    gnupg: Path

    def publish(self, suite: str, debs: Sequence[Path], depends: Mapping[str, str] | None = None) -> None:
        """Make `debs` the content of a suite. `depends` is what the index says of a package besides."""
        stanzas = []
        for deb in debs:
            pooled = self.root / "pool" / deb.name
            pooled.parent.mkdir(exist_ok=True)
            shutil.copy(deb, pooled)
            with tempfile.TemporaryDirectory() as scratch:
                control = Deb822(read_deb(deb, Path(scratch)).control)
            if depends and control["Package"] in depends:
                control["Depends"] = depends[control["Package"]]
            control["Filename"] = f"pool/{deb.name}"
            control["Size"] = str(deb.stat().st_size)
            control["SHA256"] = hashlib.sha256(deb.read_bytes()).hexdigest()
            control["Description"] = "made for a test"
            stanzas.append(control.dump())
        self._sign(suite, "\n".join(stanzas).encode())

    def _sign(self, suite: str, packages: bytes) -> None:
        directory = self.root / "dists" / suite
        index = directory / "main" / "binary-amd64" / "Packages"
        index.parent.mkdir(parents=True, exist_ok=True)
        index.write_bytes(packages)
        digest = hashlib.sha256(packages).hexdigest()
        release = (
            f"Suite: {suite}\nCodename: {suite}\nArchitectures: amd64\nComponents: main\nDate: {formatdate()}\n"
            f"SHA256:\n {digest} {len(packages)} main/binary-amd64/Packages\n"
        )
        signed = self._gpg("--clearsign", "--output", "-", input=release.encode())
        (directory / "InRelease").write_bytes(signed)

    def make_key(self) -> None:
        self._gpg("--passphrase", "", "--quick-generate-key", "archive", "ed25519", "sign", "never")
        self.keyring.write_bytes(self._gpg("--export"))

    def _gpg(self, *arguments: str, **options: Any) -> bytes:
        command = ["gpg", "--homedir", str(self.gnupg), "--batch", "--yes", *arguments]
        return subprocess.run(command, check=True, capture_output=True, **options).stdout


class _Handler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def serve_archive() -> Iterator[SignedArchive]:
    """An archive without suites. Everybody may read its files, so that apt can be run as anybody."""
    with tempfile.TemporaryDirectory(prefix="archive-") as directory:  # gpg's sockets want a short path
        root, gnupg = Path(directory) / "archive", Path(directory) / "gnupg"
        Path(directory).chmod(0o755)
        root.mkdir()
        gnupg.mkdir(0o700)
        handler = functools.partial(_Handler, directory=root)
        with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
            thread = threading.Thread(target=server.serve_forever, args=(0.02,))
            thread.start()
            archive = SignedArchive(
                root, f"http://127.0.0.1:{server.server_port}", Path(directory) / "keyring.gpg", gnupg
            )
            try:
                archive.make_key()
                yield archive
            finally:
                subprocess.run(["gpgconf", "--homedir", str(gnupg), "--kill", "all"], check=True)
                server.shutdown()
                thread.join()
