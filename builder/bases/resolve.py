"""Which Debian packages a recipe means today: decided by apt, from indexes whose signatures it has checked.

apt works on directories of its own and is told that the packages a recipe leaves out are installed, so
it neither reads nor changes anything of the machine. It needs no root. The versions are apt's candidates
over all suites of the recipe, so a security suite wins where it has the newer version.

What is to lie on a base is resolved the same way, with the base's own packages installed and held: they
satisfy whoever depends on them, and none is changed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote

from debian.deb822 import Packages, PkgRelation

from builder.bases.apt import Apt, open_apt
from builder.bases.security import security_versions
from builder.errors import BuilderError
from compliance.base_files import Recipe
from compliance.document import nearest

FOR_SCRIPTS: Final = frozenset(
    {"awk", "debconf", "dpkg", "init-system-helpers", "install-info", "libdebconfclient0", "ucf"}
)
"""Packages that others depend on for their maintainer scripts. None runs, so an image does without them."""


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
    with open_apt(recipe, architecture) as apt:
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
    with open_apt(recipe, architecture) as apt:
        candidates = apt.candidates(wanted)
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


def _found(apt: Apt, chosen: str, recipe: Recipe) -> tuple[ResolvedDeb, ...]:
    """The packages that apt chose, as the indexes describe them."""
    places = dict(_places(chosen, recipe))
    if not places:
        return ()
    shown = apt.run("apt-cache", "show", *(f"{name}={version}" for name, version in places.values()))
    secured = security_versions(apt.run("apt-cache", "madison", *(name for name, _ in places.values())))
    return tuple(sorted(_described(shown, places, secured), key=lambda package: package.name))


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
