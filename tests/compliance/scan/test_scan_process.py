from __future__ import annotations

import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

HOLDS = """\
import sys
from pathlib import Path
from compliance.scan.process import run
run(Path(sys.argv[1]), ["image"], timeout=600)
"""


def soon(holds: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + 120
    while not holds() and time.monotonic() < deadline:
        time.sleep(0.02)
    return holds()


def ended(stat: Path) -> bool:
    """Whether a process is over, by its file `stat`."""
    try:
        return stat.read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


@pytest.mark.skipif(shutil.which("setpriv") is None, reason="util-linux is what ends a child with its parent")
def test_a_scan_ends_with_the_process_that_wanted_it_even_when_that_is_killed(tmp_path):
    program, said = tmp_path / "trivy", tmp_path / "pid"
    program.write_text(f"#!/bin/sh\necho $$ >{said}\nexec sleep 600\n")
    program.chmod(0o755)
    parent = subprocess.Popen([sys.executable, "-c", HOLDS, program])
    try:
        assert soon(lambda: said.exists() and said.read_text() != "")
        scan = Path("/proc") / said.read_text().strip() / "stat"
        assert scan.exists()
    finally:
        parent.kill()
        parent.wait()
    assert soon(lambda: ended(scan))
