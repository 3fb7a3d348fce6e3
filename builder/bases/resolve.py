"""Which Debian packages a recipe means today: decided by apt, from indexes whose signatures it has checked.

apt works on directories of its own and is told that the packages a recipe leaves out are installed, so
it neither reads nor changes anything of the machine. It needs no root. The versions are apt's candidates
over all suites of the recipe, so a security suite wins where it has the newer version.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import unquote

from debian.deb822 import Packages, PkgRelation

from builder.errors import BuilderError
from compliance.base_files import Recipe
from compliance.errors import Unavailable

_TIMEOUT: Final = 600  # seconds for one apt command; reading the indexes of a slow mirror included


@dataclass(frozen=True, slots=True)
class ResolvedDeb:
    """A package as a signed index lists it. `path` is below the archive's root, `size` in bytes.

    `depends` are names: each of them, or of those a name of the list stands for, in alternatives.
    """

    name: str
    version: str
    architecture: str
    source: str
    source_version: str
    archive: str
    path: str
    size: int
    sha256: str
    depends: tuple[tuple[str, ...], ...]
    provides: tuple[str, ...]


def resolve(recipe: Recipe, architecture: str) -> tuple[ResolvedDeb, ...]:
    """The packages of the recipe and all they depend on, sorted by name.

    Raises Unavailable when apt or an archive cannot be used, BuilderError when the packages cannot be
    had together.
    """
    if shutil.which("apt-get") is None:
        raise Unavailable(
            "apt-get is not installed, and only apt can say which Debian packages belong together",
            remedy="Lock bases on Debian or Ubuntu, or in a container of one; building them needs no apt.",
        )
    if not Path(recipe.keyring).is_file():
        raise Unavailable(
            f"the keyring {recipe.keyring} is missing, so nothing the archives say can be believed",
            remedy="Run: apt-get install debian-archive-keyring",
        )
    with tempfile.TemporaryDirectory(prefix="mlbuild-apt-") as directory:
        apt = _Apt(Path(directory), recipe, architecture)
        apt.run("apt-get", "update", "--error-on=any")
        apt.take_as_installed(recipe.left_out)
        chosen = apt.run(
            "apt-get", "install", "--print-uris", "--no-install-recommends", "--yes", *recipe.packages
        )
        places = dict(_places(chosen, recipe))
        shown = apt.run("apt-cache", "show", *(f"{name}={version}" for name, version in places.values()))
    return tuple(sorted(_described(shown, places), key=lambda package: package.name))


class _Apt:
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

    def take_as_installed(self, names: Iterable[str]) -> None:
        """Make apt believe that these packages are installed, a shade newer than the archives have them.

        Not in the very versions: apt would take those for the archives' packages, and mend them.
        """
        names = list(names)
        if not names:
            return
        stanzas = []
        candidates = _candidates(self.run("apt-cache", "policy", *names))
        for name in names:
            stanzas.append(
                f"Package: {name}\nStatus: install ok installed\nArchitecture: {self._architecture}\n"
                f"Multi-Arch: allowed\nVersion: {candidates.get(name, '0')}+left.out\n"
                "Maintainer: none\nDescription: left out of the base\n\n"
            )
        self._status.write_text("".join(stanzas), encoding="utf-8")

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
        raise BuilderError(f"apt cannot resolve the recipe's packages: {words}")


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


def _places(output: str, recipe: Recipe) -> Iterable[tuple[tuple[str, str], tuple[str, str]]]:
    """(archive, path) -> (name, version) of each line `'URL' NAME_VERSION_ARCH.deb SIZE HASH`."""
    for line in output.splitlines():
        if not line.startswith("'"):
            continue
        url, _, rest = line[1:].partition("' ")
        name, version, _ = unquote(rest.split()[0]).split("_")
        archive = next((one for one in recipe.archives if url.startswith(f"{one.mirror}/")), None)
        if archive is None:
            raise BuilderError(f"apt would take {name} from {url}, which is of no archive of the recipe")
        yield (archive.name, unquote(url.removeprefix(f"{archive.mirror}/"))), (name, version)


def _described(shown: str, places: dict[tuple[str, str], tuple[str, str]]) -> Iterable[ResolvedDeb]:
    stanzas = {
        stanza["Filename"]: stanza
        for stanza in Packages.iter_paragraphs(shown.splitlines(keepends=True), use_apt_pkg=False)
    }
    for (archive, path), (name, version) in places.items():
        stanza = stanzas.get(path)
        if stanza is None or (stanza["Package"], stanza["Version"]) != (name, version) or "SHA256" not in stanza:
            raise BuilderError(f"the archive {archive} does not describe {path} with a sha256")
        source, _, source_version = stanza.get("Source", name).partition(" ")
        yield ResolvedDeb(
            name=name,
            version=version,
            architecture=stanza["Architecture"],
            source=source,
            source_version=source_version.strip("() ") or version,
            archive=archive,
            path=path,
            size=int(stanza["Size"]),
            sha256=stanza["SHA256"],
            depends=_alternatives(f"{stanza.get('Pre-Depends', '')},{stanza.get('Depends', '')}"),
            provides=tuple(one for group in _alternatives(stanza.get("Provides", "")) for one in group),
        )


def _alternatives(field: str) -> tuple[tuple[str, ...], ...]:
    relations = PkgRelation.parse_relations(field.strip(", ")) if field.strip(", ") else []
    return tuple(tuple(one["name"] for one in group) for group in relations)


def dependencies(package: ResolvedDeb, packages: Sequence[ResolvedDeb]) -> tuple[str, ...]:
    """The names of those of `packages` that `package` depends on, sorted."""
    names: set[str] = set()
    for group in package.depends:
        for other in packages:
            if other.name != package.name and ({other.name, *other.provides} & set(group)):
                names.add(other.name)
    return tuple(sorted(names))
