"""Who uses the cache right now, told by locks that end with the process that holds them."""

from __future__ import annotations

import fcntl
import os
import tempfile
import time
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

_GUARD: Final = "guard"


class Sessions:
    """The sessions of one cache, in a directory. Opening one begins a session that lasts as long as the object.

    A session is a file under a shared lock; its modification time is when it began. `guarded` keeps
    deleting apart from asking for a file: those who ask hold it together, who deletes holds it alone.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        with self.guarded():
            descriptor, name = tempfile.mkstemp(dir=directory, prefix="session-")
            fcntl.flock(descriptor, fcntl.LOCK_SH)
        self._end = weakref.finalize(self, _end, descriptor, name)

    @contextmanager
    def guarded(self, *, alone: bool = False) -> Iterator[None]:
        """Hold the guard: together with others, or alone."""
        descriptor = os.open(self._directory / _GUARD, os.O_RDWR | os.O_CREAT, 0o666)  # a lock of this call only
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
            yield
        finally:
            os.close(descriptor)

    def oldest(self) -> int:
        """When the oldest session that still lasts began, in nanoseconds since the epoch; now when none does.

        Files of sessions whose process is gone are removed.
        """
        began = [time.time_ns()]
        with self.guarded(alone=True):
            for path in self._directory.glob("session-*"):
                with suppress(FileNotFoundError):  # its session ended just now
                    descriptor = os.open(path, os.O_RDWR)
                    try:
                        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                        path.unlink()
                    except BlockingIOError:
                        began.append(os.fstat(descriptor).st_mtime_ns)
                    finally:
                        os.close(descriptor)
        return min(began)


def _end(descriptor: int, name: str) -> None:
    os.close(descriptor)
    Path(name).unlink(missing_ok=True)
