"""`pylock.toml` as the standard has it (PEP 751), whoever wrote it: validated, with the line of what is wrong."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from packaging.pylock import Pylock, PylockUnsupportedVersionError, PylockValidationError

from compliance.document import Document, Key
from compliance.errors import InvalidInput

SHA256: Final = re.compile(r"[0-9a-f]{64}")

_STEP: Final = re.compile(r"(?P<key>[^.\[\]]+)|\[(?P<index>[0-9]+)\]")


def parse_pylock(document: Document) -> Pylock:
    """The file as PEP 751 sees it. Raises InvalidInput, with the line, where it is not as the standard says."""
    try:
        return Pylock.from_dict(document.data)
    except PylockUnsupportedVersionError as error:
        raise InvalidInput(
            f"{error.message}: this version of mlbuild knows 1.0", at=document.where(("lock-version",))
        ) from error
    except PylockValidationError as error:
        at = tuple(
            step["key"] if step["key"] else int(step["index"]) for step in _STEP.finditer(error.context or "")
        )
        where = error.context or "the file"
        raise InvalidInput(
            f"{error.message} ({where}{_package_at(document, at)})", at=document.where(at)
        ) from error


def _package_at(document: Document, at: Sequence[Key]) -> str:
    if len(at) < 2 or at[0] != "packages" or not isinstance(at[1], int):
        return ""
    name = document.data["packages"][at[1]].get("name")
    return f", package {name}" if isinstance(name, str) else ""
