"""What is known of a project's models: their formats, for policies and for the SBOM."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pydantic import BaseModel, ConfigDict

from builder.cache import Cache
from builder.lockfile import LockedModel
from builder.models.layer import check_file
from builder.models.lock import find_file
from compliance.evidence import Absent
from compliance.inventory import ModelFile, Origin
from compliance.models import HEAD, detect
from compliance.oci.digest import Digest

_KIND: Final = "models"

UNKNOWN_FORMAT: Final = "unknown"
"""How the SBOM names the format of a file that the spec calls a model and that is none known here."""


class _Read(BaseModel):
    """What a file was found to be. `size` is in bytes."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: str
    unsafe: str | None
    size: int


@dataclass(frozen=True, slots=True)
class ReadModels:
    """The files that are known, sorted by path, and the addresses of those that were never downloaded."""

    files: tuple[ModelFile, ...]
    missing: tuple[str, ...] = ()

    def with_those_of(self, app: Sequence[ModelFile]) -> tuple[ModelFile, ...] | Absent:
        """All model files as policies see them: what is no known format is no model to them, as at the gate."""
        if self.missing:
            return Absent(f"{', '.join(self.missing)} will be read once downloaded", pending=True)
        known = [file for file in self.files if file.format != UNKNOWN_FORMAT]
        return tuple(sorted((*app, *known), key=lambda file: file.path))


def read_models(
    models: Sequence[LockedModel], root: Path, cache: Cache, layer_of: Mapping[str, Digest] | None = None
) -> ReadModels:
    """Read the files that are in the project or were once in the cache; `layer_of` gives the diffIDs by path.

    Raises InvalidInput for a file of the project that is not the locked one.
    """
    files: list[ModelFile] = []
    missing: list[str] = []
    for model in models:
        read = _read(model, root, cache)
        if read is None:
            missing.append(model.source)
        else:
            files.append(_described(model, read, layer_of))
    return ReadModels(tuple(sorted(files, key=lambda found: found.path)), tuple(missing))


def _read(model: LockedModel, root: Path, cache: Cache) -> _Read | None:
    """What the file is, which is kept by its sha256: its layer may be there without it. None where it is not."""
    local = find_file(model, root)
    if local is not None:
        check_file(model, local, cache)
    file = local or cache.get(Digest(f"sha256:{model.sha256}"))
    known = cache.recall(_KIND, model.sha256, _Read)
    if file is None:
        return known
    with file.open("rb") as stream:
        head = stream.read(HEAD)
    found = detect(head, lambda: file.open("rb"), model.to)
    read = _Read(
        format=found.format if found is not None else UNKNOWN_FORMAT,
        unsafe=found.unsafe if found is not None else None,
        size=file.stat().st_size,
    )
    if read != known:
        cache.remember(_KIND, model.sha256, read)
    return read


def _described(model: LockedModel, read: _Read, layer_of: Mapping[str, Digest] | None) -> ModelFile:
    return ModelFile(
        path=model.to,
        format=read.format,
        origin=Origin.APP,
        sha256=model.sha256,
        size=read.size,
        layer=layer_of[model.to] if layer_of is not None else None,
        unsafe=read.unsafe,
    )
