"""What is known of a project's models: their formats, for policies and for the SBOM."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from builder.cache import Cache
from builder.lockfile import LockedModel
from builder.models.layer import check_file
from builder.models.lock import find_file
from compliance.evidence import Absent
from compliance.inventory import ModelFile, Origin
from compliance.models import HEAD, detect
from compliance.oci.digest import Digest

UNKNOWN_FORMAT: Final = "unknown"
"""How the SBOM names the format of a file that the spec calls a model and that is none known here."""


@dataclass(frozen=True, slots=True)
class ReadModels:
    """The files that are here, sorted by path, and the addresses of those that are not downloaded yet."""

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
    """Read the files that are in the project or the cache; `layer_of` gives the diffIDs by path, once known.

    Raises InvalidInput for a file of the project that is not the locked one.
    """
    files: list[ModelFile] = []
    missing: list[str] = []
    for model in models:
        file = find_file(model, root)
        if file is not None:
            check_file(model, file, cache)
        else:
            file = cache.get(Digest(f"sha256:{model.sha256}"))
        if file is None:
            missing.append(model.source)
        else:
            files.append(_read(model, file, layer_of))
    return ReadModels(tuple(sorted(files, key=lambda found: found.path)), tuple(missing))


def _read(model: LockedModel, file: Path, layer_of: Mapping[str, Digest] | None) -> ModelFile:
    with file.open("rb") as stream:
        head = stream.read(HEAD)
    found = detect(head, lambda: file.open("rb"), model.to)
    return ModelFile(
        path=model.to,
        format=found.format if found is not None else UNKNOWN_FORMAT,
        origin=Origin.APP,
        sha256=model.sha256,
        size=file.stat().st_size,
        layer=layer_of[model.to] if layer_of is not None else None,
        unsafe=found.unsafe if found is not None else None,
    )
