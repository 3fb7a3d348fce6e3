"""What runs inside an image while it is built: steps and bytecode, with real buildah and a real base."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tarfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from compliance.attest.bundle import verify_bundle
from compliance.attest.keys import TrustedKeys
from compliance.attest.provenance import read_build

pytestmark = [pytest.mark.acceptance, pytest.mark.xdist_group("examples")]

HEAD = 'image: serving/inside\nbase: python3.11-slim\ndependencies: ["six==1.17.0"]\ncommand: [python, app.py]\n'
SITE = "opt/venv/lib/python3.11/site-packages"


@pytest.fixture
def write(tmp_path: Path):
    """Writes a project whose steps are these programs: (source, further keys)."""

    def project(*steps: tuple[str, Mapping[str, Any]], further: str = "", app: str = "print('app')\n") -> Path:
        root = tmp_path / "project"
        root.mkdir(exist_ok=True)
        (root / "app.py").write_text(app)
        words = [{"run": ["python", "-c", source], **keys} for source, keys in steps]
        (root / "mlbuild.yaml").write_text(f"{HEAD}{further}steps: {json.dumps(words)}\n")
        return root

    return project


def layers(project: Path) -> list[dict[str, tarfile.TarInfo]]:
    """The members of each layer above the base, by path."""
    image = project / ".mlbuild" / "image"
    index = json.loads((image / "index.json").read_text())
    manifest = json.loads(blob(image, index["manifests"][0]["digest"]).read_text())
    found = []
    for layer in manifest["layers"][1:]:
        with tarfile.open(blob(image, layer["digest"])) as archive:
            found.append({member.name: member for member in archive})
    return found


def blob(image: Path, digest: str) -> Path:
    return image / "blobs" / "sha256" / digest.removeprefix("sha256:")


def build_of(workplace, project: Path):
    raw = (project / ".mlbuild" / "provenance.sigstore.json").read_bytes()
    statement, _ = verify_bundle(raw, TrustedKeys.load(workplace.root / "trusted-keys"))
    return read_build(statement)


MESS = """
import os, shutil
open('/app/made.txt', 'w').write('made')
os.chmod('/app/made.txt', 0o640); os.chown('/app/made.txt', 65532, 65532)
os.remove('/app/gone.txt'); shutil.rmtree('/app/tree')
os.remove('/app/file'); os.makedirs('/app/file/now/directory')
shutil.rmtree('/app/directory'); open('/app/directory', 'w').write('now file')
os.symlink('../etc/passwd', '/app/link'); os.link('/app/made.txt', '/app/second.txt')
state = os.stat('/app/forged.txt')
open('/app/forged.txt', 'w').write('after ')
os.utime('/app/forged.txt', ns=(state.st_atime_ns, state.st_mtime_ns))
os.rename('/app/old-name', '/app/new-name')
open('/tmp/left', 'w').write('x'); open('/run/left', 'w').write('x')
"""
LOOK = """
import os
for top, folders, files in os.walk('/app'):
    for name in sorted(folders + files):
        path = os.path.join(top, name); state = os.lstat(path)
        read = os.path.isfile(path) and name != 'app.py'
        text = os.readlink(path) if os.path.islink(path) else open(path).read() if read else ''
        print(f'{path} {oct(state.st_mode)} {state.st_uid} {text}'.strip())
print(os.listdir('/tmp'), os.path.exists('/run/left'))
"""


def test_the_image_has_what_steps_left_and_not_what_they_removed(workplace, write) -> None:
    project = write((MESS, {"user": "root"}), ("open('/home/nonroot/own', 'w').write('x')", {}), app=LOOK)
    (project / "gone.txt").write_text("gone")
    (project / "file").write_text("file")
    (project / "forged.txt").write_text("before")
    (project / "old-name").write_text("renamed")
    for folder in ("tree", "directory"):
        (project / folder).mkdir()
        (project / folder / "inner.txt").write_text("inner")
    done = workplace.mlbuild("-C", str(project), "build")
    assert done.returncode == 0, done.stderr
    mess, own = layers(project)[-2:]
    assert mess.keys() == {
        *("app", "app/.wh.gone.txt", "app/.wh.tree", "app/.wh.old-name", "app/new-name", "app/made.txt"),
        *("app/file", "app/file/now", "app/file/now/directory", "app/directory", "app/link"),
        *("app/second.txt", "app/forged.txt"),
    }
    assert {member.mtime for member in (mess | own).values()} == {315_532_800}
    assert own.keys() == {"home", "home/nonroot", "home/nonroot/own"}
    assert (own["home/nonroot"].mode, own["home/nonroot"].uid, own["home/nonroot/own"].uid) == (
        0o700,
        65532,
        65532,
    )
    seen = workplace.mlbuild("-C", str(project), "run")
    assert seen.returncode == 0, seen.stderr
    assert seen.stdout.splitlines() == [
        "/app/app.py 0o100644 0",
        "/app/directory 0o100644 0 now file",
        "/app/file 0o40755 0",
        "/app/forged.txt 0o100644 0 after",
        "/app/link 0o120777 0 ../etc/passwd",
        "/app/made.txt 0o100640 65532 made",
        "/app/new-name 0o100644 0 renamed",
        "/app/second.txt 0o100640 65532 made",
        "/app/file/now 0o40755 0",
        "/app/file/now/directory 0o40755 0",
        "[] False",
    ]


def test_a_step_is_run_again_only_when_what_it_sees_has_changed(workplace, write) -> None:
    early = ("open('/home/nonroot/early', 'wb').write(__import__('os').urandom(8))", {"after": "dependencies"})
    late = ("open('/home/nonroot/late', 'w').write(open('/app/app.py').read())", {})
    project = write(early, late)
    assert run_steps(workplace, project) == [1, 2]
    before = layers(project)
    assert run_steps(workplace, project) == []
    (project / "app.py").write_text("print('changed')\n")
    assert run_steps(workplace, project) == [2]
    assert layers(project)[1].keys() == before[1].keys() == {"home", "home/nonroot", "home/nonroot/early"}
    write(early, (late[0] + "  # otherwise", {}))
    assert run_steps(workplace, project) == [2]


def run_steps(workplace, project: Path) -> list[int]:
    """The numbers of the steps that this build runs."""
    done = workplace.mlbuild("-C", str(project), "build")
    assert done.returncode == 0, done.stderr
    return [int(line.split()[3]) for line in done.stderr.splitlines() if line.startswith("· Running step ")]


REACH = """
import socket, sys
family, address = {family}, {address}
other = socket.socket(family, socket.{kind})
other.settimeout(60)
other.connect(address)
other.send(b'hello')
assert other.recv(5) == b'world'
"""


@contextmanager
def listening(family: socket.AddressFamily, kind: socket.SocketKind, address: object) -> Iterator[str]:
    """A server on this machine that answers `hello`; its address as Python writes it."""
    with socket.socket(family, kind) as server:
        server.bind(address)
        server.settimeout(300)
        if kind is socket.SOCK_STREAM:
            server.listen()
        answering = threading.Thread(target=answer, args=(server, kind), daemon=True)
        answering.start()
        yield repr(server.getsockname()[:2] if family is not socket.AF_UNIX else server.getsockname())


def answer(server: socket.socket, kind: socket.SocketKind) -> None:
    if kind is socket.SOCK_DGRAM:
        _, sender = server.recvfrom(5)
        server.sendto(b"world", sender)
        return
    connection, _ = server.accept()
    with connection:
        connection.recv(5)
        connection.send(b"world")


@pytest.mark.parametrize(
    ("family", "kind", "address"),
    [
        (socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", 0)),
        (socket.AF_INET, socket.SOCK_DGRAM, ("127.0.0.1", 0)),
        (socket.AF_UNIX, socket.SOCK_STREAM, f"\0mlbuild-test-{os.getpid()}"),
    ],
    ids=["tcp", "udp", "abstract-unix"],
)
def test_a_step_reaches_the_network_only_where_the_spec_says_so(workplace, write, family, kind, address) -> None:
    with listening(family, kind, address) as there:
        source = REACH.format(family=f"socket.{family.name}", kind=kind.name, address=there)
        project = write((source, {"after": "dependencies"}))
        refused = workplace.mlbuild("-C", str(project), "build")
        assert refused.returncode == 2
        assert "Error" in refused.stderr
        assert "write `network: true` in the step" in refused.stderr
        project = write((source, {"after": "dependencies", "network": True}))
        done = workplace.mlbuild("-C", str(project), "build")
        assert done.returncode == 0, done.stderr
    (step,) = build_of(workplace, project).steps
    assert (step.network, step.command.startswith("python -c ")) == (True, True)


@pytest.mark.parametrize(
    ("source", "keys", "said"),
    [
        ("import sys; sys.exit('no such corpus')", {}, "ended with exit code 1:\nno such corpus"),
        ("open('/opt/x', 'w')", {}, "PermissionError"),
        ("import os; os.mkfifo('/home/nonroot/pipe')", {}, "/home/nonroot/pipe, which is neither file"),
        ("open('/home/nonroot/.wh.x', 'w')", {}, "a name that means a removed file"),
        ("import os; os.chroot('/tmp')", {"user": "root"}, "PermissionError"),
        ("import os; os.mknod('/opt/x', 0o60600, 0x100)", {"user": "root"}, "PermissionError"),
        (
            f"import os; os.makedirs('/{SITE}/x-1.dist-info'); open('/{SITE}/x-1.dist-info/METADATA', 'w')",
            {"user": "root"},
            "installs the Python package x-1, which is in no lock",
        ),
    ],
    ids=["fails", "not-root", "fifo", "whiteout", "chroot", "device", "installs-a-package"],
)
def test_a_step_that_fails_or_goes_too_far_is_told_by_its_number(workplace, write, source, keys, said) -> None:
    project = write((source, {"after": "dependencies", **keys}))
    done = workplace.mlbuild("-C", str(project), "build")
    assert done.returncode == 2, done.stdout + done.stderr
    assert "error: step 1, python -c" in done.stderr
    assert said in done.stderr
    assert "Traceback" not in done.stderr.partition("error:")[0]


def test_what_a_step_leaves_running_is_ended_and_nothing_is_left_of_its_container(workplace, write) -> None:
    before = containers()
    source = "import subprocess, sys; subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])"
    project = write((source, {"after": "dependencies"}))
    assert run_steps(workplace, project) == [1]
    left = containers() - before
    wait_until(lambda: not left & containers())


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_build_that_is_stopped_within_a_step_leaves_no_container(workplace, write, number) -> None:
    before = containers()
    project = write(("import time; time.sleep(600)", {"after": "dependencies"}))
    command = [sys.executable, "-c", "from builder.cli import main; main()", "-C", str(project), "build"]
    with subprocess.Popen(command, env=workplace.environment, stderr=subprocess.PIPE, text=True) as running:
        for line in running.stderr:
            if "Running step" in line:
                break
        try:
            wait_until(lambda: containers() - before)
            during = containers() - before
        finally:
            running.send_signal(number)
        assert running.wait(timeout=120) != 0
    wait_until(lambda: not during & containers())


def wait_until(done: Callable[[], object]) -> None:
    """Other tests on this machine have containers too, so what was seen may need a while to go."""
    deadline = time.monotonic() + 180
    while not done():
        assert time.monotonic() < deadline
        time.sleep(0.2)


def containers() -> set[str]:
    listed = subprocess.run(["buildah", "containers", "--quiet"], capture_output=True, text=True, check=True)
    images = subprocess.run(["buildah", "images"], capture_output=True, text=True, check=True)
    return {
        *listed.stdout.split(),
        *(line.split()[0] for line in images.stdout.splitlines() if "/mlbuild-" in line),
    }


def test_policies_see_steps_before_anything_runs(workplace, write, tmp_path) -> None:
    policies = tmp_path / "policies"
    policies.mkdir()
    (policies / "own.yaml").write_text(
        "name: own\nrules:\n  - {id: nothing-runs, check: run-steps, effect: deny, why: w, fix: f}\n"
    )
    project = write(("open('/home/nonroot/x', 'w')", {}))
    done = workplace.with_settings(MLBUILD_POLICIES=str(policies)).mlbuild("-C", str(project))
    assert done.returncode == 1, done.stdout + done.stderr
    assert "step 1 of the build ran" in done.stdout
    assert "Running step" not in done.stderr


def test_a_secret_that_a_step_leaves_is_found_as_the_projects_own_are(workplace, write) -> None:
    token = "ghp_" + "Ab3dE6gH1jKlM4oPqR7tUv0xYz2A5c8EfGhI"
    project = write((f"open('/home/nonroot/config.py', 'w').write('TOKEN = \"{token}\"')", {}))
    done = workplace.mlbuild("-C", str(project))
    assert done.returncode == 1, done.stdout + done.stderr
    assert "/home/nonroot/config.py" in done.stdout


SEE = """
import importlib.util, struct, sys, six
head = open(six.__cached__, 'rb').read(16)
source = open(six.__file__, 'rb').read()
print(struct.unpack('<I', head[4:8])[0], head[8:] == importlib.util.source_hash(source))
"""


def test_bytecode_is_there_true_and_used(workplace, write) -> None:
    project = write(further="bytecode: true\n", app=SEE)
    assert workplace.mlbuild("-C", str(project), "build").returncode == 0
    (found,) = [layer for layer in layers(project) if f"{SITE}/__pycache__/six.cpython-311.pyc" in layer]
    assert [name for name, member in found.items() if member.isfile()] == [
        f"{SITE}/__pycache__/six.cpython-311.pyc"
    ]
    assert workplace.mlbuild("-C", str(project), "run").stdout == "1 True\n"
    assert build_of(workplace, project).bytecode is True


def test_a_step_that_changes_a_source_takes_its_bytecode_away(workplace, write) -> None:
    source = f"open('/{SITE}/six.py', 'a').write('PATCHED = True')"
    project = write((source, {"user": "root"}), further="bytecode: true\n", app="import six\nprint(six.PATCHED)\n")
    assert workplace.mlbuild("-C", str(project), "build").returncode == 0
    assert workplace.mlbuild("-C", str(project), "run").stdout == "True\n"


def test_one_changed_dependency_is_compiled_alone_and_changes_one_layer_of_bytecode(workplace, write) -> None:
    project = write(further="bytecode: true\n")
    spec = project / "mlbuild.yaml"
    two = spec.read_text().replace('["six==1.17.0"]', '["six==1.17.0", "idna==3.10"]')
    spec.write_text(two)
    assert workplace.mlbuild("-C", str(project), "build").returncode == 0
    before = layers(project)
    spec.write_text(two.replace("idna==3.10", "idna==3.9"))
    done = workplace.mlbuild("-C", str(project), "build")
    assert "Compiling the sources of 1 of 2 packages" in done.stderr
    assert sum(old.keys() != new.keys() for old, new in zip(before, layers(project), strict=True)) == 1


@pytest.mark.parametrize(
    ("umask", "settings"),
    [
        (0o000, {"TZ": "Pacific/Kiritimati", "PYTHONHASHSEED": "1", "LC_ALL": "C"}),
        (0o077, {"TZ": "America/St_Johns", "PYTHONHASHSEED": "4242", "HOME": "/"}),
    ],
    ids=["open-umask-east", "tight-umask-west"],
)
def test_bytecode_is_the_same_wherever_it_is_made(workplace, write, tmp_path, umask, settings) -> None:
    project = write(further="bytecode: true\n")
    wanted = json.loads(workplace.mlbuild("--json", "-C", str(project), "build").stdout)["image"]
    cold = tmp_path / "cold-cache"
    # The downloads are shared by hard links; every layer and all bytecode is made anew.
    shutil.copytree(workplace.root / "cache" / "blobs", cold / "blobs", copy_function=os.link)
    other = workplace.with_settings(MLBUILD_CACHE=str(cold), **settings)
    done = other.mlbuild("--json", "-C", str(project), "build", umask=umask, cwd="/")
    assert done.returncode == 0, done.stderr
    assert "Compiling the sources of 1 of 1 packages" in done.stderr
    assert json.loads(done.stdout)["image"] == wanted
