"""One process at a time: an advisory lock on a file, which the kernel lets go of when its holder dies."""

from __future__ import annotations

import fcntl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from compliance.errors import Unavailable

_PAUSE: Final = 0.02


@contextmanager
def exclusive(path: Path, *, patience: float) -> Iterator[None]:
    """Hold the lock on `path`, waiting up to `patience` seconds for other threads and processes.

    Raises Unavailable when it is still held then.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    deadline = time.monotonic() + patience
    with path.open("ab") as stream:
        while True:
            try:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError as error:
                if time.monotonic() >= deadline:
                    raise Unavailable(
                        f"{path} has been held by another process for {patience:.0f} s",
                        remedy="Wait until the other scan has ended, then try again.",
                    ) from error
                time.sleep(_PAUSE)
        yield
