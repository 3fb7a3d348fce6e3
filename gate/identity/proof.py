"""That somebody is not who they say they are."""

from __future__ import annotations

from enum import StrEnum

from gate.errors import GateError


class Why(StrEnum):
    """Why somebody was not believed, in the words of RFC 6750, 3.1, where it has one."""

    MISSING = "nothing"
    WRONG = "wrong"
    INVALID_TOKEN = "invalid_token"  # noqa: S105 - the word of the specification


class NotProven(GateError):
    """Nobody is known to be behind a request."""

    def __init__(self, why: Why, message: str) -> None:
        super().__init__(message)
        self.why = why
