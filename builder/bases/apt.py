"""apt with directories of its own, on the archives of a recipe. It needs no root, and changes nothing here."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from debian.deb822 import Deb822

from builder.errors import BuilderError
from compliance.base_files import Recipe
from compliance.errors import Unavailable

_TIMEOUT: Final = 600  # seconds for one apt command; reading the indexes of a slow mirror included
_OF_NO_CONCERN: Final = (
    "Depends",
    "Pre-Depends",
    "Recommends",
    "Suggests",
    "Enhances",
    "Conffiles",
    "Description",
)


@contextmanager
def open_apt(recipe: Recipe, architecture: str) -> Iterator[Apt]:
    """apt that has read the signed indexes of the recipe's archives."""
    if shutil.which("apt-get") is None:
        raise Unavailable(
            "apt-get is not installed, and only apt can say which Debian packages belong together",
            remedy="Lock on Debian or Ubuntu, or in a container of one; building what is locked needs no apt.",
        )
    if not Path(recipe.keyring).is_file():
        raise Unavailable(
            f"the keyring {recipe.keyring} is missing, so nothing the archives say can be believed",
            remedy="Run: apt-get install debian-archive-keyring",
        )
    with tempfile.TemporaryDirectory(prefix="mlbuild-apt-") as directory:
        apt = Apt(Path(directory), recipe, architecture)
        apt.run("apt-get", "update", "--error-on=any")
        yield apt


class Apt:
    """apt with its own directories, configuration and idea of what is installed."""

    def __init__(self, root: Path, recipe: Recipe, architecture: str) -> None:
        for name in ("state/lists/partial", "cache/archives/partial", "etc/apt.conf.d", "etc/preferences.d"):
            (root / name).mkdir(parents=True)
        self._status, self._architecture = root / "status", architecture
        self._status.touch()
        (root / "etc" / "sources.list").write_text(_sources(recipe))
        settings = {
            "Dir": str(root),
            "Dir::Etc": "etc",
            "Dir::State": "state",
            "Dir::State::status": str(self._status),
            "Dir::Cache": "cache",
            "APT::Architecture": architecture,
            "APT::Architectures": architecture,
            "APT::Sandbox::User": "",
            "Acquire::Languages": "none",
            "Acquire::Retries": "3",
        }
        lines = [f'{name} "{value}";' for name, value in settings.items()]
        self._config = root / "apt.conf"
        self._config.write_text("\n".join(lines) + "\n")

    def install(self, *arguments: str) -> str:
        """What apt would download to install these packages, and nothing that is only recommended."""
        return self.run("apt-get", "install", "--print-uris", "--no-install-recommends", "--yes", *arguments)

    def hold(self, controls: Iterable[str]) -> None:
        """Make apt believe that these packages are installed and must stay as they are.

        What they depend on is no concern any more: whoever made the base has settled it.
        """
        stanzas = []
        for control in controls:
            stanza = Deb822(control)
            for field in _OF_NO_CONCERN:
                stanza.pop(field, None)
            stanza["Status"] = "hold ok installed"
            stanza["Description"] = "in the base"
            stanzas.append(f"{stanza.dump()}\n")
        with self._status.open("a", encoding="utf-8") as status:
            status.writelines(stanzas)

    def take_as_installed(self, names: Collection[str]) -> None:
        """Make apt believe that these packages are installed, a shade newer than the archives have them.

        Not in the very versions: apt would take those for the archives' packages, and mend them.
        """
        if not names:
            return
        stanzas = []
        candidates = self.candidates(names)
        for name in names:
            stanzas.append(
                f"Package: {name}\nStatus: install ok installed\nArchitecture: {self._architecture}\n"
                f"Multi-Arch: allowed\nVersion: {candidates.get(name, '0')}+left.out\n"
                "Maintainer: none\nDescription: left out of the base\n\n"
            )
        self._status.write_text("".join(stanzas), encoding="utf-8")

    def candidates(self, names: Collection[str]) -> dict[str, str]:
        """The version that would be installed of each package, of those that exist under their own name."""
        return _candidates(self.run("apt-cache", "policy", *names)) if names else {}

    def run(self, *command: str) -> str:
        """Run one apt command and return what it printed. Raises Unavailable or BuilderError with its words."""
        environment = {
            **os.environ,
            "APT_CONFIG": str(self._config),
            "LC_ALL": "C",
            "DEBIAN_FRONTEND": "noninteractive",
        }
        try:
            result = subprocess.run(
                command, env=environment, capture_output=True, text=True, timeout=_TIMEOUT, check=False
            )
        except subprocess.TimeoutExpired as error:
            raise Unavailable(f"`{command[0]} {command[1]}` did not end in {_TIMEOUT} s") from error
        if result.returncode == 0:
            return result.stdout
        words = (
            " ".join(line for line in result.stderr.splitlines() if line.startswith(("E:", "W:"))) or result.stdout
        )
        if command[1] == "update":
            raise Unavailable(f"the Debian archives cannot be read: {words}", remedy="Try again when they answer.")
        raise BuilderError(f"apt finds no packages that go together: {words}")


def _candidates(policy: str) -> dict[str, str]:
    """The candidate version by package, of those that exist under their own name."""
    found: dict[str, str] = {}
    name = ""
    for line in policy.splitlines():
        if not line.startswith(" "):
            name = line.rstrip(":")
        elif line.startswith("  Candidate: ") and not line.endswith("(none)"):
            found[name] = line.removeprefix("  Candidate: ")
    return found


def _sources(recipe: Recipe) -> str:
    return "".join(
        f"deb [signed-by={recipe.keyring}] {archive.mirror} {suite} {' '.join(archive.components)}\n"
        for archive in recipe.archives
        for suite in archive.suites
    )
