"""A file that is read again when it changes."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final, Generic, TypeVar

from compliance.errors import InvalidInput

T = TypeVar("T")

log = logging.getLogger(__name__)

_ABSENT: Final = (0, 0, 0)


class Watched(Generic[T]):
    """What `read` makes of a file, as it is now; `nothing` while there is no file.

    A file that is broken when it is first read raises InvalidInput. One that breaks later counts as
    `nothing`, which must allow nothing, and is logged.
    """

    def __init__(self, path: Path, read: Callable[[Path], T], nothing: T) -> None:
        self.path = path
        self._read = read
        self._nothing = nothing
        self._lock = threading.Lock()
        self._stamp = self._stamp_now()
        self._value = nothing if self._stamp == _ABSENT else read(path)

    def __call__(self) -> T:
        stamp = self._stamp_now()
        with self._lock:
            if stamp != self._stamp:
                self._value = self._nothing if stamp == _ABSENT else self._again()
                self._stamp = stamp
            return self._value

    def _again(self) -> T:
        try:
            return self._read(self.path)
        except InvalidInput:
            log.exception(
                "%s was changed into something that cannot be read; what it allowed is refused", self.path
            )
            return self._nothing

    def _stamp_now(self) -> tuple[int, int, int]:
        try:
            status = self.path.stat()
        except (FileNotFoundError, NotADirectoryError):
            return _ABSENT
        return (status.st_mtime_ns, status.st_size, status.st_ino)
