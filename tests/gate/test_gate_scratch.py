"""Where a gate keeps its temporary files."""

from __future__ import annotations

import os
import tempfile
from contextlib import chdir
from pathlib import Path

from gate.scratch import scratch


def test_temporary_files_are_below_the_data_also_for_programs_that_run_elsewhere(tmp_path):
    (tmp_path / "data").mkdir()
    with chdir(tmp_path), scratch(Path("data")):
        assert tempfile.gettempdir() == os.environ["TMPDIR"] == str(tmp_path / "data" / "tmp")
    assert not (tmp_path / "data" / "tmp").exists()
