"""Signatures of messages, after the Standard Webhooks specification 1.0 (symmetric, `v1`)."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

PREFIX: Final = "whsec_"
LEAST: Final = 24
MOST: Final = 64
"""Bytes of a secret."""


def parse_secret(text: str) -> bytes:
    """The key in a secret as people keep it, `whsec_` and base64. Raises ValueError that does not repeat it."""
    form = f"write {PREFIX} and the base64 form of {LEAST} to {MOST} random bytes"
    stripped = text.strip()
    if not stripped.startswith(PREFIX):
        raise ValueError(form)
    try:
        key = base64.b64decode(stripped.removeprefix(PREFIX), validate=True)
    except binascii.Error:
        raise ValueError(form) from None
    if not LEAST <= len(key) <= MOST:
        raise ValueError(form)
    return key


def signed(id_: str, at: datetime, body: bytes, keys: Sequence[bytes]) -> Mapping[str, str]:
    """The headers of a message sent `at` a time. A receiver accepts it that has any of the keys."""
    seconds = str(int(at.timestamp()))
    content = b".".join((id_.encode(), seconds.encode(), body))
    signatures = (base64.b64encode(hmac.new(key, content, hashlib.sha256).digest()).decode() for key in keys)
    return {
        "webhook-id": id_,
        "webhook-timestamp": seconds,
        "webhook-signature": " ".join(f"v1,{signature}" for signature in signatures),
    }
