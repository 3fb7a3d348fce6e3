"""Pinning the models of a spec: files of the project by what they hold now, addresses by what the spec says."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from builder.cache import Cache
from builder.lockfile import LockedModel
from builder.models.asked import Model
from builder.progress import Progress
from compliance.document import read_document
from compliance.errors import InvalidInput, Location


def lock_models(
    models: Sequence[Model], spec_path: Path, before: Sequence[LockedModel], cache: Cache, progress: Progress
) -> tuple[LockedModel, ...]:
    """The models with their sha256, sorted by their place in the image. Nothing is downloaded.

    `before` is what was locked: where a file of the project has changed since, that is said. Raises
    InvalidInput, at the spec's line, for a file that is not there or is not the one the spec pins.
    """
    known = {model.to: model.sha256 for model in before}
    found = []
    for index, model in enumerate(models):
        locked = _locked(model, index, spec_path, cache)
        if known.get(locked.to, locked.sha256) != locked.sha256:
            progress.step(f"{locked.source} has changed: sha256 {locked.sha256} is locked from now on")
        found.append(locked)
    return tuple(sorted(found, key=lambda model: model.to))


def find_file(model: LockedModel, root: Path) -> Path | None:
    """The file of the project that a model is, or None for one from an address."""
    return root / model.path if model.path is not None else None


def _locked(model: Model, index: int, spec_path: Path, cache: Cache) -> LockedModel:
    if model.path is None:
        return LockedModel(None, model.url, model.target, model.sha256 or "", None)
    file = spec_path.parent / model.path
    if not file.is_file():
        raise InvalidInput(
            f"there is no file {model.path}",
            at=_where(spec_path, index, "path"),
            remedy="Make it, for example by training, or mend the path: it is relative to the spec.",
        )
    sha256 = cache.digest_of(file).hex
    if model.sha256 not in {None, sha256}:
        raise InvalidInput(
            f"{model.path} has sha256 {sha256}, the spec says {model.sha256}",
            at=_where(spec_path, index, "sha256"),
            remedy="Bring back the file that was meant, or write the new sha256 in the spec.",
        )
    return LockedModel(model.path, None, model.target, sha256, file.stat().st_size)


def _where(spec_path: Path, index: int, key: str) -> Location:
    return read_document(spec_path).where(("models", index, key))
