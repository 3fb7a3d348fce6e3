"""Where a message may go, and what it is signed with: what an operator wrote, and nobody else.

No address is ever taken from an image, a push or an answer. Errors repeat neither addresses nor secrets.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from compliance.errors import InvalidInput
from compliance.oci.transport import is_loopback
from gate.notify.signing import parse_secret

MOST_BYTES: Final = 4096
"""Of a file that holds an address or a secret."""


def check_url(text: str) -> str:
    """An address as it may be sent to. Raises ValueError that does not repeat it, since it may be a secret."""
    try:
        parts = urlsplit(text.strip())
        port = parts.port
    except ValueError:
        raise ValueError("the address is no URL") from None
    if not parts.hostname or port == 0:
        raise ValueError("the address is no URL: write https://HOST[:PORT]/PATH")
    if parts.scheme != "https" and not (parts.scheme == "http" and is_loopback(parts.netloc)):
        raise ValueError("the address must begin with https://; http:// is for this machine alone")
    if "@" in parts.netloc or parts.fragment:
        raise ValueError("write the address without a login and without `#`")
    if any(character.isspace() or not character.isprintable() for character in text.strip()):
        raise ValueError("the address has a blank in it")
    return text.strip()


def read_url(path: Path) -> str:
    """The address in a file. Raises InvalidInput when it cannot be read or sent to."""
    try:
        return check_url(_read(path))
    except ValueError as error:
        raise InvalidInput(f"{path}: {error}") from None


def read_secret(file: Path | None, variable: str | None) -> bytes:
    """The key in a file or variable. Raises InvalidInput when there is none."""
    where = str(file) if file is not None else f"the variable {variable}"
    try:
        text = _read(file) if file is not None else os.environ.get(variable or "")
        if text is None:
            raise InvalidInput(f"{where} is not set")
        return parse_secret(text)
    except ValueError as error:
        raise InvalidInput(f"{where} holds no secret: {error}") from None


def _read(path: Path) -> str:
    try:
        with path.open(encoding="utf-8") as file:
            return file.read(MOST_BYTES)
    except OSError as error:
        raise InvalidInput(f"{path} cannot be read: {error.strerror}") from error
