"""Using what was built: `mlbuild test`, `load`, `run --docker` and `shell`, on the shipped example."""

from __future__ import annotations

import json
import os
import pty
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.acceptance

MLBUILD = (sys.executable, "-c", "from builder.cli import main; main()")


def test_every_direct_dependency_imports(workplace, iris):
    done = workplace.mlbuild("--json", "-C", str(iris), "test")
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads(done.stdout)
    assert report["passed"] is True
    assert [(test["name"], test["exit_code"]) for test in report["tests"]] == [
        ("import fastapi", 0),
        ("import sklearn", 0),
        ("import skops", 0),
        ("import uvicorn", 0),
    ]


@pytest.fixture(scope="module")
def failing(workplace) -> Path:
    """A small project whose own commands and one of whose dependencies fail."""
    project = workplace.root / "projects" / "failing"
    project.mkdir(parents=True)
    (project / "app.py").write_text("import os\nprint('in', os.getcwd(), 'as', os.getuid())\n")
    (project / "six.py").write_text("raise ImportError('shadowed by the project')\n")
    (project / "mlbuild.yaml").write_text(
        "image: serving/failing\nbase: python3.11-slim\ndependencies: [six, pyyaml]\n"
        "smoke:\n"
        "  - [python, app.py]\n"
        "  - [python, -c, \"print('so far'); raise SystemExit(4)\"]\n"
        "  - [no-such-program]\n"
    )
    return project


def test_what_fails_is_told_with_its_last_lines_and_exit_code_1(workplace, failing):
    done = workplace.mlbuild("-C", str(failing), "test")
    assert done.returncode == 1, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].startswith("ok    import yaml  PyYAML ")
    assert lines[1].startswith("FAIL  import six  six ")
    assert lines[1].endswith("exit code 1")
    assert "      ImportError: shadowed by the project" in lines
    assert any(line.startswith("ok    python app.py  smoke") for line in lines)
    assert lines[-5].startswith("FAIL  python -c ")
    assert lines[-5].endswith("exit code 4")
    assert lines[-4] == "      so far"
    assert lines[-3:] == [
        "FAIL  no-such-program  smoke  exit code 127",
        "      no-such-program: No such file or directory",
        "3 of 5 tests failed",
    ]


def test_a_wheel_that_cannot_be_loaded_is_refused_before_an_image_is_made(workplace):
    project = workplace.root / "projects" / "needs-mpi"
    project.mkdir(parents=True)
    (project / "mlbuild.yaml").write_text(
        "image: training/mpi\nbase: python3.11-slim\ndependencies: [mpi4py==4.1.0]\n"
    )
    done = workplace.mlbuild("-C", str(project), "build")
    assert done.returncode == 2, done.stdout + done.stderr
    assert "mpi4py 4.1.0 cannot be loaded: mpi4py/MPI." in done.stderr
    assert "system: [libopenmpi3]" in done.stderr
    assert not (project / ".mlbuild" / "image" / "index.json").exists()
    vouched = (project / "mlbuild.yaml").read_text() + "provided-libraries: [libmpi.so.40]\n"
    (project / "mlbuild.yaml").write_text(vouched)
    assert workplace.mlbuild("-C", str(project), "build").returncode == 0


def test_load_puts_the_image_where_docker_keeps_its_own(workplace, iris, dockerd):
    here = workplace.with_settings(DOCKER_HOST=f"unix://{dockerd}")
    config = json.loads(workplace.mlbuild("--json", "-C", str(iris), "build").stdout)["config"]
    done = here.mlbuild("--json", "-C", str(iris), "load", "--tag", "1.4")
    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads(done.stdout) == {"name": "serving/iris:1.4", "id": config, "to": "docker"}
    command = ["docker", "run", "--rm", "--network", "none", "serving/iris:1.4", "python", "-c", "print(6 * 7)"]
    ran = subprocess.run(command, env=here.environment, capture_output=True, text=True, check=False)
    assert (ran.stdout, ran.returncode) == ("42\n", 0), ran.stderr


def test_run_under_docker_passes_signals_on_and_leaves_no_container(workplace, iris, dockerd):
    here = workplace.with_settings(DOCKER_HOST=f"unix://{dockerd}")
    command = [*MLBUILD, "-q", "-C", str(iris), "run", "--docker", "--network", "none"]
    process = subprocess.Popen(command, env=here.environment, stderr=subprocess.PIPE)
    assert process.stderr is not None
    said = b""
    while b"startup complete" not in said:
        line = process.stderr.readline()
        assert line, said
        said += line
    process.send_signal(signal.SIGTERM)
    process.stderr.read()
    assert process.wait(timeout=120) == 143
    process.stderr.close()
    left = subprocess.run(
        ["docker", "ps", "-aq"], env=here.environment, capture_output=True, text=True, check=True
    )
    assert left.stdout == ""


def test_without_a_daemon_the_error_says_what_else_works(workplace, iris, tmp_path):
    here = workplace.with_settings(DOCKER_HOST=f"unix://{tmp_path}/none.sock")
    done = here.mlbuild("-C", str(iris), "load")
    assert done.returncode == 3
    assert "docker daemon" in done.stderr
    assert "--to buildah" in done.stderr
    assert "Traceback" not in done.stderr


def test_load_into_buildahs_storage(workplace, failing):
    done = workplace.mlbuild("--json", "-C", str(failing), "load", "--to", "buildah", "--tag", "tried")
    assert done.returncode == 0, done.stderr
    identity = json.loads(done.stdout)["id"]
    listed = subprocess.run(
        ["buildah", "images", "--format", "{{.ID}}", "--no-trunc", "localhost/serving/failing:tried"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert set(listed.stdout.split()) == {f"sha256:{identity}"}  # once for each name that it has
    subprocess.run(["buildah", "rmi", "--force", identity], capture_output=True, check=True)


def test_a_debug_shell_leaves_the_image_as_it_is(workplace, failing):
    before = workplace.mlbuild("--json", "-C", str(failing), "build").stdout
    script = "id -u; which python sh; pwd; ls; echo changed > /tmp/x; exit 9"
    done = workplace.mlbuild("-q", "-C", str(failing), "shell", "-c", script)
    assert done.returncode == 9, done.stderr
    assert done.stdout.split() == [
        "65532", "/opt/venv/bin/python", "/.mlbuild-shell/sh", "/app", "app.py", "six.py",
    ]  # fmt: skip
    assert workplace.mlbuild("-q", "-C", str(failing), "shell", "--user", "root", "-c", "id -u").stdout == "0\n"
    assert workplace.mlbuild("--json", "-C", str(failing), "build").stdout == before
    assert workplace.mlbuild("-q", "-C", str(failing), "shell", "-c", "ls /tmp/x").returncode == 1


def test_the_shell_works_on_a_terminal(workplace, failing):
    pid, terminal = pty.fork()
    if pid == 0:
        os.execve(sys.executable, [*MLBUILD, "-q", "-C", str(failing), "shell"], workplace.environment)  # noqa: S606
    try:
        until(terminal, b"$ ")
        os.write(terminal, b"sh -c 'test -t 0 && echo a-$((1 + 1))-terminal; exec sleep 600'\n")
        until(terminal, b"a-2-terminal\r\n")
        os.write(terminal, b"\x03")
        until(terminal, b"$ ")
        os.write(terminal, b"echo interrupted-$?; exit 5\n")
        until(terminal, b"interrupted-130")
        until(terminal, None)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 5
    finally:
        os.close(terminal)


def until(terminal: int, wanted: bytes | None, seconds: float = 120) -> None:
    """Read until `wanted` is there, or the end when None."""
    said, deadline = b"", time.monotonic() + seconds
    while wanted is None or wanted not in said:
        assert time.monotonic() < deadline, said
        if select.select([terminal], [], [], 1)[0]:
            try:
                data = os.read(terminal, 4096)
            except OSError:  # the other end is closed
                data = b""
            if not data:
                assert wanted is None, said
                return
            said += data
