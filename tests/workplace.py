"""A workplace of one's own, the examples built in it, and a gate to push to: shared by tests of all rooms."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
START_SECONDS = 120.0


@dataclass(frozen=True)
class Workplace:
    """One person's machine: a cache, a key, a docker configuration, and copies of the examples."""

    root: Path
    extra: Mapping[str, str] = field(default_factory=dict)

    @property
    def environment(self) -> dict[str, str]:
        return {
            **os.environ,
            "MLBUILD_CACHE": str(self.root / "cache"),
            "MLBUILD_KEY": str(self.root / "key.pem"),
            "MLBUILD_TRUSTED_KEYS": str(self.root / "trusted-keys"),
            "DOCKER_CONFIG": str(self.root / "docker"),
            **self.extra,
        }

    def with_settings(self, **settings: str) -> Workplace:
        return Workplace(self.root, {**self.extra, **settings})

    def mlbuild(self, *arguments: str, **options: object) -> subprocess.CompletedProcess[str]:
        """Run mlbuild as a person would and return what it printed and its exit code."""
        return subprocess.run(
            [sys.executable, "-c", "from builder.cli import main; main()", *arguments],
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
            **options,  # type: ignore[call-overload]
        )

    def project(self, example: str, to: str | None = None) -> Path:
        """A fresh copy of an example."""
        target = self.root / "projects" / (to or example)
        if not target.exists():
            shutil.copytree(ROOT / "examples" / example, target, ignore=shutil.ignore_patterns(".mlbuild"))
        return target


@pytest.fixture(scope="session")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Workplace:
    return Workplace(tmp_path_factory.mktemp("workplace"))


@pytest.fixture(scope="session")
def iris(workplace: Workplace) -> Path:
    """examples/iris-serving, built."""
    project = workplace.project("iris-serving")
    done = workplace.mlbuild("-C", str(project))
    assert done.returncode == 0, done.stdout + done.stderr
    return project


@pytest.fixture(scope="session")
def legacy(workplace: Workplace) -> Path:
    """examples/legacy-notebook, built although it does not comply."""
    project = workplace.project("legacy-notebook")
    done = workplace.mlbuild("-C", str(project), "build")
    assert done.returncode == 0, done.stdout + done.stderr
    return project


@dataclass(frozen=True)
class Gate:
    host: str
    data: Path


@pytest.fixture(scope="session")
def gate(workplace: Workplace, iris: Path) -> Iterator[Gate]:
    """`mlgate serve --embedded` with the shipped policies, trusting the workplace's key; `ci` is logged in."""
    users = workplace.root / "users.yaml"
    for name, role in (("ci", "push"), ("cluster", "pull")):
        subprocess.run(
            [*MLGATE, "user", "add", name, "--role", role, "--password-stdin", "--users", str(users)],
            input=f"{name}-secret",
            text=True,
            check=True,
        )
    log = workplace.root / "gate.log"
    data = workplace.root / "gate"
    command = [
        *(*MLGATE, "serve", "--embedded", "--listen", "127.0.0.1:0", "--data", str(data)),
        *("--users", str(users), "--trusted-keys", str(workplace.root / "trusted-keys")),
    ]
    with log.open("wb") as stream:
        process = subprocess.Popen(command, stdout=stream, stderr=stream, env=workplace.environment)
    try:
        host = listening(process, log)
        login = workplace.mlbuild("login", host, "--username", "ci", "--password-stdin", input="ci-secret\n")
        assert login.returncode == 0, login.stderr
        yield Gate(host, data)
    finally:
        process.terminate()
        process.wait(timeout=120)


MLGATE = (sys.executable, "-c", "from gate.cli import main; main()")


def listening(process: subprocess.Popen[bytes], log: Path) -> str:
    deadline = time.monotonic() + START_SECONDS
    while (found := re.search(r"listening on http://(127\.0\.0\.1:\d+)", log.read_text())) is None:
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.05)
    return found[1]


def facts(done: subprocess.CompletedProcess[str]) -> dict[str, object]:
    """What `mlbuild --json` printed."""
    result = json.loads(done.stdout)
    assert isinstance(result, dict)
    return result
