"""Cursors: where a page ended, as a word that a client hands back."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, Final
from urllib.parse import urlencode

from fastapi import Query, Request

from compliance.errors import InvalidInput
from compliance.oci.digest import Digest
from gate.errors import Code, Fault

MAX_PAGE: Final = 200
_LONGEST: Final = 2048
_LARGEST: Final = 2**31 - 1

Limit = Annotated[int, Query(ge=1, le=MAX_PAGE, description="The most entries on a page.")]
After = Annotated[
    str | None, Query(max_length=_LONGEST, description="The `after` of a `next` link; pages begin at the first.")
]


def next_page(request: Request, key: Sequence[Any]) -> str:
    """The address of the page after the row with this key."""
    kept = [(name, value) for name, value in request.query_params.multi_items() if name != "after"]
    return f"{request.url.path}?{urlencode([*kept, ('after', _written(key))])}"


def after_image(cursor: str | None) -> tuple[str, Digest] | None:
    """The image that a page ended with. Raises the 400 answer for what is no cursor of these pages."""
    match _read(cursor):
        case None:
            return None
        case [str() as repository, str() as digest]:
            return _text(repository), _digest(digest)
    raise _no_cursor()


def after_row(cursor: str | None) -> tuple[str, Digest, int] | None:
    """The row of an image that a page ended with."""
    match _read(cursor):
        case None:
            return None
        case [str() as repository, str() as digest, int() as number] if 0 <= number <= _LARGEST:
            return _text(repository), _digest(digest), number
    raise _no_cursor()


def after_moment(cursor: str | None) -> tuple[datetime, str] | None:
    """The decision that a page ended with."""
    match _read(cursor):
        case None:
            return None
        case [str() as at, str() as id_]:
            try:
                return datetime.fromisoformat(at).astimezone(UTC), _text(id_)
            except (ValueError, OverflowError) as error:
                raise _no_cursor() from error
    raise _no_cursor()


def _written(key: Sequence[Any]) -> str:
    parts = [part.isoformat() if isinstance(part, datetime) else part for part in key]
    return base64.urlsafe_b64encode(json.dumps(parts, separators=(",", ":")).encode()).rstrip(b"=").decode()


def _read(cursor: str | None) -> Any:
    if cursor is None:
        return None
    try:
        return json.loads(base64.urlsafe_b64decode(cursor.encode() + b"=="))
    except (binascii.Error, ValueError, RecursionError) as error:
        raise _no_cursor() from error


def _text(text: str) -> str:
    if not text.isprintable():
        raise _no_cursor()
    return text


def _digest(text: str) -> Digest:
    try:
        return Digest(text)
    except InvalidInput as error:
        raise _no_cursor() from error


def _no_cursor() -> Fault:
    return Fault(400, Code.UNSUPPORTED, "after: take it from the next of the page before")
