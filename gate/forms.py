"""Forms that are sent to the gate (application/x-www-form-urlencoded)."""

from __future__ import annotations

from typing import Final
from urllib.parse import parse_qs

from fastapi import Request

from gate.errors import Code, Fault

MAX_FORM: Final = 64 << 10


async def read_form(request: Request) -> dict[str, str]:
    """The fields that are given once. Raises the 400 or 413 answer for what is no form."""
    raw = bytearray()
    async for chunk in request.stream():
        raw += chunk
        if len(raw) > MAX_FORM:
            raise Fault(413, Code.SIZE_INVALID, f"a form may have {MAX_FORM:,} bytes")
    try:
        given = parse_qs(raw.decode("ascii"), strict_parsing=bool(raw), errors="strict", max_num_fields=20)
    except ValueError as error:
        raise Fault(400, Code.UNSUPPORTED, "the body is not a form") from error
    return {name: values[0] for name, values in given.items() if len(values) == 1}
