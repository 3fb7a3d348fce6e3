"""How long work tells a person what it is doing, without knowing whether anybody looks."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    DownloadColumn,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.progress import Progress as RichProgress

Advance = Callable[[int], None]


class Progress(Protocol):
    """Where work reports to. Both methods may be called from several threads."""

    def step(self, text: str) -> None:
        """Say what starts now, in a few words."""

    def bytes(self, label: str, total: int | None) -> AbstractContextManager[Advance]:
        """A task counted in bytes. The function it yields takes how many more are done."""


class Quiet:
    """Says nothing."""

    def step(self, text: str) -> None:
        pass

    @contextmanager
    def bytes(self, label: str, total: int | None) -> Iterator[Advance]:  # noqa: ARG002 - the protocol's names
        yield lambda count: None  # noqa: ARG005


class Shown:
    """Bars on a terminal; on anything else one plain line a step, so that logs stay readable."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._bars: RichProgress | None = None
        self._tasks = 0
        self._lock = threading.Lock()

    def step(self, text: str) -> None:
        self._console.print(f"[dim]·[/dim] {escape(text)}", highlight=False)

    @contextmanager
    def bytes(self, label: str, total: int | None) -> Iterator[Advance]:
        if not self._console.is_terminal:
            yield lambda count: None  # noqa: ARG005
            return
        bars = self._open()
        task = bars.add_task(label, total=total)
        try:
            yield lambda count: bars.advance(task, count)
        finally:
            bars.remove_task(task)
            self._close()

    def _open(self) -> RichProgress:
        """The bars on the terminal, shared by all tasks that run."""
        with self._lock:
            if self._bars is None:
                self._bars = RichProgress(
                    TextColumn("{task.description}"),
                    BarColumn(),
                    DownloadColumn(),
                    TransferSpeedColumn(),
                    TimeRemainingColumn(),
                    console=self._console,
                    transient=True,
                )
                self._bars.start()
            self._tasks += 1
            return self._bars

    def _close(self) -> None:
        with self._lock:
            self._tasks -= 1
            if self._tasks == 0 and self._bars is not None:
                self._bars.stop()
                self._bars = None
