"""Images for amd64 and arm64 made on one machine: what is in them, and what a gate and a person make of them."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import httpx
import pytest

from builder.platforms import host_architecture
from compliance.oci.digest import Digest
from compliance.oci.layer import open_layer
from compliance.oci.layer_members import members
from compliance.oci.layout import Layout
from compliance.oci.manifest import Index

pytestmark = [pytest.mark.acceptance, pytest.mark.xdist_group("examples")]

E_MACHINE = {"amd64": 62, "arm64": 183}  # EM_X86_64, EM_AARCH64
SPEC = """\
image: serving/two
base: python3.11-slim
stage: serving
platforms: [linux/amd64, linux/arm64]
dependencies: [markupsafe==3.0.2, six==1.17.0]
system: [libgfortran5]
command: [python, app.py]
"""


@pytest.fixture(scope="module")
def both(workplace) -> Path:
    """A project for both platforms, built."""
    project = workplace.root / "projects" / "two"
    project.mkdir(parents=True)
    (project / "mlbuild.yaml").write_text(SPEC)
    (project / "app.py").write_text(
        "import markupsafe, platform\nprint(markupsafe.__version__, platform.machine())\n"
    )
    done = workplace.mlbuild("-C", str(project))
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.index("linux/amd64:") < done.stdout.index("linux/arm64:")
    return project


def machines(layout: Layout, manifest: Digest) -> dict[str, int]:
    """The machine of every ELF file in an image's layers, by path (ELF header: e_machine, after 18 bytes)."""
    found = {}
    for layer in layout.image(manifest)[0].layers:
        with open_layer(layout.path(layer.digest)) as tar:
            for path, _, content in members(tar):
                head = content.read(20) if content is not None else b""
                if head.startswith(b"\x7fELF"):
                    found[path] = struct.unpack("<H", head[18:20])[0]
    return found


def test_every_shared_object_is_for_the_platform_of_its_image(both):
    layout = Layout(both / ".mlbuild" / "image")
    (root,) = layout.index().manifests
    index = layout.manifest(root.digest)
    assert isinstance(index, Index)
    assert [child.platform.architecture for child in index.manifests] == ["amd64", "arm64"]
    for child in index.manifests:
        architecture = child.platform.architecture
        assert layout.image(child.digest)[1].architecture == architecture
        found = machines(layout, child.digest)
        assert set(found.values()) == {E_MACHINE[architecture]}
        assert any(path.endswith("_speedups.so") or "_speedups." in path for path in found)
        assert sum("libc.so.6" in path for path in found) == 1
        folder = {"amd64": "x86_64-linux-gnu", "arm64": "aarch64-linux-gnu"}[architecture]
        assert any(path.lstrip("/").startswith(f"usr/lib/{folder}/libgfortran.so.5.") for path in found), (
            "the Debian packages of `system:` are for the platform too"
        )


def test_what_has_no_machine_is_one_layer_for_both(both):
    layout = Layout(both / ".mlbuild" / "image")
    (root,) = layout.index().manifests
    amd64, arm64 = (
        {layer.digest for layer in layout.image(child.digest)[0].layers} for child in _children(layout)
    )
    assert root.annotations == {"org.opencontainers.image.ref.name": "serving/two"}
    assert amd64 & arm64, "the project's files and pure wheels are the same blobs"


def _children(layout: Layout):
    return layout.manifest(layout.index().manifests[0].digest).manifests


def test_the_same_lock_gives_the_same_index(workplace, both):
    before = json.loads(workplace.mlbuild("--json", "-C", str(both), "build").stdout)
    again = json.loads(workplace.mlbuild("--json", "-C", str(both), "build").stdout)
    assert before == again
    assert set(before["platforms"]) == {"linux/amd64", "linux/arm64"}


def test_check_decides_for_each_platform_and_the_worst_counts(workplace, both, tmp_path):
    report = tmp_path / "policy.md"
    done = workplace.mlbuild("-C", str(both), "check", "--json", "--report", str(report))
    assert done.returncode == 0, done.stdout + done.stderr
    told = json.loads(done.stdout)
    assert told["verdict"] == "admitted"
    assert {name: one["verdict"] for name, one in told["platforms"].items()} == {
        "linux/amd64": "admitted",
        "linux/arm64": "admitted",
    }
    assert (tmp_path / "policy-linux-arm64.md").is_file()


def test_the_index_goes_through_the_gate_after_its_images(workplace, both, gate):
    done = workplace.mlbuild("--json", "-C", str(both), "push", gate.host)
    assert done.returncode == 0, done.stdout + done.stderr
    reference = json.loads(done.stdout)["reference"]
    digest = reference.partition("@")[2]
    assert (
        digest
        == json.loads(workplace.mlbuild("--json", "-C", str(both), "build").stdout)["image"].partition("@")[2]
    )
    answer = httpx.get(
        f"http://{gate.host}/v2/serving/two/manifests/latest",
        headers={"Accept": "application/vnd.oci.image.index.v1+json"},
        auth=("ci", "ci-secret"),
    )
    assert answer.headers["Docker-Content-Digest"] == digest
    assert len(answer.json()["manifests"]) == 2


def test_run_takes_the_image_of_this_machine(workplace, both):
    done = workplace.mlbuild("-q", "-C", str(both), "run")
    assert done.returncode == 0, done.stdout + done.stderr
    machine = {"amd64": "x86_64", "arm64": "aarch64"}[host_architecture()]
    assert done.stdout == f"3.0.2 {machine}\n"


@pytest.mark.parametrize("asked", ["bytecode: true", "steps: [{run: [python, -c, pass]}]"])
def test_what_runs_inside_needs_a_machine_of_the_images_kind(workplace, tmp_path, asked):
    (tmp_path / "mlbuild.yaml").write_text(f"{SPEC}{asked}\n")
    done = workplace.mlbuild("-C", str(tmp_path), "build")
    other = {"amd64": "arm64", "arm64": "amd64"}[host_architecture()]
    assert done.returncode == 2
    assert f"runs programs of linux/{other}" in done.stderr


def test_an_image_for_another_machine_is_not_run(workplace, tmp_path):
    other = {"amd64": "arm64", "arm64": "amd64"}[host_architecture()]
    spec = SPEC.replace("[linux/amd64, linux/arm64]", f"[linux/{other}]")
    (tmp_path / "mlbuild.yaml").write_text(spec)
    done = workplace.mlbuild("-C", str(tmp_path), "test")
    assert done.returncode == 2
    assert f"the image is for linux/{other} only" in done.stderr


def test_the_image_of_another_machine_is_reproduced_here(workplace, both, gate):
    assert workplace.mlbuild("-C", str(both), "push", gate.host).returncode == 0
    other = {"amd64": "arm64", "arm64": "amd64"}[host_architecture()]
    layout = Layout(both / ".mlbuild" / "image")
    (image,) = (child.digest for child in _children(layout) if child.platform.architecture == other)
    done = workplace.mlbuild("reproduce", f"{gate.host}/serving/two@{image}")
    assert done.returncode == 0, done.stdout + done.stderr


def test_diff_tells_what_changes_on_each_platform(workplace, both, gate, tmp_path):
    assert workplace.mlbuild("-C", str(both), "push", gate.host).returncode == 0
    same = workplace.mlbuild("--json", "diff", f"{gate.host}/serving/two:latest", str(both))
    assert same.returncode == 0, same.stdout + same.stderr
    told = json.loads(same.stdout)["platforms"]
    assert set(told) == {"linux/amd64", "linux/arm64"}
    for one in told.values():
        assert (one["packages"], one["layers"]["added"]) == ([], 0)
        assert {side["verdict"] for side in one["verdicts"].values()} == {"admitted"}

    (tmp_path / "mlbuild.yaml").write_text(SPEC.replace("linux/amd64, ", "").replace("six==1.17.0", "six==1.16.0"))
    assert workplace.mlbuild("-C", str(tmp_path), "lock").returncode == 0
    done = workplace.mlbuild("diff", str(both / "pylock.toml"), str(tmp_path / "pylock.toml"))
    assert done.stdout.splitlines() == [
        "linux/amd64:",
        "only OLD has it",
        "linux/arm64:",
        "~ pypi/six 1.17.0 -> 1.16.0",
        "verdict: admitted",
    ]
