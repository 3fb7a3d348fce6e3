"""scripts/conformance.sh, with a program of ours in the place of the suite, which no package index has."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts" / "conformance.sh"
PUSH = """
set -eu
curl -sf -u "$OCI_USERNAME:$OCI_PASSWORD" "$OCI_ROOT_URL/v2/" >/dev/null
start=$(curl -sf -u "$OCI_USERNAME:$OCI_PASSWORD" -X POST -o /dev/null -w '%{http_code}' \
    "$OCI_ROOT_URL/v2/$OCI_NAMESPACE/blobs/uploads/")
echo "an upload begins: $start"
exit 7
"""


@pytest.mark.acceptance
def test_a_program_is_run_against_a_gate_that_only_audits():
    """And its exit code is the script's."""
    done = subprocess.run(
        ["sh", SCRIPT, "sh", "-c", PUSH],
        env={**os.environ, "MLGATE": str(Path(sys.executable).with_name("mlgate"))},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert (done.stdout, done.returncode) == ("an upload begins: 202\n", 7), done.stderr
