"""TOML files with the line of every value, so that errors in them can name file and line as YAML ones do.

The values come from tomllib. The lines are found beside it, by the headers and keys at the start of
lines; a key inside an inline table or a value of several lines has the line of the key that holds it.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any, Final

from compliance.document import Document, Key, KeyPath
from compliance.errors import InvalidInput, Location

MAX_BYTES: Final = 20_000_000

_HEADER: Final = re.compile(r"\s*(\[\[?)\s*([^\]]+?)\s*\]\]?\s*(?:#.*)?")
_ASSIGNMENT: Final = re.compile(r"\s*((?:[A-Za-z0-9_-]+|\"[^\"]*\"|'[^']*')(?:\s*\.\s*[A-Za-z0-9_\"'-]+)*)\s*=")
_LINE_IN_MESSAGE: Final = re.compile(r"\(at line (\d+), column \d+\)")


def read_toml_document(path: Path) -> Document:
    """Read a TOML file. Raises InvalidInput, with the line where one is known, when it cannot be read."""
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise InvalidInput(f"cannot be read: {error.strerror}", at=Location(path)) from error
    return parse_toml_document(raw, path)


def parse_toml_document(raw: bytes, path: Path) -> Document:
    """As read_toml_document, for bytes already in memory; `path` is used in messages only."""
    if len(raw) > MAX_BYTES:
        raise InvalidInput(f"is larger than {MAX_BYTES:,} bytes", at=Location(path))
    try:
        text = raw.decode("utf-8")
        data = tomllib.loads(text)
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise InvalidInput("is not UTF-8 text", at=Location(path, line)) from error
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        found = _LINE_IN_MESSAGE.search(str(error))
        at = Location(path, int(found[1]) if found else None)
        raise InvalidInput(f"is not valid TOML: {_LINE_IN_MESSAGE.sub('', str(error)).strip()}", at=at) from error
    return Document(path, data, _lines_of(text, data))


def _lines_of(text: str, data: dict[str, Any]) -> dict[KeyPath, int]:
    lines: dict[KeyPath, int] = {(): 1}
    counts: dict[KeyPath, int] = {}
    table: KeyPath = ()
    for number, line in enumerate(text.splitlines(), start=1):
        header = _HEADER.fullmatch(line)
        if header is not None:
            table = _resolved(_parts(header[2]), header[1] == "[[", counts)
            for part in (table, table[:-1]):  # an array of tables begins where its first table does
                if _holds(data, part):
                    lines.setdefault(part, number)
            continue
        assignment = _ASSIGNMENT.match(line)
        if assignment is not None:
            key_path = (*table, *_parts(assignment[1]))
            if _holds(data, key_path):
                lines.setdefault(key_path, number)
    return lines


def _parts(dotted: str) -> tuple[str, ...]:
    return tuple(part.strip().strip("\"'") for part in re.findall(r"\"[^\"]*\"|'[^']*'|[^.]+", dotted))


def _resolved(parts: tuple[str, ...], is_array: bool, counts: dict[KeyPath, int]) -> KeyPath:
    """The path of a header with the index of each array of tables on the way put in."""
    path: tuple[Key, ...] = ()
    for depth, part in enumerate(parts, start=1):
        path = (*path, part)
        if is_array and depth == len(parts):
            counts[path] = counts.get(path, -1) + 1
        if path in counts:
            path = (*path, counts[path])
    return path


def _holds(data: Any, key_path: KeyPath) -> bool:
    for key in key_path:
        try:
            data = data[key]
        except (KeyError, IndexError, TypeError):
            return False
    return True
