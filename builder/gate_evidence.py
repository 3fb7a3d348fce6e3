"""What a gate has admitted, fetched as an archive of judged evidence."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import httpx

from compliance.archive import save_judged
from compliance.errors import InvalidInput
from compliance.evidence import Evidence
from compliance.oci.credentials import Credentials
from compliance.oci.transport import RegistryError, Transport, is_loopback
from compliance.policy.canonical import from_canonical_json
from compliance.policy.reports import from_json
from compliance.strict_json import canonical, parse_object

MAX_LINE: Final = 256 << 20
"""The most bytes of one image's evidence and decision."""

_FIRST: Final = "/api/evidence?limit=200"
_SCOPE: Final = "registry:catalog:*"
"""What a token for questions across repositories is asked for by (distribution's token specification)."""


def fetch_judged(gate: str, directory: Path) -> int:
    """Store in `directory` what the gate at `host[:port]` knows of every image that we may review.

    Returns how many those are. Raises InvalidInput when we may review none or the answer is not what a gate says,
    RegistryError and Unavailable when it cannot be asked.
    """
    transport = Transport(gate, Credentials.from_docker_config(gate), plain_http=is_loopback(gate))
    try:
        transport.authenticate(_SCOPE)
        return sum(_store(line, directory) for line in _all_lines(transport))
    except RegistryError as error:
        if error.status != httpx.codes.FORBIDDEN:
            raise
        raise InvalidInput(
            f"{gate} shows you no evidence: {error.reason}",
            remedy="Ask those who run the gate for the role security in the repositories that you review.",
        ) from error
    finally:
        transport.close()


def _all_lines(transport: Transport) -> Iterator[bytes]:
    page: str | None = _FIRST
    while page is not None:
        with transport.send("GET", page, _SCOPE) as answer:
            yield from _lines(answer)
            page = _next(answer)


def _store(line: bytes, directory: Path) -> int:
    found: dict[str, Any] = parse_object(line, "the gate's evidence", max_bytes=MAX_LINE)
    if set(found) != {"decision", "evidence"}:
        raise InvalidInput("the gate's evidence is not a decision and what it was taken on")
    evidence = from_canonical_json(canonical(found["evidence"]), Evidence)
    save_judged(directory, evidence, from_json(canonical(found["decision"])))
    return 1


def _lines(answer: httpx.Response) -> Iterator[bytes]:
    rest = bytearray()
    for chunk in answer.iter_raw():
        *whole, last = chunk.split(b"\n")
        for part in whole:
            yield bytes(rest + part)
            rest.clear()
        rest += last
        if len(rest) > MAX_LINE:
            raise InvalidInput(f"the gate's evidence of one image is larger than {MAX_LINE:,} bytes")
    if rest:
        raise InvalidInput("the gate's evidence was cut off", remedy="Try again; the gate's log says why.")


def _next(answer: httpx.Response) -> str | None:
    """The path of the next page: another host's would be somebody else's evidence."""
    link = answer.links.get("next", {}).get("url")
    if link is None:
        return None
    parts = urlsplit(link)
    return f"{parts.path}?{parts.query}"
