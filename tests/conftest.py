"""What tests of every room may use."""

from __future__ import annotations

import gc
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import settings

from tests.examples import QUICK
from tests.workplace import gate, iris, legacy, workplace

__all__ = ["gate", "iris", "legacy", "workplace"]  # fixtures, which pytest finds here

settings.register_profile("any machine", deadline=None)  # a busy one is slow now and then
settings.register_profile(QUICK, deadline=None, max_examples=20)
settings.load_profile("any machine")

LONGEST_NAME = 100  # of a parameter, in characters


def pytest_configure() -> None:
    """A shell without job control has what it starts with `&` ignore interrupts, which processes inherit."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Bytes and long texts are named by their argument and counted: what is made anew for each process, such as
    keys and archives with a time in them, has to have one name in all of them."""
    if isinstance(val, bytes) or (isinstance(val, str) and len(val) > LONGEST_NAME):
        return argname
    return None


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes minutes begins first, so that the quick tests fill what is left at the end. Tests of one file
    run on one worker, which then makes once what they share, such as a gate or a build."""
    for item in items:
        if not item.get_closest_marker("xdist_group"):
            item.add_marker(pytest.mark.xdist_group(item.path.stem))
    items.sort(key=lambda item: item.get_closest_marker("acceptance") is None)


def pytest_collection_finish() -> None:
    """The collected tests stay until the end: looking for garbage among them is in vain, and slow."""
    gc.collect()
    gc.freeze()


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
    with _daemon(command, ["docker", "--host", f"unix://{socket}", "version"], root / "log"):
        yield socket


@pytest.fixture(scope="session")
def containerd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The socket of a containerd of its own, in which namespaces do not share content."""
    if shutil.which("containerd") is None or shutil.which("ctr") is None:
        pytest.skip("there is no containerd with ctr on this machine")
    if os.geteuid() != 0:
        pytest.skip("containerd runs as root only")
    root = tmp_path_factory.mktemp("containerd")
    (root / "config.toml").write_text(
        'version = 2\ndisabled_plugins = ["io.containerd.grpc.v1.cri"]\n'
        '[plugins."io.containerd.metadata.v1.bolt"]\ncontent_sharing_policy = "isolated"\n'
    )
    command = [
        *("containerd", "--config", f"{root}/config.toml", "--address", f"{root}/socket"),
        *("--root", f"{root}/data", "--state", f"{root}/state"),
    ]
    with _daemon(command, ["ctr", "--address", f"{root}/socket", "version"], root / "log"):
        yield root / "socket"


@contextmanager
def _daemon(command: list[str], asked: list[str], log: Path) -> Iterator[None]:
    """Run a daemon until the block ends; it is there once the command `asked` succeeds."""
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output)
    deadline = time.monotonic() + 120
    while subprocess.run(asked, capture_output=True, timeout=120, check=False).returncode != 0:
        if process.poll() is not None or time.monotonic() > deadline:
            process.kill()
            process.wait()
            pytest.skip(f"{command[0]} does not start here: {log.read_text()[-500:]}")
        time.sleep(0.2)
    yield
    process.terminate()
    process.wait(timeout=120)
