"""The two files of a curated base: `base.yaml`, which people write, and `base.lock.toml`, which is generated."""

from __future__ import annotations

import json
from datetime import date, datetime
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from compliance.document import read_model, to_model
from compliance.errors import InvalidInput, Location
from compliance.oci.digest import Digest
from compliance.toml_document import read_toml_document

RECIPE_FILE: Final = "base.yaml"
LOCK_FILE: Final = "base.lock.toml"

_SHA256: Final = r"[0-9a-f]{64}"
_PACKAGE_NAME: Final = r"[a-z0-9][a-z0-9+.-]+"  # Debian policy 5.6.1
_VERSION: Final = r"[0-9][A-Za-z0-9.+:~-]*"  # Debian policy 5.6.12

PackageName = Annotated[str, Field(pattern=rf"^{_PACKAGE_NAME}$")]
Architecture = Literal["amd64", "arm64"]


def _plain(path: str) -> str:
    if any(part in {"", ".", ".."} for part in path.split("/")):
        raise ValueError("is a relative path without empty, `.` or `..` parts")
    return path


def _absolute(path: str) -> str:
    if not path.startswith("/") or path == "/":
        raise ValueError("is an absolute path below /")
    _plain(path[1:])
    return path


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
    suites: Annotated[tuple[str, ...], Field(min_length=1)]
    components: Annotated[tuple[str, ...], Field(min_length=1)] = ("main",)


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
    architectures: Annotated[tuple[Architecture, ...], Field(min_length=1)]
    keyring: AbsolutePath
    archives: Annotated[tuple[Archive, ...], Field(min_length=1)]
    packages: Annotated[tuple[PackageName, ...], Field(min_length=1)]
    left_out: dict[PackageName, str] = Field(default_factory=dict)
    files: Files = Files()
    licences: dict[PackageName, str] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _no_contradiction(self) -> Recipe:
        both = sorted(set(self.packages) & set(self.left_out))
        if both:
            raise ValueError(f"{both[0]} is in packages and in left-out")
        names = [archive.name for archive in self.archives]
        if len(set(names)) != len(names):
            raise ValueError("two archives have the same name")
        return self


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
    diff_ids: Annotated[tuple[Digest, ...], Field(min_length=1)]
    size: Annotated[int, Field(gt=0, strict=True)]
    packages: Annotated[tuple[LockedDeb, ...], Field(min_length=1)]


class BaseLock(_Strict):
    """The generated file. `recipe` is the digest of the recipe it was made from; `created` is in UTC."""

    lock_version: Literal[1]
    recipe: Digest
    created: datetime
    compressor: str
    images: Annotated[tuple[LockedImage, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _whole(self) -> BaseLock:
        if self.created.tzinfo is None or self.created.microsecond:
            raise ValueError("created is a time in UTC, in whole seconds")
        architectures = [image.architecture for image in self.images]
        if len(set(architectures)) != len(architectures):
            raise ValueError("two images are for the same architecture")
        return self


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
    data = {key: value for key, value in document.data.items() if key not in {"owner", "end-of-life"}}
    return recipe, Digest.of(json.dumps(data, sort_keys=True, separators=(",", ":")).encode())


def read_lock(directory: Path, recipe: Recipe, recipe_digest: Digest) -> BaseLock:
    """Read `base.lock.toml`. Raises InvalidInput when it is missing, malformed, or not of this recipe."""
    path = directory / LOCK_FILE
    remedy = f"Run `mlbuild base lock {recipe.name}`."
    if not path.is_file():
        raise InvalidInput(f"the base {recipe.name} has no lock", at=Location(path), remedy=remedy)
    document = read_toml_document(path)
    lock = to_model(document, BaseLock)
    if lock.recipe != recipe_digest:
        raise InvalidInput(
            "the lock is of another version of the recipe", at=document.where(("recipe",)), remedy=remedy
        )
    archives = [archive.name for archive in recipe.archives]
    for number, image in enumerate(lock.images):
        names = {package.name for package in image.packages}
        for place, package in enumerate(image.packages):
            at = document.where(("images", number, "packages", place))
            if package.archive not in archives:
                raise InvalidInput(
                    f"{package.name} is from an unknown archive {package.archive!r}", at=at, remedy=remedy
                )
            strangers = sorted(set(package.depends) - names)
            if strangers:
                raise InvalidInput(
                    f"{package.name} depends on {strangers[0]}, which is not locked", at=at, remedy=remedy
                )
        if len(names) != len(image.packages):
            at = document.where(("images", number))
            raise InvalidInput(f"a package stands twice for {image.architecture}", at=at, remedy=remedy)
    return lock
