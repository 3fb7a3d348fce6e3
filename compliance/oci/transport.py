"""HTTP with one registry: authentication, its errors as ours, and nothing said to any other host."""

from __future__ import annotations

import functools
import ipaddress
import ssl
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Final
from urllib.parse import urljoin, urlsplit

import httpx
from pydantic import BaseModel, ValidationError

from compliance.errors import ComplianceError, Unavailable
from compliance.oci.authentication import Authenticator
from compliance.oci.credentials import Credentials

CHUNK: Final = 1 << 20
MAX_DOCUMENT: Final = 4 << 20
"""Bytes; the least that the distribution specification wants every registry to take, and the most we read."""

_WAIT: Final = httpx.Timeout(connect=10, read=600, write=120, pool=60)
"""Seconds. A manifest PUT is answered when the verdict stands, which may take minutes."""

Body = Callable[[], bytes | Iterable[bytes]]


class RegistryError(ComplianceError):
    """The registry answered with an error.

    `status` is HTTP's, `code` the distribution specification's word for it, `reason` the registry's own text.
    `retry_after` is how many seconds it asks to be left alone, where it does; `headers` is all it said besides.
    """

    def __init__(
        self,
        status: int,
        code: str,
        reason: str,
        *,
        asked: str = "",
        remedy: str | None = None,
        retry_after: float | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(f"{asked}: {reason}" if asked else reason, remedy=remedy)
        self.status = status
        self.code = code
        self.reason = reason
        self.retry_after = retry_after
        self.headers = httpx.Headers(headers)


class _Problem(BaseModel):
    code: str = "UNKNOWN"
    message: str = ""


class _Problems(BaseModel):
    errors: tuple[_Problem, ...] = ()


class Transport:
    """Requests to one registry, `host[:port]`. Raises Unavailable when it does not answer."""

    def __init__(self, registry: str, credentials: Credentials | None, *, plain_http: bool) -> None:
        self.registry = registry
        self._base = f"{'http' if plain_http else 'https'}://{registry}"
        trust_env = not is_loopback(registry)
        self._http = httpx.Client(
            timeout=_WAIT,
            trust_env=trust_env,
            # Needed even so: a registry may lead on to a storage that is spoken to over TLS.
            verify=_authorities(trust_env=trust_env) if plain_http else True,
            limits=httpx.Limits(max_connections=32),
            headers={"Accept-Encoding": "identity", "User-Agent": "mlbuild"},
        )
        self._auth = Authenticator(credentials, self._http, plain_http=plain_http)

    def close(self) -> None:
        self._http.close()

    @contextmanager
    def send(
        self,
        method: str,
        url: str,
        scope: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: Body | None = None,
        accept: tuple[int, ...] = (200,),
    ) -> Iterator[httpx.Response]:
        """Send a request, again with credentials when the registry asks for them, and yield the open answer.

        `url` is a path or whatever the registry named in a Location. `body` is called once an attempt. An
        answer whose status is not in `accept` is raised as RegistryError.
        """
        url = urljoin(self._base, url)
        asked = f"{method} {urlsplit(url)._replace(query='').geturl()}"
        try:
            response = self._attempt(method, url, self._auth.header(scope), headers, body)
            if response.status_code == httpx.codes.UNAUTHORIZED and self._is_ours(url):
                challenge = response.headers.get("WWW-Authenticate", "")
                authorization = self._auth.answer(challenge, scope)
                if authorization is not None:
                    response.read()  # to its end, so that the connection can be used again
                    response.close()
                    response = self._attempt(method, url, authorization, headers, body)
            try:
                if response.status_code not in accept:
                    raise self._error(response, asked)
                yield response
            finally:
                response.close()
        except httpx.HTTPError as error:
            raise Unavailable(
                f"{asked}: {str(error) or type(error).__name__}",
                remedy=f"Check that the registry {self.registry} runs and can be reached.",
            ) from error

    def authenticate(self, scope: str) -> None:
        """Get what proves us for `scope` also on paths whose own challenge knows no sessions."""
        with self.send("GET", "/v2/", scope):
            pass

    def document(self, response: httpx.Response) -> bytes:
        """The body of an answer that is a document, at most MAX_DOCUMENT bytes."""
        data = bytearray()
        for chunk in response.iter_raw():
            data += chunk
            if len(data) > MAX_DOCUMENT:
                raise RegistryError(
                    response.status_code, "UNKNOWN", f"the answer is larger than {MAX_DOCUMENT:,} bytes"
                )
        return bytes(data)

    def location(self, response: httpx.Response) -> str:
        """Where the registry says to go on."""
        target: str | None = response.headers.get("Location")
        if not target:
            raise RegistryError(response.status_code, "UNKNOWN", "the answer to an upload has no Location")
        return urljoin(str(response.url), target)

    def _attempt(
        self,
        method: str,
        url: str,
        authorization: str | None,
        headers: Mapping[str, str] | None,
        body: Body | None,
    ) -> httpx.Response:
        given = dict(headers or {})
        if authorization is not None and self._is_ours(url):
            given["Authorization"] = authorization
        request = self._http.build_request(method, url, headers=given, content=None if body is None else body())
        return self._http.send(request, stream=True, follow_redirects=method in {"GET", "HEAD"})

    def _is_ours(self, url: str) -> bool:
        parts = urlsplit(url)
        return f"{parts.scheme}://{parts.netloc}" == self._base

    def _error(self, response: httpx.Response, asked: str) -> RegistryError:
        status = response.status_code
        try:
            problems = _Problems.model_validate_json(self.document(response)).errors
        except ValidationError:
            problems = ()
        first = problems[0] if problems else _Problem(code=_CODES.get(status, "UNKNOWN"))
        reason = first.message or f"{response.status_code} {response.reason_phrase}".strip()
        remedy = f"Log in first: docker login {self.registry}" if status == httpx.codes.UNAUTHORIZED else None
        seconds = response.headers.get("Retry-After", "")
        retry_after = float(seconds) if seconds.isdecimal() else None  # else it is a date, of another clock
        return RegistryError(
            status,
            first.code,
            reason,
            asked=asked,
            remedy=remedy,
            retry_after=retry_after,
            headers=response.headers,
        )


@functools.cache
def _authorities(*, trust_env: bool) -> ssl.SSLContext:
    """Whom certificates are believed from. Read once, since that takes longer than most requests."""
    return httpx.create_ssl_context(trust_env=trust_env)


_CODES: Final = {401: "UNAUTHORIZED", 403: "DENIED", 404: "NOT_FOUND", 405: "UNSUPPORTED", 429: "TOOMANYREQUESTS"}


def is_loopback(registry: str) -> bool:
    """Whether `host[:port]` is this machine, which is spoken to without TLS or proxy."""
    host = urlsplit(f"//{registry}").hostname or ""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
