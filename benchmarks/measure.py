"""Timing of whole commands, and how results are printed: medians, and ratios against a named peer."""

from __future__ import annotations

import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path


def machine() -> str:
    """The machine in one line, so that a figure is never quoted without it."""
    model = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.processor() or "unknown processor",
    )
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"{os.cpu_count()} cores ({model}), {memory:.0f} GiB, Python {platform.python_version()}"


def seconds(work: Callable[[], object]) -> float:
    """How long `work` takes, in seconds of wall clock."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def table(times: Mapping[str, Mapping[str, Sequence[float]]], ours: str) -> str:
    """One row a scenario: the median of each contender in seconds, and how many times `ours` is faster."""
    contenders = list(next(iter(times.values())))
    head = ["scenario", *contenders, *(f"{name} / {ours}" for name in contenders if name != ours)]
    rows = [head]
    for scenario, by_name in times.items():
        median = {name: statistics.median(values) for name, values in by_name.items()}
        rows.append(
            [
                scenario,
                *(f"{median[name]:.2f} s" for name in contenders),
                *(f"{median[name] / median[ours]:.1f}x" for name in contenders if name != ours),
            ]
        )
    widths = [max(len(row[column]) for row in rows) for column in range(len(head))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)
