"""One message over HTTP: within a time, without following anything, and with a fresh signature each time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from importlib.metadata import version
from typing import Final

import httpx

from compliance.errors import InvalidInput
from compliance.policy.wording import printable
from gate.notify.notify_file import Sink
from gate.notify.signing import signed
from gate.notify.tables import StoredDelivery

SECONDS: Final = 10.0
"""For all of a try: name, connection, TLS, request and the head of the answer."""

_SHOWN: Final = 200
_DOWN: Final = frozenset({401, 403, 404, 410, 429})
"""What is said whatever the message."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of a try. `said` is for people; `asked` is how long the receiver wants to be left alone.

    Where the receiver is `down`, other messages would fare no better.
    """

    taken: bool
    said: str
    asked: timedelta | None = None
    down: bool = True


def client() -> httpx.AsyncClient:
    """What messages are sent with. A redirect is an answer like any other that takes nothing."""
    headers = {"User-Agent": f"mlgate/{version('mlbuild')}"}
    return httpx.AsyncClient(
        headers=headers,
        timeout=SECONDS,
        follow_redirects=False,
        mounts={"http://": httpx.AsyncHTTPTransport()},  # this machine, which no proxy leads to
    )


async def send(
    http: httpx.AsyncClient, sink: Sink, delivery: StoredDelivery, now: Callable[[], datetime]
) -> Answer:
    """Try once. Whatever goes wrong is an answer, which holds neither address nor secret."""
    try:
        url, keys = sink.address(), sink.signing_keys()
    except InvalidInput as error:
        return Answer(False, error.message)
    headers = {"Content-Type": delivery.media_type}
    if keys:
        headers.update(signed(delivery.id, now(), delivery.body, keys))
    try:
        async with (
            asyncio.timeout(SECONDS),
            http.stream("POST", url, content=delivery.body, headers=headers) as response,
        ):
            return _read(response)
    except (TimeoutError, httpx.TimeoutException):
        return Answer(False, f"no answer within {SECONDS:g} s")
    except httpx.ConnectError as error:
        return Answer(False, f"no connection: {printable(str(error))[:_SHOWN]}")
    except (httpx.HTTPError, httpx.InvalidURL) as error:  # whose text may repeat the address
        return Answer(False, f"no answer: {type(error).__name__}")


def _read(response: httpx.Response) -> Answer:
    """The status alone counts: what else the receiver says is read by nobody."""
    said = f"{response.status_code} {printable(response.reason_phrase)}"[:_SHOWN].strip()
    if response.is_success:
        return Answer(True, said, down=False)
    if response.is_redirect:
        return Answer(False, f"{said}; redirects are not followed")
    down = response.is_server_error or response.status_code in _DOWN
    return Answer(False, said, _asked(response.headers.get("Retry-After", "")), down)


def _asked(text: str) -> timedelta | None:
    return timedelta(seconds=int(text)) if text.isascii() and text.isdigit() and len(text) < 8 else None
