"""Credentials of private indexes, sent to their hosts and to nobody else."""

from __future__ import annotations

import netrc
from collections.abc import Generator, Mapping
from pathlib import Path

import httpx

from builder.indexes import index_credentials
from compliance.errors import InvalidInput, Location


class IndexAuth(httpx.Auth):
    """Sends the credentials of an index, and only to that index's host.

    They come from the address that is asked, else from the index addresses in the environment and in pip's
    settings (`UV_INDEX=https://user:token@host/simple`), else from ~/.netrc.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._by_host = dict(index_credentials(environment))
        self._netrc = _netrc(environment)

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        found = self._by_host.get(request.url.netloc.decode("ascii"))
        if request.url.userinfo:
            basic = httpx.BasicAuth(request.url.username, request.url.password)
            yield from basic.auth_flow(request)
        elif found is not None:
            basic = httpx.BasicAuth(*found)
            yield from basic.auth_flow(request)
        elif self._netrc is not None:
            yield from self._netrc.auth_flow(request)
        else:
            yield request


def _netrc(environment: Mapping[str, str]) -> httpx.NetRCAuth | None:
    path = Path(environment.get("NETRC") or Path(environment.get("HOME", "/nonexistent")) / ".netrc")
    try:
        return httpx.NetRCAuth(str(path)) if path.is_file() else None
    except (netrc.NetrcParseError, OSError) as error:
        raise InvalidInput("cannot be read", at=Location(path), remedy="Correct the file or remove it.") from error
