"""Makes the places where pages are read."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.docs.pages import ROOT, Start
from tests.docs.reading import Place
from tests.gate.registry_process import Registry
from tests.held_port import HeldPort
from tests.workplace import MLGATE, Workplace, listening

READER = "/home/ana"
"""What pages call the reader's home."""
PROGRAMS = {"mlbuild": "builder.cli", "mlgate": "gate.cli"}
OURS = ("MLBUILD_", "MLGATE_", "XDG_")

MakePlace = Callable[[Start], Place]


@pytest.fixture(scope="session")
def users(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The users of every page's gate."""
    file = tmp_path_factory.mktemp("users") / "users.yaml"
    for name, role in (("ci", "pusher"), ("cluster", "puller"), ("admin", "admin")):
        command = [*MLGATE, "user", "add", name, "--role", role, "--password-stdin", "--users", str(file)]
        subprocess.run(command, input=f"{name}-secret", text=True, check=True, capture_output=True)
    return file


@pytest.fixture
def make_place(
    workplace: Workplace, users: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> Iterator[MakePlace]:
    """Makes a place with what a page's reader has, which ends with the test."""
    held: list[HeldPort] = []
    with ExitStack() as ending:

        def make(start: Start) -> Place:
            docker = {"DOCKER_HOST": f"unix://{request.getfixturevalue('dockerd')}"} if start.docker else {}
            place = empty_place(tmp_path, workplace.root / "cache", docker)
            for name in start.copied:
                copy(ROOT / name, place.directory)
            environment = dict(place.environment)
            held.extend(HeldPort() for _ in start.addresses)
            hosts = {
                address: f"127.0.0.1:{port.number}" for address, port in zip(start.addresses, held, strict=True)
            }
            if start.gate:
                hosts["gate.example.com"] = ending.enter_context(
                    running_gate(tmp_path / "gate", users, environment)
                )
                environment["GATE"] = hosts["gate.example.com"]
            if start.registry:
                registry = Registry(tmp_path / "registry")
                registry.start()
                ending.callback(registry.stop)
                hosts["registry.example.com"] = f"127.0.0.1:{registry.port}"
                environment["REGISTRY"] = hosts["registry.example.com"]
            directories = [(path, str(tmp_path / "directories") + path) for path in start.directories]
            return Place(place.directory, place.records, environment, [*place.names, *directories, *_names(hosts)])

        yield make


def _names(hosts: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """What pages call hosts that here are ports without TLS. On a page, too, the loopback has none."""
    for shown, host in hosts.items():
        if not shown.startswith("127.0.0.1:"):
            yield f"https://{shown}", f"http://{host}"
        yield shown, host


def empty_place(root: Path, cache: Path, more: dict[str, str]) -> Place:
    """An empty directory, a home, the project's programs, and no settings of whoever runs the tests."""
    home = root / "home"
    directory = home / "code"
    directory.mkdir(parents=True)
    programs = root / "bin"
    programs.mkdir()
    for name, module in PROGRAMS.items():
        (programs / name).write_text(f"#!{sys.executable}\nfrom {module} import main\nmain()\n")
        (programs / name).chmod(0o755)
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith(OURS)},
        "HOME": str(home),
        "PATH": f"{programs}:{Path(sys.executable).parent}:{os.environ['PATH']}:/usr/sbin:/sbin",
        "PYTHONPATH": str(ROOT),
        "MLBUILD_CACHE": str(cache),
        "DOCKER_CONFIG": str(home / ".docker"),
        "LC_ALL": "C.UTF-8",
        "TZ": "UTC",
        "TERM": "dumb",
        **more,
    }
    names = [(f"{READER}/.cache/mlbuild", str(cache)), (READER, str(home))]
    return Place(directory, root / "records", environment, names)


def copy(source: Path, directory: Path) -> None:
    """A copy of a file or directory of the repository, without what was built in it."""
    target = directory / source.name
    if source.is_dir():
        shutil.copytree(source, target, ignore=shutil.ignore_patterns(".mlbuild", "__pycache__"))
    else:
        shutil.copy(source, target)


@contextmanager
def running_gate(root: Path, users: Path, environment: dict[str, str]) -> Iterator[str]:
    """A gate that trusts the reader's key, with `ci` logged in to it in the reader's docker configuration."""
    root.mkdir()
    log = root / "log"
    mlbuild = (sys.executable, "-c", "from builder.cli import main; main()")
    subprocess.run([*mlbuild, "key", "new"], env=environment, check=True, capture_output=True)
    keys = Path(environment["HOME"]) / ".config" / "mlbuild" / "trusted-keys"
    serve = [*MLGATE, "serve", "--embedded", "--listen", "127.0.0.1:0", "--data", str(root / "data")]
    with log.open("wb") as stream:
        process = subprocess.Popen(
            [*serve, "--users", str(users), "--trusted-keys", str(keys)],
            stdout=stream,
            stderr=stream,
            env=environment,
        )
    try:
        host = listening(process, log)
        login = [*mlbuild, "login", host, "--username", "ci", "--password-stdin"]
        subprocess.run(login, input="ci-secret\n", text=True, env=environment, check=True, capture_output=True)
        yield host
    finally:
        process.terminate()
        process.wait(timeout=120)
