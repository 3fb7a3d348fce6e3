"""From a spec to an admitted image that answers, and a refusal that says everything: by the shipped policies."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest
from uv import find_uv_bin

from tests.held_port import HeldPort

ROOT = Path(__file__).resolve().parents[2]

pytestmark = [pytest.mark.acceptance, pytest.mark.xdist_group("examples")]


def test_the_shipped_example_is_admitted_pushed_pulled_and_answers(workplace, iris, gate):
    pushed = workplace.mlbuild("-C", str(iris), "push", gate.host)
    assert pushed.returncode == 0, pushed.stdout + pushed.stderr
    assert pushed.stdout.startswith(f"ADMITTED {gate.host}/serving/iris@sha256:")
    reference = pushed.stdout.split()[1]

    held = HeldPort()
    command = [sys.executable, "-c", "from builder.cli import main; main()", "run"]
    running = subprocess.Popen(
        [*command, "-e", f"PORT={held.number}", reference],
        env=workplace.environment,
    )
    try:
        assert ask(held.number) == {"species": ["setosa"]}
    finally:
        running.terminate()
        running.wait(timeout=120)


def ask(port: int) -> object:
    deadline = time.monotonic() + 120
    while True:
        try:
            answer = httpx.post(f"http://127.0.0.1:{port}/predict", json={"features": [[5.1, 3.5, 1.4, 0.2]]})
            return answer.raise_for_status().json()
        except httpx.TransportError:
            assert time.monotonic() < deadline, "the image never answered"
            time.sleep(0.2)


def test_the_legacy_project_is_refused_with_every_reason_and_a_remedy_for_each(workplace, legacy):
    done = workplace.mlbuild("-C", str(legacy))
    assert done.returncode == 1
    assert done.stdout.startswith("REFUSED serving/legacy-notebook")
    words = " ".join(done.stdout.split())
    for expected in (
        "CVE-2023-50447 (critical)",
        "raise pillow to 10.2.0 or later",
        "the image runs as root",
        "set `user: nonroot`",
        "/app/config.py",
        "remove it from the app, revoke it",
        "/app/model.pkl",
        "save it with skops, ONNX or safetensors",
    ):
        assert expected in words


def test_the_legacy_project_is_refused_before_a_wheel_is_downloaded(workplace):
    project = workplace.project("legacy-notebook", "legacy-unbuilt")
    fresh = workplace.with_settings(MLBUILD_CACHE=str(workplace.root / "fresh-cache"))
    done = fresh.mlbuild("-C", str(project))
    assert done.returncode == 1
    assert "waiting for the image" in done.stdout
    assert not list((workplace.root / "fresh-cache").rglob("*.whl"))
    assert "Downloading" not in done.stderr


def test_the_gate_refuses_the_legacy_image_in_one_line(workplace, legacy, gate):
    done = workplace.mlbuild("-C", str(legacy), "push", gate.host)
    assert done.returncode == 1, done.stdout + done.stderr
    (line,) = done.stdout.splitlines()
    assert line.startswith("REFUSED serving/legacy-notebook: no-known-critical: CVE-2023-50447 in pillow 9.4.0")
    assert f"http://{gate.host}/api/decisions/" in line


def test_a_second_run_with_nothing_changed_makes_and_signs_nothing(workplace, iris):
    state = iris / ".mlbuild"
    before = {path: path.stat().st_mtime_ns for path in state.rglob("*.sigstore.json")}
    assert len(before) == 2
    done = workplace.mlbuild("-C", str(iris))
    assert done.returncode == 0
    assert "Making" not in done.stderr
    assert "Downloading" not in done.stderr
    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_the_examples_have_the_digests_that_are_written_down(workplace, iris, legacy):
    """They change with the examples, their locks, their bases, and the layout version: on purpose only."""
    golden = json.loads((ROOT / "examples" / "digests.json").read_bytes())
    for project in (iris, legacy):
        name, _, digest = json.loads(workplace.mlbuild("--json", "-C", str(project), "build").stdout)[
            "image"
        ].partition("@")
        assert golden[name] == digest


@pytest.mark.parametrize(
    ("umask", "settings"),
    [
        (0o000, {"TZ": "Pacific/Kiritimati", "PYTHONHASHSEED": "1", "LC_ALL": "C"}),
        (0o077, {"TZ": "America/St_Johns", "PYTHONHASHSEED": "4242", "LANG": "tr_TR.UTF-8"}),
    ],
    ids=["open-umask-east", "tight-umask-west"],
)
def test_the_digest_does_not_depend_on_where_and_how_it_is_built(workplace, iris, umask, settings):
    wanted = json.loads(workplace.mlbuild("--json", "-C", str(iris), "build").stdout)["image"]
    elsewhere = workplace.project("iris-serving", f"elsewhere/{umask:o}/deep")
    cold = workplace.root / f"cold-cache-{umask:o}"
    # The downloads are shared by hard links; every layer is made anew.
    shutil.copytree(workplace.root / "cache" / "blobs", cold / "blobs", copy_function=os.link)
    other = workplace.with_settings(MLBUILD_CACHE=str(cold), **settings)
    done = other.mlbuild("--json", "-C", str(elsewhere), "build", umask=umask, cwd="/")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["image"] == wanted
    assert "Making" in done.stderr


@pytest.mark.parametrize("version", ["3.11", "3.12", "3.13"])
def test_the_digest_does_not_depend_on_the_python_of_the_machine(workplace, iris, tmp_path, version):
    wanted = json.loads(workplace.mlbuild("--json", "-C", str(iris), "build").stdout)["image"]
    uv = find_uv_bin()
    find = [uv, "python", "find", "--no-project", "--no-python-downloads", version]
    found = subprocess.run(find, capture_output=True, text=True, check=False)
    if found.returncode != 0:
        pytest.skip(f"there is no Python {version} on this machine")
    sync = [uv, "sync", "--quiet", "--frozen", "--no-default-groups", "--python", found.stdout.strip()]
    environment = {**os.environ, "UV_PROJECT_ENVIRONMENT": str(tmp_path / "venv")}
    subprocess.run(sync, cwd=ROOT, env=environment, check=True, timeout=600)
    python = tmp_path / "venv" / "bin" / "python"
    cold = tmp_path / "cache"
    shutil.copytree(workplace.root / "cache" / "blobs", cold / "blobs", copy_function=os.link)
    project = shutil.copytree(iris, tmp_path / "project", ignore=shutil.ignore_patterns(".mlbuild"))
    done = subprocess.run(
        [python, "-m", "builder", "--json", "-C", str(project), "build"],
        env={**workplace.environment, "MLBUILD_CACHE": str(cold)},
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["image"] == wanted


def test_init_writes_a_spec_that_the_other_commands_take(workplace, tmp_path):
    (tmp_path / "requirements.txt").write_text("six==1.17.0\n")
    (tmp_path / "app.py").write_text("import six\nprint(six.__version__)\n")
    assert workplace.mlbuild("-C", str(tmp_path), "init").returncode == 0
    assert (tmp_path / "mlbuild.yaml").is_file()
    again = workplace.mlbuild("-C", str(tmp_path), "init")
    assert again.returncode == 2
    assert "exists already" in again.stderr
    done = workplace.mlbuild("-C", str(tmp_path))
    assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / "pylock.toml").is_file()


def test_a_manifest_altered_in_the_layout_is_made_again(workplace):
    project = workplace.project("iris-serving", "tampered")
    built = workplace.mlbuild("--json", "-C", str(project), "build")
    digest = json.loads(built.stdout)["image"].partition("@sha256:")[2]
    blob = project / ".mlbuild" / "image" / "blobs" / "sha256" / digest
    good = blob.read_bytes()
    blob.write_bytes(good.replace(b'"size"', b'"sise"', 1))
    assert workplace.mlbuild("-C", str(project), "build").returncode == 0
    assert blob.read_bytes() == good
