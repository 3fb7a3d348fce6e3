"""The registry behind the gate: requests stream through in both directions, and no blob is ever held."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Final, Self
from urllib.parse import parse_qsl, urlencode, urlsplit

import aiohttp
import httpx
from pydantic import BaseModel, ValidationError
from yarl import URL

from compliance.errors import Unavailable
from compliance.oci.authentication import Authenticator
from compliance.oci.credentials import Credentials
from compliance.oci.registry import RegistryClient
from gate.errors import Code, Fault, upstream_down

BUFFER: Final = 1 << 20
_WAIT: Final = aiohttp.ClientTimeout(total=None, connect=10, sock_connect=10, sock_read=300)
_PASSED_BACK: Final = (
    "Accept-Ranges",
    "Content-Length",
    "Content-Range",
    "Content-Type",
)
_MAX_PROBLEM: Final = 64 << 10

Answer = aiohttp.ClientResponse
"""An answer of the registry behind the gate, open while its body is read."""

log = logging.getLogger(__name__)


class Upstream:
    """One registry by root URL. Use it in an `async with`.

    Every request raises the 503 answer when the registry does not answer, so that nothing is admitted
    or served from guesses.
    """

    def __init__(self, url: str, credentials: Credentials | None) -> None:
        self.url = url
        self._credentials = credentials
        self._host = urlsplit(url).netloc
        self._plain = urlsplit(url).scheme == "http"
        self.on_failure: Callable[[], None] = lambda: None
        """Told of every request that the registry fails, or does not answer."""

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0),
            timeout=_WAIT,
            auto_decompress=False,
            read_bufsize=BUFFER,
            headers={"Accept-Encoding": "identity", "User-Agent": "mlgate"},
        )
        self._http = httpx.Client(timeout=30)
        self._auth = Authenticator(self._credentials, self._http, plain_http=self._plain)
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self._session.close()
        self._http.close()

    def client(self) -> RegistryClient:
        """A client for worker threads. The caller closes it."""
        return RegistryClient(self._host, credentials=self._credentials, plain_http=self._plain)

    async def is_up(self) -> bool:
        try:
            async with self.request("GET", "/v2/", scope="") as response:
                return response.status == httpx.codes.OK
        except Fault:
            return False

    @asynccontextmanager
    async def request(
        self,
        method: str,
        path: str,
        *,
        scope: str,
        query: str = "",
        headers: Mapping[str, str] | None = None,
        body: AsyncIterator[bytes] | bytes | None = None,
    ) -> AsyncIterator[Answer]:
        """Send a request and yield the open answer. A streamed `body` can be sent once only."""
        url = URL(f"{self.url}{path}{'?' + query if query else ''}", encoded=True)
        try:
            async with self._send(method, url, scope, headers or {}, body) as response:
                if response.status >= httpx.codes.INTERNAL_SERVER_ERROR:
                    self.on_failure()
                yield response
        except (aiohttp.ClientError, TimeoutError, Unavailable) as error:
            log.warning("%s %s to the registry did not complete: %s", method, path, error or type(error).__name__)
            self.on_failure()
            raise upstream_down() from error

    @asynccontextmanager
    async def _send(
        self,
        method: str,
        url: URL,
        scope: str,
        headers: Mapping[str, str],
        body: AsyncIterator[bytes] | bytes | None,
    ) -> AsyncIterator[Answer]:
        given = dict(headers)
        authorization = self._auth.header(scope)
        if authorization is None and self._credentials is not None and not isinstance(body, bytes | None):
            # A stream cannot be sent twice, so the registry is asked for its challenge beforehand.
            async with self._send("GET", URL(f"{self.url}/v2/"), scope, {}, None):
                authorization = self._auth.header(scope)
        if authorization is not None:
            given["Authorization"] = authorization
        async with self._session.request(
            method, url, headers=given, data=body, allow_redirects=method in {"GET", "HEAD"}
        ) as response:
            challenge = response.headers.get("WWW-Authenticate")
            if response.status != httpx.codes.UNAUTHORIZED or challenge is None:
                yield response
                return
            answer = await asyncio.to_thread(self._auth.answer, challenge, scope)
        if answer is None or answer == authorization or not isinstance(body, bytes | None):
            raise Unavailable(f"the registry {self.url} does not let the gate in")
        given["Authorization"] = answer
        async with self._session.request(
            method, url, headers=given, data=body, allow_redirects=method in {"GET", "HEAD"}
        ) as response:
            yield response


def passed_on(headers: Mapping[str, str], *names: str) -> dict[str, str]:
    """Those headers of a client's request that the registry is to see."""
    return {name: headers[name] for name in names if name in headers}


def passed_back(answer: Answer, *names: str) -> dict[str, str]:
    """Those headers of the registry's answer that the client is to see; for a blob when none are named."""
    return {name: answer.headers[name] for name in names or _PASSED_BACK if name in answer.headers}


def location_of(answer: Answer) -> str:
    """Where the registry says to go on, as path and query: whatever host it names, the gate knows one only."""
    parts = urlsplit(answer.headers.get("Location", ""))
    if not parts.path.startswith("/"):
        log.warning("the registry names no Location where it should")
        raise upstream_down()
    return parts.path + (f"?{parts.query}" if parts.query else "")


class _Problem(BaseModel):
    code: str = ""
    message: str = ""


class _Problems(BaseModel):
    errors: tuple[_Problem, ...] = ()


async def refusal(answer: Answer, unknown: Fault | None) -> Fault:
    """The registry's refusal, in the gate's words where it is not the client's business.

    `unknown` is said in place of its 404. That it does not let the gate in, or fails, is no business of the
    client's, to whom it is simply down.
    """
    status = answer.status
    if status == httpx.codes.NOT_FOUND and unknown is not None:
        return unknown
    if status in {httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN} or not 400 <= status < 500:
        log.warning("the registry answered %s %s with %d", answer.method, answer.url.path, status)
        return upstream_down()
    try:
        problem = _Problems.model_validate_json(await answer.content.read(_MAX_PROBLEM)).errors[0]
    except (ValidationError, IndexError):
        problem = _Problem()
    code = Code(problem.code) if problem.code in Code.__members__ else Code.UNSUPPORTED
    return Fault(status, code, problem.message or f"the registry behind the gate refuses this ({status})")


def with_parameters(query: str, extra: Iterable[tuple[str, str]]) -> str:
    """A query string with more parameters."""
    return urlencode([*parse_qsl(query, keep_blank_values=True), *extra])
