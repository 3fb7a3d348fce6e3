"""The one time that may appear in what is built: SOURCE_DATE_EPOCH, where it is set."""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import UTC, datetime

from compliance.errors import InvalidInput


def source_date(environment: Mapping[str, str] = os.environ) -> str | None:
    """SOURCE_DATE_EPOCH as RFC 3339, or None where it is not set. Raises InvalidInput when it is no time."""
    text = environment.get("SOURCE_DATE_EPOCH")
    if text is None:
        return None
    try:
        return datetime.fromtimestamp(int(text), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (ValueError, OverflowError, OSError) as error:
        raise InvalidInput(
            f"SOURCE_DATE_EPOCH is {text!r}", remedy="Set it to seconds since 1970, or unset it."
        ) from error
