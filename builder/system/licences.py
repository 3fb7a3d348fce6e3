"""Licences of Debian packages, where their own copyright files do not say enough."""

from __future__ import annotations

import importlib.resources
import tomllib
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from builder.bases.lock import licensed
from builder.progress import Quiet
from compliance.base_files import LockedDeb, Recipe


class _Curated(BaseModel):
    """`licences.toml`: SPDX expressions by package name and by source package."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    packages: dict[str, str]
    sources: dict[str, str]


def with_licences(debs: Sequence[LockedDeb], files: Mapping[str, Path], recipe: Recipe) -> tuple[LockedDeb, ...]:
    """The packages with their licences. `files` are the package files by sha256."""
    curated = _curated()
    known = licensed({**curated.packages, **recipe.licences}, debs, files, Quiet())
    return tuple(
        deb if deb.licence is not None else deb.model_copy(update={"licence": curated.sources.get(deb.source)})
        for deb in known
    )


@cache
def _curated() -> _Curated:
    text = (importlib.resources.files(__package__) / "licences.toml").read_text(encoding="utf-8")
    return _Curated.model_validate(tomllib.loads(text))
