"""Real wheels made on the spot, and a package index on a local port that serves them (PEP 691, byte ranges)."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import tarfile
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

from packaging.utils import canonicalize_name, parse_sdist_filename, parse_wheel_filename


def make_wheel(
    directory: Path,
    name: str,
    version: str = "1.0",
    *,
    requires: Sequence[str] = (),
    extras: Sequence[str] = (),
    headers: Sequence[str] = (),
    tag: str = "py3-none-any",
    files: Mapping[str, bytes] | None = None,
    says: str | None = None,
) -> Path:
    """A wheel with one module. `says` is the name in its METADATA where that is to be another one."""
    module = canonicalize_name(name).replace("-", "_")
    info = f"{module}-{version}.dist-info"
    metadata = [
        "Metadata-Version: 2.4",
        f"Name: {says or name}",
        f"Version: {version}",
        *(f"Provides-Extra: {extra}" for extra in extras),
        *(f"Requires-Dist: {line}" for line in requires),
        *headers,
    ]
    contents = {f"{module}/__init__.py": b"", **(files or {})}
    contents[f"{info}/METADATA"] = ("\n".join(metadata) + "\n").encode()
    contents[f"{info}/WHEEL"] = (
        f"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: {tag}\n".encode()
    )
    record = [f"{path},sha256={_record_hash(data)},{len(data)}" for path, data in contents.items()]
    contents[f"{info}/RECORD"] = "\n".join([*record, f"{info}/RECORD,,", ""]).encode()
    path = directory / f"{module}-{version}-{tag}.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for member, data in contents.items():
            archive.writestr(zipfile.ZipInfo(member), data)
    return path


def make_sdist(directory: Path, name: str, files: Mapping[str, str], version: str = "1.0") -> Path:
    """A source distribution of these files."""
    module = canonicalize_name(name).replace("-", "_")
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
    path = directory / f"{module}-{version}.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        for member, text in {"PKG-INFO": metadata, **files}.items():
            entry = tarfile.TarInfo(f"{module}-{version}/{member}")
            entry.size = len(text.encode())
            archive.addfile(entry, io.BytesIO(text.encode()))
    return path


def _record_hash(data: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).decode().rstrip("=")


@dataclass
class Index:
    """A running index. By file name, `uploaded` has other times than the usual one ("" for none), `yanked` what
    is withdrawn, and why. `statuses` are those of the next answers, before any true one. `log` holds each
    request's path and how many bytes of body it was answered with."""

    files: Path
    port: int = 0
    login: tuple[str, str] | None = None
    ranges: bool = True
    altered: bytes | None = None
    uploaded: dict[str, str] = field(default_factory=dict)
    yanked: dict[str, bool | str] = field(default_factory=dict)
    statuses: list[int] = field(default_factory=list)
    log: list[tuple[str, int]] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/simple"

    @property
    def url_with_login(self) -> str:
        assert self.login is not None
        return self.url.replace("http://", f"http://{self.login[0]}:{self.login[1]}@")

    def file_url(self, name: str) -> str:
        return f"http://127.0.0.1:{self.port}/files/{name}"

    def bytes_of(self, suffix: str) -> int:
        """How many bytes were sent for paths that end in `suffix`."""
        return sum(size for path, size in self.log if path.endswith(suffix))


@contextmanager
def serve_index(files: Path, login: tuple[str, str] | None = None) -> Iterator[Index]:
    """Serve the wheels in `files` until the block ends."""
    index = Index(files, login=login)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None:
            pass

        def do_GET(self) -> None:
            if index.statuses:
                self._answer(index.statuses.pop(0), b"")
            elif index.login is not None and self.headers.get("Authorization") != _basic(index.login):
                self._answer(401, b"", {"WWW-Authenticate": 'Basic realm="index"'})
            elif self.path.startswith("/simple/"):
                self._project(self.path.removeprefix("/simple/").strip("/"))
            else:
                self._file(index.files / self.path.rpartition("/")[2])

        do_HEAD = do_GET  # noqa: N815 - the name is the base class's

        def _project(self, name: str) -> None:
            found = [path for path in sorted(index.files.iterdir()) if _name_of(path) == name]
            if not found:
                self._answer(404, b"")
                return
            entries = [_entry(index, path) for path in found]
            body = {"meta": {"api-version": "1.1"}, "name": name, "files": entries, "versions": []}
            self._answer(200, json.dumps(body).encode(), {"Content-Type": "application/vnd.pypi.simple.v1+json"})

        def _file(self, path: Path) -> None:
            if not path.is_file():
                self._answer(404, b"")
                return
            data = path.read_bytes() if index.altered is None else index.altered
            wanted = self.headers.get("Range", "")
            if not index.ranges or not wanted.startswith("bytes="):
                self._answer(200, data)
                return
            first, _, last = wanted.removeprefix("bytes=").partition("-")
            start = int(first) if first else max(0, len(data) - int(last))
            end = min(int(last) + 1, len(data)) if first and last else len(data)
            self._answer(206, data[start:end], {"Content-Range": f"bytes {start}-{end - 1}/{len(data)}"})

        def _answer(self, status: int, body: bytes, headers: Mapping[str, str] | None = None) -> None:
            sent = b"" if self.command == "HEAD" else body
            index.log.append((self.path, len(sent)))
            self.send_response(status)
            for key, value in (headers or {}).items():
                self.send_header(key, value)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Accept-Ranges", "bytes" if index.ranges else "none")
            self.end_headers()
            self.wfile.write(sent)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    index.port = server.server_address[1]
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield index
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _entry(index: Index, path: Path) -> dict[str, object]:
    entry: dict[str, object] = {
        "filename": path.name,
        "url": index.file_url(path.name),
        "hashes": {"sha256": hashlib.sha256(path.read_bytes()).hexdigest()},
        "size": path.stat().st_size,
        "yanked": index.yanked.get(path.name, False),
    }
    uploaded = index.uploaded.get(path.name, "2026-01-02T03:04:05Z")
    return {**entry, "upload-time": uploaded} if uploaded else entry


def _name_of(path: Path) -> str:
    if path.suffix == ".whl":
        return parse_wheel_filename(path.name)[0]
    return parse_sdist_filename(path.name)[0]


def _basic(login: tuple[str, str]) -> str:
    return "Basic " + base64.b64encode(":".join(login).encode()).decode()
