"""Downloads by hash into the cache: several at once, each as `builder.download` does it."""

from __future__ import annotations

import netrc
import ssl
import threading
from collections.abc import Generator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Final

import httpx

from builder.cache import Cache
from builder.download import Artifact, Download, FetchError, Retries
from builder.progress import Progress

__all__ = ["Artifact", "FetchError", "Retries", "fetch"]

_TIMEOUT: Final = httpx.Timeout(30.0, connect=15.0)


def fetch(
    artifacts: Sequence[Artifact],
    cache: Cache,
    progress: Progress,
    *,
    workers: int = 8,
    retries: Retries = Retries(),  # noqa: B008 - frozen
) -> Mapping[str, Path]:
    """The files by sha256, from the cache or fetched into it.

    Raises FetchError for the first that cannot be had or is not what it should be; the others are then
    given up, and what had arrived of them is kept for the next time.
    """
    found = {artifact.sha256: cache.get(artifact.digest) for artifact in artifacts}
    missing = list({a.sha256: a for a in artifacts if found[a.sha256] is None}.values())
    if missing:
        total = sum(artifact.size or 0 for artifact in missing)
        progress.step(f"Downloading {len(missing)} files, {total / 1e6:,.0f} MB")
        found.update(_fetch_all(missing, cache, progress, workers, retries))
    return {sha256: path for sha256, path in found.items() if path is not None}


def _fetch_all(
    artifacts: Sequence[Artifact], cache: Cache, progress: Progress, workers: int, retries: Retries
) -> dict[str, Path]:
    stop = threading.Event()
    with (
        httpx.Client(verify=_trusted(), timeout=_TIMEOUT, follow_redirects=True, auth=_credentials()) as client,
        ThreadPoolExecutor(workers, "fetch") as pool,
    ):

        def one(artifact: Artifact) -> tuple[str, Path]:
            with progress.bytes(artifact.name, artifact.size) as advance:
                return artifact.sha256, Download(artifact, cache, client, retries, stop, advance).run()

        # The biggest first: a big one started last would keep everybody waiting.
        ordered = sorted(artifacts, key=lambda artifact: -(artifact.size or 0))
        futures = [pool.submit(one, artifact) for artifact in ordered]
        try:
            return dict(future.result() for future in as_completed(futures))
        finally:
            stop.set()
            for future in futures:
                future.cancel()


def _trusted() -> ssl.SSLContext:
    """The usual public certificate authorities, and the system's, which may include a company's own."""
    context = httpx.create_ssl_context()
    context.load_default_certs()
    return context


def _credentials() -> httpx.Auth | None:
    """What ~/.netrc says of hosts, as pip and uv read it; credentials in a URL come first."""
    try:
        return _UrlThenNetrc()
    except FileNotFoundError:
        return None
    except (netrc.NetrcParseError, OSError) as error:
        raise FetchError("~/.netrc cannot be read", remedy="Correct the file or remove it.") from error


class _UrlThenNetrc(httpx.NetRCAuth):
    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        if request.url.userinfo:
            yield from httpx.BasicAuth(request.url.username, request.url.password).auth_flow(request)
        else:
            yield from super().auth_flow(request)
