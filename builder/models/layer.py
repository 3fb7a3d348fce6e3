"""One layer a model: nothing else changes when a model does, and images with the same model share its layer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

from builder.cache import Cache, Recipe
from builder.errors import BuilderError
from builder.fetch import Artifact, fetch
from builder.image import ImageLayer, image_layer
from builder.layers.tar import Compression, Entry, directory, write_layer
from builder.layers.unchanged import open_unchanged
from builder.lockfile import LockedModel
from builder.models.lock import find_file
from builder.progress import Progress
from compliance.base_files import User
from compliance.errors import InvalidInput, Location
from compliance.inventory import Origin
from compliance.oci.digest import Digest

CHANGED = "Was it meant to change? Then write its new sha256 in the spec, and run `mlbuild lock`."


def model_layers(
    models: Sequence[LockedModel],
    root: Path,
    user: User,
    cache: Cache,
    progress: Progress,
    *,
    workers: int = 8,
    compression: Compression = Compression.GZIP,
) -> tuple[ImageLayer, ...]:
    """The layers of the models, in their order. Each is made once a cache; what is missing is downloaded.

    `root` is the project, `user` the one that images run as: folders in its home belong to it. Raises
    InvalidInput for a file of the project that is not the locked one, FetchError for an address that does
    not give what is locked.
    """
    recipes = [model_recipe(model, user, compression) for model in models]
    missing = [model for model, recipe in zip(models, recipes, strict=True) if cache.layer(recipe) is None]
    files = _files(missing, root, cache, progress, workers)
    for model in missing:
        progress.step(f"Making the layer of {model.to}")
    return tuple(
        _layer(model, recipe, files.get(model.to), user, cache)
        for model, recipe in zip(models, recipes, strict=True)
    )


def model_recipe(model: LockedModel, user: User, compression: Compression = Compression.GZIP) -> Recipe:
    """What a model's layer is made from."""
    home = (f"{user.home} {user.uid}:{user.gid}",) if _in_home(model, user) else ()
    return Recipe("model", (model.to, model.sha256, *home), compression=compression)


def _files(
    models: Sequence[LockedModel], root: Path, cache: Cache, progress: Progress, workers: int
) -> dict[str, Path]:
    """The file of each model, by its place in the image."""
    artifacts = [
        Artifact(model.url, model.sha256, model.size, f"model {PurePosixPath(model.to).name}", CHANGED)
        for model in models
        if model.url is not None
    ]
    fetched = fetch(artifacts, cache, progress, workers=workers)
    found: dict[str, Path] = {}
    for model in models:
        file = find_file(model, root)
        if file is not None:
            check_file(model, file, cache)
        found[model.to] = file or fetched[model.sha256]
    return found


def check_file(model: LockedModel, file: Path, cache: Cache) -> None:
    """Raise InvalidInput when a file of the project is not the one that is locked."""
    if not file.is_file():
        raise InvalidInput("there is no such file", at=Location(file), remedy="Bring it back, or make it again.")
    sha256 = cache.digest_of(file).hex
    if sha256 != model.sha256:
        raise InvalidInput(
            f"has sha256 {sha256}, the lock says {model.sha256}",
            at=Location(file),
            remedy="Run `mlbuild lock` to pin the model as it is now, or bring back the one that was locked.",
        )


def _layer(model: LockedModel, recipe: Recipe, file: Path | None, user: User, cache: Cache) -> ImageLayer:
    stored = cache.layer(recipe)
    if stored is None:
        if file is None:
            raise BuilderError(f"the layer of {model.to} left the cache meanwhile", remedy="Build again.")
        entries = list(_entries(model, file, user))
        stored = cache.make_layer(recipe, lambda blob: write_layer(entries, blob, compression=recipe.compression))
    return image_layer(stored, Origin.APP, contents=f"model {model.to}", model=model.to)


def _entries(model: LockedModel, file: Path, user: User) -> Iterator[Entry]:
    """The file, which only root may write; and the folders above it that are the user's own."""
    digest = Digest(f"sha256:{model.sha256}")
    yield Entry(model.to[1:], size=file.stat().st_size, content=lambda: open_unchanged(file, digest))
    if _in_home(model, user):
        for folder in PurePosixPath(model.to).parents:
            if folder.is_relative_to(user.home):
                mode = 0o700 if str(folder) == user.home else 0o755
                yield directory(str(folder)[1:], mode, uid=user.uid, gid=user.gid)


def _in_home(model: LockedModel, user: User) -> bool:
    return model.to.startswith(f"{user.home}/")
