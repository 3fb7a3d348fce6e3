"""Asking package indexes: with their credentials, and again where one is busy or a connection is cut."""

from __future__ import annotations

import ssl
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import httpx

from builder.index_auth import IndexAuth
from builder.indexes import has_system_certificates
from compliance.retries import TRANSIENT, Retries


class IndexClient:
    """May be used from several threads."""

    def __init__(self, http: httpx.Client, retries: Retries) -> None:
        self._http = http
        self._retries = retries

    def get(self, url: str, headers: Mapping[str, str]) -> httpx.Response:
        """The answer with its body. Raises httpx.HTTPStatusError for what is no success, and httpx.HTTPError."""
        failures = 0
        while True:
            try:
                return self._http.get(url, headers=dict(headers)).raise_for_status()
            except httpx.HTTPError as error:
                failures += 1
                if failures >= self._retries.tries or not _may_pass(error):
                    raise
            time.sleep(self._retries.wait(failures))


@contextmanager
def index_client(environment: Mapping[str, str], retries: Retries) -> Iterator[IndexClient]:
    """A client for package indexes, with the credentials that `environment` gives for them."""
    verify = ssl.create_default_context() if has_system_certificates() else True
    with httpx.Client(
        auth=IndexAuth(environment),
        headers={"Accept-Encoding": "identity"},
        timeout=httpx.Timeout(30.0),
        follow_redirects=True,
        verify=verify,
    ) as http:
        yield IndexClient(http, retries)


def _may_pass(error: httpx.HTTPError) -> bool:
    """Whether the same request may be answered a moment later."""
    if isinstance(error, httpx.HTTPStatusError):
        return error.response.status_code in TRANSIENT
    return isinstance(error, httpx.TransportError) and not isinstance(error, httpx.UnsupportedProtocol)
