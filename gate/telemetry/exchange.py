"""One request and its answer: the id by which both are found again, and what is told of them."""

from __future__ import annotations

import re
import secrets
from contextvars import ContextVar, Token
from dataclasses import dataclass, field
from typing import Final

from compliance.policy.decision import Mode, Verdict

HEADER: Final = "X-Request-Id"
ID_BYTES: Final = 8
_SANE: Final = re.compile(r"[A-Za-z0-9._:/+=-]{1,128}")


@dataclass(slots=True)
class Exchange:
    """What is known of one request so far.

    `id` is always the gate's own, so that no client can make two requests look like one; what the client calls
    it, when that is a sane word, is `caller_id`. Bytes are those of bodies. `status` is 0 until an answer begins.
    """

    method: str
    path: str
    client: str | None = None
    caller_id: str | None = None
    id: str = field(default_factory=lambda: secrets.token_hex(ID_BYTES))
    route: str | None = None
    repository: str | None = None
    user: str | None = None
    verdict: Verdict | None = None
    mode: Mode | None = None
    decision: str | None = None
    status: int = 0
    received: int = 0
    sent: int = 0


_current: ContextVar[Exchange | None] = ContextVar("exchange", default=None)


def current() -> Exchange | None:
    """The request being answered, also in the threads that work for it; None outside of any."""
    return _current.get()


def enter(exchange: Exchange) -> Token[Exchange | None]:
    """Make `exchange` the current one, until `leave`."""
    return _current.set(exchange)


def leave(token: Token[Exchange | None]) -> None:
    _current.reset(token)


def asked_by(user: str) -> None:
    """Note who is asking."""
    exchange = _current.get()
    if exchange is not None:
        exchange.user = user


def judged(decision: str, verdict: Verdict, mode: Mode) -> None:
    """Note the verdict that answers this request."""
    exchange = _current.get()
    if exchange is not None:
        exchange.decision, exchange.verdict, exchange.mode = decision, verdict, mode


def sane_id(given: str | None) -> str | None:
    """What a client calls its request, unless that could be mistaken for something else in a log."""
    return given if given is not None and _SANE.fullmatch(given) else None
