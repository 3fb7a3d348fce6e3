"""What a gate and the programs it runs hold in memory, watched while something is asked of it."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PAGE = 4096


@contextmanager
def bounded(pid: int, *, seconds: float, more_bytes: int) -> Iterator[None]:
    """Fail when the block takes longer, or the process and its children come to hold that much more in it."""
    before, peak = held(pid), 0
    ended = threading.Event()

    def watch() -> None:
        nonlocal peak
        while not ended.wait(0.02):
            peak = max(peak, held(pid))

    thread = threading.Thread(target=watch)
    thread.start()
    begin = time.monotonic()
    try:
        yield
    finally:
        ended.set()
        thread.join()
    assert time.monotonic() - begin < seconds
    assert peak - before < more_bytes, f"{(peak - before) >> 20} MiB more than before"


def held(pid: int) -> int:
    """Bytes of a process and its children that are in memory."""
    total = 0
    try:
        total += int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE
        for task in Path(f"/proc/{pid}/task").iterdir():
            total += sum(held(int(child)) for child in (task / "children").read_text().split())
    except (FileNotFoundError, ProcessLookupError):
        return total
    return total
