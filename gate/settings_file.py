"""A file of settings: the names that flags have, without the dashes before them.

listen: 0.0.0.0:5000
upstream: https://registry.internal
trusted-keys: keys        # beside this file
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from compliance.document import nearest, read_document
from compliance.errors import InvalidInput, Location


@dataclass(frozen=True, slots=True)
class SettingsFile:
    """What a file sets, by the names that the fields have, and where each stands."""

    values: Mapping[str, Any]
    lines: Mapping[str, Location]


NO_FILE = SettingsFile({}, {})


def read_settings_file(path: Path, model: type[BaseModel]) -> SettingsFile:
    """Read a file of settings for `model`. Relative paths in it begin where the file is.

    Raises InvalidInput with file and line for a key that is none, and for a file that is no plain mapping.
    Values are left for `model` to accept.
    """
    document = read_document(path)
    data = {} if document.data is None else document.data
    if not isinstance(data, dict):
        raise InvalidInput("holds no settings: write `key: value` lines", at=document.where(()))
    names = {key_of(name): name for name in model.model_fields}
    values: dict[str, Any] = {}
    lines: dict[str, Location] = {}
    for key, value in data.items():
        at = document.where((key,))
        if key not in names:
            near = nearest(key.replace("_", "-"), names)
            raise InvalidInput(f"unknown key {key!r}" + (f", did you mean {near!r}?" if near else ""), at=at)
        if value is None:
            raise InvalidInput(f"{key} has no value", at=at, remedy="Give it one, or take the line out.")
        name = names[key]
        values[name] = _beside(path, value) if is_path(model.model_fields[name]) else value
        lines[name] = at
    return SettingsFile(values, lines)


def key_of(name: str) -> str:
    """A setting's name as files and flags have it."""
    return name.replace("_", "-")


def is_path(field: FieldInfo) -> bool:
    """Whether a setting is a path, or one that may be missing."""
    return field.annotation is Path or Path in get_args(field.annotation)


def _beside(path: Path, value: Any) -> Any:
    return path.absolute().parent / value if isinstance(value, str) else value
