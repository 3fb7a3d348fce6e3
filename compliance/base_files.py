"""The two files of a curated base: `base.yaml`, which people write, and `base.lock.toml`, which is generated."""

from __future__ import annotations

import json
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Annotated, Final, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from compliance.document import Document, read_model, to_model
from compliance.errors import InvalidInput, Location
from compliance.oci.digest import Digest
from compliance.toml_document import read_toml_document

RECIPE_FILE: Final = "base.yaml"
LOCK_FILE: Final = "base.lock.toml"

_SHA256: Final = r"[0-9a-f]{64}"
_PACKAGE_NAME: Final = r"[a-z0-9][a-z0-9+.-]+"  # Debian policy 5.6.1
_VERSION: Final = r"[0-9][A-Za-z0-9.+:~-]*"  # Debian policy 5.6.12

ItemT = TypeVar("ItemT")
PackageName = Annotated[str, Field(pattern=rf"^{_PACKAGE_NAME}$")]
Architecture = Literal["amd64", "arm64"]


def _plain(path: str) -> str:
    if any(part in {"", ".", ".."} for part in path.split("/")):
        raise ValueError("must be a relative path without empty, `.` or `..` parts")
    return path


def _absolute(path: str) -> str:
    if not path.startswith("/") or path == "/":
        raise ValueError("must be an absolute path below /")
    _plain(path[1:])
    return path


def _some(items: tuple[ItemT, ...]) -> tuple[ItemT, ...]:
    if not items:
        raise ValueError("must not be empty")
    return items


def _whole_utc_seconds(time: datetime) -> datetime:
    if time.utcoffset() != timedelta() or time.microsecond:
        raise ValueError("must be a time in UTC, in whole seconds")
    return time


PlainPath = Annotated[str, AfterValidator(_plain)]
AbsolutePath = Annotated[str, AfterValidator(_absolute)]
WebAddress = Annotated[str, Field(pattern=r"^https?://[^\s/]+(/[^\s]*[^\s/])?$")]


class _Strict(BaseModel):
    model_config = ConfigDict(
        frozen=True, extra="forbid", alias_generator=lambda name: name.replace("_", "-"), populate_by_name=True
    )


class Archive(_Strict):
    """A Debian archive. `mirror` holds what is current; `snapshot`, given a time, what was current then."""

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]*$")]
    mirror: WebAddress
    snapshot: WebAddress
    suites: Annotated[tuple[str, ...], AfterValidator(_some)]
    components: Annotated[tuple[str, ...], AfterValidator(_some)] = ("main",)


class Files(_Strict):
    """Which files of the packages go into the base, as dpkg's path-exclude and path-include have it.

    Patterns are matched against the whole path without the leading `/`, in the merged-/usr form; `*`
    matches any characters, `/` included. What `exclude` drops, `include` brings back.
    """

    exclude: tuple[str, ...] = ()
    include: tuple[str, ...] = ()


class User(_Strict):
    """The account that images run as."""

    name: Annotated[str, Field(pattern=r"^[a-z_][a-z0-9_-]*$")]
    uid: Annotated[int, Field(gt=0, lt=65534)]
    gid: Annotated[int, Field(gt=0, lt=65534)]
    home: AbsolutePath


class OsRelease(_Strict):
    id: str
    version: str


class Recipe(_Strict):
    """What a platform engineer writes about a base.

    `left_out` are packages that the others depend on but that the base does well without, each with
    the reason. `licences` says, by source package, what the packages' own copyright files do not say
    in a form that can be read by machine. `end_of_life` is the day from which nobody mends the base.
    `cuda` makes a base for NVIDIA GPUs of it: the oldest CUDA version that a machine's driver must
    support. Debian has no CUDA: its libraries come as wheels, the driver's from the machine.
    """

    name: Annotated[str, Field(pattern=r"^[a-z0-9]+([._-][a-z0-9]+)*$")]
    description: str
    owner: Annotated[str, Field(min_length=1)]
    end_of_life: date
    os: OsRelease
    python: Annotated[str, Field(pattern=r"^3\.[0-9]+$")]
    prefix: AbsolutePath
    working_dir: AbsolutePath
    user: User
    environment: dict[str, str] = Field(default_factory=dict)
    cuda: Annotated[str, Field(pattern=r"^[0-9]+\.[0-9]+$")] | None = None
    architectures: Annotated[tuple[Architecture, ...], AfterValidator(_some)]
    keyring: AbsolutePath
    archives: Annotated[tuple[Archive, ...], AfterValidator(_some)]
    packages: Annotated[tuple[PackageName, ...], AfterValidator(_some)]
    left_out: dict[PackageName, str] = Field(default_factory=dict)
    files: Files = Files()
    licences: dict[PackageName, str] = Field(default_factory=dict)


class LockedDeb(_Strict):
    """One Debian package as locked. `path` is below the archive's root; `depends` names locked packages."""

    name: PackageName
    version: Annotated[str, Field(pattern=rf"^{_VERSION}$")]
    architecture: Annotated[str, Field(pattern=r"^[a-z0-9-]+$")]
    source: PackageName
    source_version: Annotated[str, Field(pattern=rf"^{_VERSION}$")]
    archive: str
    path: PlainPath
    size: Annotated[int, Field(gt=0, strict=True)]
    sha256: Annotated[str, Field(pattern=rf"^{_SHA256}$")]
    licence: str | None = None
    depends: tuple[PackageName, ...] = ()


class LockedImage(_Strict):
    """The base for one architecture: its packages, and the digests of what they must become.

    `config` pins the diffIDs and all settings. `manifest` holds besides the layers' compressed digests,
    which are as stable as `compressor`. `size` is that of the compressed layers, in bytes.
    """

    architecture: Architecture
    manifest: Digest
    config: Digest
    diff_ids: Annotated[tuple[Digest, ...], AfterValidator(_some)]
    size: Annotated[int, Field(gt=0, strict=True)]
    packages: Annotated[tuple[LockedDeb, ...], AfterValidator(_some)]


class BaseLock(_Strict):
    """The generated file. `recipe` is the digest of the recipe it was made from; `created` is in UTC."""

    lock_version: Literal[1]
    recipe: Digest
    created: Annotated[datetime, AfterValidator(_whole_utc_seconds)]
    compressor: str
    images: Annotated[tuple[LockedImage, ...], AfterValidator(_some)]


def read_recipe(directory: Path) -> tuple[Recipe, Digest]:
    """Read `base.yaml`. Raises InvalidInput with file and line.

    The digest is of all that a lock depends on: what the recipe says, but not its comments, nor who
    owns the base and until when.
    """
    recipe, document = read_model(directory / RECIPE_FILE, Recipe)
    if recipe.name != directory.name:
        raise InvalidInput(
            f"the base is named {recipe.name!r} but stands in the directory {directory.name!r}",
            at=document.where(("name",)),
            remedy="Give both the same name.",
        )
    for name in recipe.packages:
        if name in recipe.left_out:
            at = document.where(("left-out", name))
            raise InvalidInput(f"{name} is left out, and in packages too", at=at, remedy="Keep one of the two.")
    archives = [archive.name for archive in recipe.archives]
    for number, archive in enumerate(archives):
        if archive in archives[:number]:
            at = document.where(("archives", number, "name"))
            raise InvalidInput(
                f"two archives are called {archive!r}", at=at, remedy="Give each a name of its own."
            )
    data = {key: value for key, value in document.data.items() if key not in {"owner", "end-of-life"}}
    return recipe, Digest.of(json.dumps(data, sort_keys=True, separators=(",", ":")).encode())


def read_lock(directory: Path, recipe: Recipe, recipe_digest: Digest) -> BaseLock:
    """Read `base.lock.toml`. Raises InvalidInput when it is missing, malformed, or not of this recipe."""
    path = directory / LOCK_FILE
    remedy = f"Run `mlbuild base lock {recipe.name}`."
    if not path.is_file():
        raise InvalidInput(f"the base {recipe.name} has no lock", at=Location(path), remedy=remedy)
    try:
        document = read_toml_document(path)
        lock = to_model(document, BaseLock)
        _check(lock, document, recipe, recipe_digest)
    except InvalidInput as error:
        error.remedy = remedy
        raise
    return lock


def _check(lock: BaseLock, document: Document, recipe: Recipe, recipe_digest: Digest) -> None:
    """Raise InvalidInput where the lock contradicts its recipe or itself."""
    if lock.recipe != recipe_digest:
        raise InvalidInput("the lock is of another version of the recipe", at=document.where(("recipe",)))
    archives = {archive.name for archive in recipe.archives}
    architectures: set[str] = set()
    for number, image in enumerate(lock.images):
        if image.architecture in architectures:
            at = document.where(("images", number))
            raise InvalidInput(f"two images are for {image.architecture}", at=at)
        architectures.add(image.architecture)
        names = [package.name for package in image.packages]
        for place, package in enumerate(image.packages):
            at = document.where(("images", number, "packages", place))
            if package.archive not in archives:
                raise InvalidInput(f"{package.name} is from an unknown archive {package.archive!r}", at=at)
            if package.name in names[:place]:
                raise InvalidInput(f"{package.name} stands twice for {image.architecture}", at=at)
            for stranger in sorted(set(package.depends) - set(names)):
                raise InvalidInput(f"{package.name} depends on {stranger}, which is not locked", at=at)
    if architectures != set(recipe.architectures):
        at = document.where(("images",))
        raise InvalidInput(f"the recipe is for {', '.join(recipe.architectures)}, the lock is not", at=at)
