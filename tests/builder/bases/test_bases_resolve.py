"""What apt is asked, and what is made of its answers."""

import functools
import http.server
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from builder.bases.resolve import ResolvedDeb, dependencies, resolve
from builder.bases.security import security_versions
from compliance.errors import Unavailable

KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
needs_apt = pytest.mark.skipif(
    shutil.which("apt-get") is None or not Path(KEYRING).is_file(), reason="only apt can resolve Debian packages"
)


class Handler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[str]:
    """The address of an archive that holds one package and is signed by nobody."""
    suite = tmp_path / "archive" / "dists" / "stable"
    (suite / "main" / "binary-amd64").mkdir(parents=True)
    (suite / "main" / "binary-amd64" / "Packages").write_text(
        "Package: tiny\nVersion: 1\nArchitecture: amd64\nFilename: pool/tiny.deb\nSize: 1\n"
        f"SHA256: {'0' * 64}\nDescription: tiny\n\n"
    )
    (suite / "Release").write_text("Suite: stable\nCodename: stable\nArchitectures: amd64\nComponents: main\n")
    handler = functools.partial(Handler, directory=tmp_path / "archive")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def deb(name: str, *depends: tuple[str, ...], provides: tuple[str, ...] = ()) -> ResolvedDeb:
    return ResolvedDeb(
        name=name,
        version="1",
        architecture="amd64",
        source=name,
        source_version="1",
        archive="debian",
        path=f"pool/{name}.deb",
        size=1,
        sha256="0" * 64,
        depends=depends,
        provides=provides,
    )


def test_dependencies_are_packages_of_the_base_by_name_or_by_what_they_provide() -> None:
    mail = deb("exim", provides=("mail-agent",))
    package = deb("cron", ("libc6",), ("mail-agent", "postfix"), ("left-out",), ("cron",))
    assert dependencies(package, [package, mail, deb("libc6"), deb("other")]) == ("exim", "libc6")


def test_versions_for_security_are_read_from_the_suites_that_are_named_for_it() -> None:
    offers = (
        " libc6 | 2.41-12+deb13u4 | http://deb.example/debian trixie/main amd64 Packages\n"
        " libc6 | 2.41-12+deb13u2 | http://deb.example/debian-security trixie-security/main amd64 Packages\n"
        " libc6 | 2.41-12+deb13u10 | http://deb.example/debian-security trixie-security/main amd64 Packages\n"
        " zlib1g | 1:1.3-1 | http://deb.example/debian-security trixie/main amd64 Packages\n"
    )
    assert security_versions(offers) == {"libc6": "2.41-12+deb13u10"}


@needs_apt
def test_an_archive_that_nobody_signed_is_not_believed(archive: str, make_recipe: Any) -> None:
    recipe = make_recipe(
        keyring=KEYRING,
        archives=[{"name": "debian", "mirror": archive, "snapshot": archive, "suites": ["stable"]}],
        packages=["tiny"],
    )
    with pytest.raises(Unavailable, match="is not signed"):
        resolve(recipe, "amd64")


@needs_apt
@pytest.mark.acceptance  # apt asks four times, with longer and longer breaks
def test_an_archive_that_does_not_answer_is_unavailable(make_recipe: Any) -> None:
    nowhere = "http://127.0.0.1:9"
    recipe = make_recipe(
        keyring=KEYRING,
        archives=[{"name": "debian", "mirror": nowhere, "snapshot": nowhere, "suites": ["stable"]}],
    )
    with pytest.raises(Unavailable, match="the Debian archives cannot be read"):
        resolve(recipe, "amd64")


@needs_apt
def test_without_its_keyring_nothing_is_asked(make_recipe: Any) -> None:
    with pytest.raises(Unavailable, match=r"the keyring /nowhere/keys\.gpg is missing"):
        resolve(make_recipe(keyring="/nowhere/keys.gpg"), "amd64")
