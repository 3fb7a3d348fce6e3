"""The most bytes that a blob may have, held while it streams in."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping

from gate.errors import Code, Fault


class Bounded:
    """A body that ends where it has more bytes than are left; `exceeded` then says so."""

    def __init__(self, body: AsyncIterator[bytes], left: int) -> None:
        self._body = body
        self._left = left
        self.exceeded = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for chunk in self._body:
            self._left -= len(chunk)
            if self._left < 0:
                self.exceeded = True
                return
            yield chunk


def says_too_much(headers: Mapping[str, str], left: int) -> bool:
    """Whether a request says itself that its body is larger."""
    said = headers.get("Content-Length", "")
    return said.isdecimal() and int(said[:20]) > left


def received(headers: Mapping[str, str]) -> int:
    """How many bytes of an upload have arrived, by the Range that a registry answers with. Empty is `0-0` too."""
    end = headers.get("Range", "0-0").rpartition("-")[2]
    return int(end) + 1 if end.isdecimal() and end != "0" else 0


def too_large(limit: int) -> Fault:
    return Fault(413, Code.SIZE_INVALID, f"a blob may have {limit:,} bytes, this one has more")
