"""Curated base images as `base-images/` describes them: what is in each, known without building it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time
from pathlib import Path
from types import MappingProxyType

from packageurl import PackageURL

from compliance.base_files import RECIPE_FILE, LockedDeb, LockedImage, Recipe, read_lock, read_recipe
from compliance.document import nearest
from compliance.errors import InvalidInput, Location
from compliance.evidence import Absent
from compliance.inventory import Base, Ecosystem, OperatingSystem, Origin, Package, Settings
from compliance.oci.digest import Digest
from compliance.oci.manifest import Platform


@dataclass(frozen=True, slots=True)
class BaseDefinition:
    """One base for one architecture: its recipe and its lock, which agree."""

    recipe: Recipe
    image: LockedImage
    created: datetime
    compressor: str
    directory: Path

    @property
    def name(self) -> str:
        return self.recipe.name

    @property
    def digest(self) -> Digest:
        """The digest of the base's manifest."""
        return self.image.manifest

    @property
    def size(self) -> int:
        """Compressed size of the layers in bytes."""
        return self.image.size

    @property
    def python(self) -> str:
        """The interpreter's version, major and minor: `3.11`."""
        return self.recipe.python

    @property
    def prefix(self) -> str:
        """Where the virtual environment is: `/opt/venv`."""
        return self.recipe.prefix

    @property
    def cuda(self) -> str | None:
        """The oldest CUDA version that a driver must support for images of the base; None where it has no use."""
        return self.recipe.cuda

    @property
    def architecture(self) -> str:
        return self.image.architecture

    @property
    def platform(self) -> Platform:
        return Platform(os="linux", architecture=self.architecture)

    @property
    def os(self) -> OperatingSystem:
        return OperatingSystem(self.recipe.os.id, self.recipe.os.version)

    @property
    def end_of_life(self) -> datetime:
        """The start, in UTC, of the day from which nobody mends the base."""
        return datetime.combine(self.recipe.end_of_life, time(), UTC)

    @property
    def base(self) -> Base:
        owner = self.recipe.owner
        return Base(self.name, self.digest, self.image.diff_ids, owner, self.end_of_life, self.created)

    @property
    def settings(self) -> Settings:
        """The image settings that the base gives to images made from it."""
        return settings_of(self.recipe, self.created)

    @property
    def packages(self) -> tuple[Package, ...]:
        """The Debian packages in the base, sorted by purl. All of them are in its first layer."""
        return self.inventoried(self.image.packages, Origin.BASE, self.image.diff_ids[0])

    def inventoried(
        self,
        debs: Sequence[LockedDeb],
        origin: Origin,
        layer: Digest | None,
        chains: Mapping[str, tuple[str, ...]] = MappingProxyType({}),
    ) -> tuple[Package, ...]:
        """Debian packages from the base's archives as parts of an image, sorted by purl.

        They depend on each other and on packages of the base. `chains` lead to them, by name.
        """
        purls = {package.name: self.purl(package) for package in (*self.image.packages, *debs)}
        mirrors = {archive.name: archive.mirror for archive in self.recipe.archives}
        packages = (
            Package(
                purl=self.purl(package),
                name=package.name,
                version=package.version,
                ecosystem=Ecosystem.DEBIAN,
                origin=origin,
                layer=layer,
                licence=package.licence,
                sha256=package.sha256,
                url=f"{mirrors[package.archive]}/{package.path}",
                source_name=package.source,
                source_version=package.source_version,
                architecture=package.architecture,
                chain=chains.get(package.name, ()),
                depends_on=tuple(sorted(purls[name] for name in package.depends)),
            )
            for package in debs
        )
        return tuple(sorted(packages, key=lambda package: package.purl))

    def purl(self, package: LockedDeb) -> str:
        return debian_purl(package.name, package.version, package.architecture, self.os)


def settings_of(recipe: Recipe, created: datetime) -> Settings:
    """The settings of a base's image config. The user is numeric, since a runtime that must not start
    root (`runAsNonRoot`) cannot look names up."""
    environment = _cuda_environment(recipe.cuda) | recipe.environment
    return Settings(
        user=f"{recipe.user.uid}:{recipe.user.gid}",
        entrypoint=(),
        command=(),
        environment=tuple(f"{name}={value}" for name, value in environment.items()),
        exposed_ports=(),
        labels=(
            ("org.opencontainers.image.title", recipe.name),
            ("org.opencontainers.image.description", recipe.description),
            ("org.opencontainers.image.created", created.strftime("%Y-%m-%dT%H:%M:%SZ")),
        ),
        working_dir=recipe.working_dir,
    )


def _cuda_environment(version: str | None) -> dict[str, str]:
    """What the NVIDIA container runtime reads from an image: which GPUs to give to it, which of the driver's
    libraries to put into it (`compute` is CUDA, `utility` is NVML), and the oldest driver that will do."""
    if version is None:
        return {}
    return {
        "NVIDIA_VISIBLE_DEVICES": "all",
        "NVIDIA_DRIVER_CAPABILITIES": "compute,utility",
        "NVIDIA_REQUIRE_CUDA": f"cuda>={version}",
    }


def debian_purl(name: str, version: str, architecture: str, os: OperatingSystem) -> str:
    """The package URL (type `deb`) of an installed Debian package; `version` includes the epoch."""
    qualifiers = {"arch": architecture, "distro": f"{os.id}-{os.version}"}
    return PackageURL("deb", os.id, name, version, qualifiers).to_string()


def read_bases(directory: Path) -> tuple[BaseDefinition, ...]:
    """Every base in `directory`, one folder each, one definition an architecture, sorted by name.

    Raises InvalidInput, with file and line, when a recipe or lock cannot be accepted or they do not agree.
    """
    if not directory.is_dir():
        raise InvalidInput("there is no such directory of bases", at=Location(directory))
    found: list[BaseDefinition] = []
    for folder in sorted(directory.iterdir()):
        if (folder / RECIPE_FILE).is_file():
            found.extend(read_base(folder))
    return tuple(found)


def read_base(directory: Path) -> tuple[BaseDefinition, ...]:
    """The base in one folder, one definition an architecture. Raises InvalidInput as read_bases does."""
    recipe, digest = read_recipe(directory)
    lock = read_lock(directory, recipe, digest)
    return tuple(BaseDefinition(recipe, image, lock.created, lock.compressor, directory) for image in lock.images)


def read_named(directory: Path, name: str) -> tuple[BaseDefinition, ...]:
    """The base called `name`, one definition an architecture, without a look at the others where it is there.

    Raises InvalidInput as read_bases and find_base do.
    """
    folders = directory.iterdir() if directory.is_dir() else ()
    for folder in folders:
        if folder.name == name and (folder / RECIPE_FILE).is_file():
            return read_base(folder)
    return find_architectures(read_bases(directory), name)


def find_base(bases: Iterable[BaseDefinition], name: str, architecture: str) -> BaseDefinition:
    """The base called `name` for `architecture`. Raises InvalidInput that says which there are."""
    of_name = find_architectures(bases, name)
    for base in of_name:
        if base.architecture == architecture:
            return base
    raise InvalidInput(
        f"the base {name} is not locked for {architecture}, only for "
        + ", ".join(base.architecture for base in of_name),
        remedy="Add the architecture to the recipe and lock the base again.",
    )


def find_architectures(bases: Iterable[BaseDefinition], name: str) -> tuple[BaseDefinition, ...]:
    """The base called `name`, for each architecture it is locked for. Raises InvalidInput as find_base does."""
    bases = tuple(bases)
    if of_name := tuple(base for base in bases if base.name == name):
        return of_name
    names = sorted({base.name for base in bases})
    near = nearest(name, names)
    raise InvalidInput(
        f"there is no base {name!r}" + (f", did you mean {near!r}?" if near else ""),
        remedy=f"Choose one of: {', '.join(names)}." if names else "Add one to base-images/.",
    )


def recognise(diff_ids: Sequence[Digest], bases: Iterable[BaseDefinition]) -> Base | Absent:
    """The curated base whose layers are the first of an image with these diffIDs.

    Where the layers of one base begin with those of another, the longer one counts.
    """
    fitting = [base.base for base in bases if tuple(diff_ids[: len(base.image.diff_ids)]) == base.image.diff_ids]
    if not fitting:
        return Absent("the image's first layers are not those of any curated base")
    return max(fitting, key=lambda base: len(base.diff_ids))
