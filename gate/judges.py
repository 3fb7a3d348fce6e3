"""Judging beside the event loop: a few images at a time, and each digest once however many push it at once."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from compliance.oci.digest import Digest
from gate.arrival import Push
from gate.errors import Code, Fault
from gate.publication import Ruling

PUBLISHERS: Final = 4


class Judges:
    """Worker threads for what `Admission` does. `patience` is how long a client is kept waiting, in seconds."""

    def __init__(
        self,
        judge: Callable[[Push], Ruling],
        publish: Callable[[Push, Ruling], None],
        *,
        threads: int,
        patience: float,
    ) -> None:
        self._judge = judge
        self._publish = publish
        self._patience = patience
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="judge")
        self._publishers = ThreadPoolExecutor(PUBLISHERS, thread_name_prefix="publisher")
        self._under_way: dict[tuple[str, Digest, str], asyncio.Future[Ruling]] = {}

    def close(self) -> None:
        """Drop what waits, and wait for what is being judged or published."""
        self._threads.shutdown(cancel_futures=True)
        self._publishers.shutdown()

    def under_way(self) -> int:
        """How many manifests are being judged, or wait for it."""
        return len(self._under_way)

    async def ruling(self, push: Push) -> Ruling:
        """The ruling on a push, or the one already being worked on for the same manifest.

        A client that goes away, or is told to come back, does not stop the work: the next push finds it done.
        """
        key = (push.repository, push.digest, push.document.media_type)
        work = self._under_way.get(key)
        if work is None:
            # In a copy of the context, so that what is logged bears the id of the request that began it.
            judge = contextvars.copy_context().run
            work = asyncio.get_running_loop().run_in_executor(self._threads, judge, self._judge, push)
            self._under_way[key] = work
            work.add_done_callback(lambda done: self._forget(key, done))
        try:
            return await asyncio.wait_for(asyncio.shield(work), self._patience)
        except TimeoutError as error:
            message = f"could not decide within {self._patience:g} s; push again to be told the verdict"
            raise Fault(403, Code.DENIED, message) from error

    async def publish(self, push: Push, ruling: Ruling) -> None:
        """Publish, whether or not the client stays for it."""
        loop = asyncio.get_running_loop()
        publish = contextvars.copy_context().run
        await asyncio.shield(loop.run_in_executor(self._publishers, publish, self._publish, push, ruling))

    def _forget(self, key: tuple[str, Digest, str], done: asyncio.Future[Ruling]) -> None:
        del self._under_way[key]
        if not done.cancelled():
            done.exception()  # those who waited have it; nobody waiting is no reason for a warning
