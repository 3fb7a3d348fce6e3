"""Downloads by hash into the cache: several at once, each as `builder.download` does it."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from pathlib import Path

from builder.artifact import Artifact, FetchError
from builder.cache import Cache
from builder.progress import Progress
from compliance.retries import Retries

__all__ = ["Artifact", "FetchError", "Retries", "arrived", "fetch", "fetching"]


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
    with fetching(artifacts, cache, progress, workers=workers, retries=retries) as arrivals:
        return arrived(arrivals)


def arrived(arrivals: Mapping[str, Future[Path]]) -> dict[str, Path]:
    """Wait for all of them. Raises what the first that failed raised."""
    for future in as_completed(arrivals.values()):
        future.result()
    return {sha256: future.result() for sha256, future in arrivals.items()}


@contextmanager
def fetching(
    artifacts: Sequence[Artifact],
    cache: Cache,
    progress: Progress,
    *,
    workers: int = 8,
    retries: Retries = Retries(),  # noqa: B008 - frozen
) -> Iterator[Mapping[str, Future[Path]]]:
    """Fetch while the block runs: the files by sha256, as they will be there; see `fetch`.

    What has not arrived at the end of the block is given up.
    """
    arrivals: dict[str, Future[Path]] = {}
    missing: dict[str, Artifact] = {}
    for artifact in artifacts:
        path = cache.get(artifact.digest)
        if path is None:
            missing[artifact.sha256] = artifact
        else:
            arrivals[artifact.sha256] = Future()
            arrivals[artifact.sha256].set_result(path)
    if not missing:
        yield arrivals
        return
    from builder.download import Download, download_client  # imported where something is not there yet

    total = sum(artifact.size or 0 for artifact in missing.values())
    progress.step(f"Downloading {len(missing)} files, {total / 1e6:,.0f} MB")
    stop = threading.Event()
    with (
        download_client() as client,
        ThreadPoolExecutor(workers, "fetch") as pool,
    ):

        def one(artifact: Artifact) -> Path:
            with progress.bytes(artifact.name, artifact.size) as advance:
                return Download(artifact, cache, client, retries, stop, advance).run()

        # The biggest first: a big one started last would keep everybody waiting.
        for artifact in sorted(missing.values(), key=lambda artifact: -(artifact.size or 0)):
            arrivals[artifact.sha256] = pool.submit(one, artifact)
        try:
            yield arrivals
        finally:
            stop.set()
            for future in arrivals.values():
                future.cancel()
