"""Runs random interleavings against real gates, and counts. Leaves with 1 when a promise was broken."""

from __future__ import annotations

import argparse
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

from tests.crash.counts import Counts
from tests.crash.driver import Driver


def report(counts: Counts, seconds: float) -> str:
    lines = [
        f"{counts.interleavings} interleavings, {counts.steps.total()} steps, {counts.kills.total()} kills, "
        f"{len(counts.violations)} violations, {seconds:.0f} s",
        "",
        "steps:",
        *(f"  {count:6}  {name}" for name, count in sorted(counts.steps.items())),
        "answers:",
        *(f"  {count:6}  {name}" for name, count in sorted(counts.answers.items())),
        "kills:",
        *(f"  {count:6}  {name}" for name, count in sorted(counts.kills.items())),
        f"uploads that were left to the registry: {counts.uploads_left}",
        *sorted(counts.notes),
        *(f"VIOLATION: {one}" for one in counts.violations),
    ]
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.crash", description=__doc__)
    parser.add_argument("--interleavings", type=int, default=20, help="how many to run (default 20)")
    parser.add_argument("--steps", type=int, default=25, help="steps of each (default 25)")
    parser.add_argument("--seed", type=int, default=1, help="of the first; each next has the next (default 1)")
    parser.add_argument("--minutes", type=float, default=60, help="begin no more after so long (default 60)")
    parser.add_argument("--quiet", action="store_true", help="do not print each step")
    given = parser.parse_args()
    # So that the gate, the registry and the disk of this moment go with us.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    total = Counts()
    begin = time.monotonic()
    for seed in range(given.seed, given.seed + given.interleavings):
        if time.monotonic() - begin > given.minutes * 60:
            break
        root = Path(tempfile.mkdtemp(prefix="crash-"))
        try:
            counts = Driver(seed, root, None if given.quiet else print).run(given.steps)
        finally:
            shutil.rmtree(root, ignore_errors=True)
        total.add(counts)
        print(f"seed {seed}: {counts.kills.total()} kills, {len(counts.violations)} violations", flush=True)
    print(report(total, time.monotonic() - begin))
    return 1 if total.violations else 0


if __name__ == "__main__":
    sys.exit(main())
