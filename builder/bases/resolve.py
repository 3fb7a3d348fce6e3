"""Which Debian packages a recipe means today: decided by apt, from indexes whose signatures it has checked.

apt works on directories of its own and is told that the packages a recipe leaves out are installed, so
it neither reads nor changes anything of the machine. It needs no root. The versions are apt's candidates
over all suites of the recipe, so a security suite wins where it has the newer version.

What is to lie on a base is resolved the same way, with the base's own packages installed and held: they
satisfy whoever depends on them, and none is changed.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import unquote

from debian.deb822 import Deb822, Packages, PkgRelation

from builder.bases.security import security_versions
from builder.errors import BuilderError
from compliance.base_files import Recipe
from compliance.document import nearest
from compliance.errors import Unavailable

FOR_SCRIPTS: Final = frozenset(
    {"awk", "debconf", "dpkg", "init-system-helpers", "install-info", "libdebconfclient0", "ucf"}
)
"""Packages that others depend on for their maintainer scripts. None runs, so an image does without them."""

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


@dataclass(frozen=True, slots=True)
class ResolvedDeb:
    """A package as a signed index lists it. `path` is below the archive's root, `size` in bytes.

    `depends` are names: each of them, or of those a name of the list stands for, in alternatives.
    `security` is the newest version that a security suite has of it, which may be older than this one.
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
    security: str | None = None


def resolve(recipe: Recipe, architecture: str) -> tuple[ResolvedDeb, ...]:
    """The packages of the recipe and all they depend on, sorted by name.

    Raises Unavailable when apt or an archive cannot be used, BuilderError when the packages cannot be
    had together.
    """
    with _apt(recipe, architecture) as apt:
        apt.take_as_installed(recipe.left_out)
        chosen = apt.install(*recipe.packages)
        return _found(apt, chosen, recipe)


class NoSuchPackages(BuilderError):
    """Names that no suite of a base has. `near` gives for each the most similar one there is, or None."""

    def __init__(self, near: Mapping[str, str | None]) -> None:
        super().__init__(f"there is no Debian package {', '.join(near)}")
        self.near = near


def resolve_above(
    recipe: Recipe, architecture: str, names: Sequence[str], installed: Mapping[str, str]
) -> tuple[ResolvedDeb, ...]:
    """What must be added to a base so that the packages `names` are in the image, sorted by name.

    `installed` holds the control texts of the base's packages, by name. What packages want for their
    maintainer scripts alone (FOR_SCRIPTS) is left out unless it is among the names. Raises NoSuchPackages
    for names that are none, BuilderError when they do not go with the base as it is, and otherwise as
    resolve does.
    """
    wanted = [name for name in names if name not in installed]
    with _apt(recipe, architecture) as apt:
        candidates = _candidates(apt.run("apt-cache", "policy", *wanted)) if wanted else {}
        unknown = [name for name in wanted if name not in candidates]
        if unknown:
            known = apt.run("apt-cache", "pkgnames").split()
            raise NoSuchPackages({name: nearest(name, known) for name in unknown})
        if not wanted:
            return ()
        apt.take_as_installed(sorted(FOR_SCRIPTS - set(names) - set(installed)))
        apt.hold(installed.values())
        found = _found(apt, apt.install("--no-remove", *wanted), recipe)
    changed = [package.name for package in found if package.name in installed]
    if changed:
        raise BuilderError(
            f"{', '.join(names)} would need another version of {', '.join(changed)} than the base has"
        )
    return found


@contextmanager
def _apt(recipe: Recipe, architecture: str) -> Iterator[_Apt]:
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
        apt = _Apt(Path(directory), recipe, architecture)
        apt.run("apt-get", "update", "--error-on=any")
        yield apt


def _found(apt: _Apt, chosen: str, recipe: Recipe) -> tuple[ResolvedDeb, ...]:
    """The packages that apt chose, as the indexes describe them."""
    places = dict(_places(chosen, recipe))
    if not places:
        return ()
    shown = apt.run("apt-cache", "show", *(f"{name}={version}" for name, version in places.values()))
    secured = security_versions(apt.run("apt-cache", "madison", *(name for name, _ in places.values())))
    return tuple(sorted(_described(shown, places, secured), key=lambda package: package.name))


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


def _described(
    shown: str, places: Mapping[tuple[str, str], tuple[str, str]], secured: Mapping[str, str]
) -> Iterable[ResolvedDeb]:
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
            security=secured.get(name),
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
