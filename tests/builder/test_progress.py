from __future__ import annotations

import io
import threading
from concurrent.futures import ThreadPoolExecutor

from rich.console import Console

from builder.progress import Shown


def test_tasks_of_many_threads_share_the_bars_and_leave_none() -> None:
    written = io.StringIO()
    shown = Shown(Console(file=written, force_terminal=True, width=100))
    together = threading.Barrier(8)

    def work(number: int) -> None:
        together.wait()
        for _ in range(20):
            with shown.bytes(f"file {number}", 100) as advance:
                advance(50)
                advance(50)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))
    shown.step("done")
    assert written.getvalue().rstrip().endswith("done")
    for thread in threading.enumerate():
        if type(thread).__name__ == "_RefreshThread":
            thread.join(timeout=120)  # it was told to end, and does so at its next look
            assert not thread.is_alive()


def test_logs_get_a_line_a_step_and_no_bars() -> None:
    written = io.StringIO()
    shown = Shown(Console(file=written, force_terminal=False, width=100))
    shown.step("Downloading")
    with shown.bytes("file", 100) as advance:
        advance(100)
    assert written.getvalue() == "· Downloading\n"
