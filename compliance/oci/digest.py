"""Content digests as the OCI image specification (v1.1, "Digests") writes them."""

from __future__ import annotations

import functools
import hashlib
import re
from collections.abc import Iterable
from typing import Any, Final

from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

from compliance.errors import InvalidInput

_HEX_LENGTH: Final = {"sha256": 64, "sha512": 128}
_FORM: Final = re.compile(r"(?P<algorithm>[a-z0-9]+):(?P<hex>[0-9a-f]+)")


class Digest(str):
    """`algorithm:hex`, checked when made: sha256 with 64 or sha512 with 128 lower-case hexadecimal digits.

    Raises InvalidInput for any other text.
    """

    __slots__ = ()

    def __new__(cls, text: str) -> Digest:
        match = _FORM.fullmatch(text)
        if match is None or _HEX_LENGTH.get(match["algorithm"]) != len(match["hex"]):
            raise InvalidInput(f"not a digest: {text!r}", remedy="Write sha256: and 64 lower-case hex digits.")
        return super().__new__(cls, text)

    @property
    def algorithm(self) -> str:
        return self.partition(":")[0]

    @property
    def hex(self) -> str:
        return self.partition(":")[2]

    @classmethod
    def of(cls, data: bytes, algorithm: str = "sha256") -> Digest:
        """The digest of `data`."""
        return cls(f"{algorithm}:{hashlib.new(algorithm, data).hexdigest()}")

    @classmethod
    def of_chunks(cls, chunks: Iterable[bytes]) -> Digest:
        """The sha256 digest of a stream, read once."""
        state = hashlib.sha256()
        for chunk in chunks:
            state.update(chunk)
        return cls("sha256:" + state.hexdigest())

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(_checked, core_schema.str_schema())


@functools.lru_cache(maxsize=1 << 14)
def _checked(text: str) -> Digest:
    """Kept, since stored evidence names the same few layers again and again."""
    try:
        return Digest(text)
    except InvalidInput as error:
        raise ValueError(error.message) from error
