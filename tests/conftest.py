"""What tests of every room may use."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("any machine", deadline=None)  # a busy one is slow now and then
settings.load_profile("any machine")


@pytest.fixture(scope="session")
def dockerd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The socket of a Docker daemon without networks. Registries on the loopback need no TLS by default."""
    if shutil.which("dockerd") is None:
        pytest.skip("there is no dockerd on this machine")
    root = tmp_path_factory.mktemp("dockerd")
    socket = root / "docker.sock"
    command = [
        *("dockerd", "--iptables=false", "--ip6tables=false", "--bridge=none", "--host", f"unix://{socket}"),
        *("--data-root", str(root / "data"), "--exec-root", str(root / "exec"), "--pidfile", str(root / "pid")),
    ]
    with (root / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    asked = ["docker", "--host", f"unix://{socket}", "version"]
    deadline = time.monotonic() + 30
    while subprocess.run(asked, capture_output=True, timeout=30, check=False).returncode != 0:
        if process.poll() is not None or time.monotonic() > deadline:
            process.kill()
            process.wait()
            pytest.skip(f"dockerd does not start here: {(root / 'log').read_text()[-500:]}")
        time.sleep(0.2)
    yield socket
    process.terminate()
    process.wait(timeout=60)
