"""A project with Debian packages, models and a uv.lock: locked with apt, run by buildah, admitted by a gate."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest
import uv

from compliance.oci.digest import Digest
from compliance.oci.layout import Layout

pytestmark = [
    pytest.mark.acceptance,
    pytest.mark.xdist_group("examples"),
    pytest.mark.skipif(shutil.which("apt-get") is None, reason="only apt can resolve Debian packages"),
]

PROGRAM = """
import ctypes, json, pathlib
import magic
print(json.dumps({
    "magic": magic.from_buffer(b"%PDF-1.4"),
    "alternative": ctypes.CDLL("liblapack.so.3")._name,
    "model": pathlib.Path("/models/net.gguf").read_bytes()[:4].decode(),
    "vocabulary": pathlib.Path("/app/data/vocabulary.txt").read_text(),
    "application": sorted(path.name for path in pathlib.Path("/app").rglob("*")),
}))
"""
SPEC = """
image: serving/real
base: python3.11-slim
stage: serving
requirements: [uv.lock]
system: [libmagic1, liblapack3]
models:
  - path: weights/net.gguf
  - url: {url}
    sha256: {sha256}
    to: /app/data/vocabulary.txt
app: {{include: ["*.py", "weights/**"]}}
command: [python, main.py]
"""
GGUF = b"GGUF" + (3).to_bytes(4, "little") + bytes(16)


@pytest.fixture(scope="module")
def project(workplace) -> Path:
    directory = workplace.root / "projects" / "real"
    (directory / "weights").mkdir(parents=True)
    (directory / "main.py").write_text(PROGRAM)
    (directory / "weights" / "net.gguf").write_bytes(GGUF)
    (directory / "weights" / "notes.txt").write_text("two layers")
    (directory / "pyproject.toml").write_text(
        '[project]\nname = "real"\nversion = "1"\nrequires-python = "==3.11.*"\n'
        'dependencies = ["python-magic==0.4.27"]\n'
    )
    subprocess.run([uv.find_uv_bin(), "lock", "--quiet", "--no-python-downloads"], cwd=directory, check=True)
    vocabulary = workplace.root / "vocabulary.txt"
    vocabulary.write_text("a b c")
    spec = SPEC.format(url=vocabulary.as_uri(), sha256=hashlib.sha256(b"a b c").hexdigest())
    (directory / "mlbuild.yaml").write_text(spec)
    done = workplace.mlbuild("-C", str(directory))
    assert done.returncode == 0, done.stdout + done.stderr
    return directory


def test_the_lock_pins_debian_packages_with_licence_and_reason(project):
    lock = tomllib.loads((project / "pylock.toml").read_text())["tool"]["mlbuild"]
    assert lock["system"]["packages"] == ["liblapack3", "libmagic1"]
    debs = {deb["name"]: deb for deb in lock["system"]["debs"]}
    assert {"libblas3", "libgfortran5", "liblapack3", "libmagic1", "libmagic-mgc"} <= debs.keys()
    assert "libc6" not in debs
    assert debs["libgfortran5"]["licence"] == "GPL-3.0-or-later WITH GCC-exception-3.1"


def test_it_runs(workplace, project):
    done = workplace.mlbuild("-C", str(project), "run")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {
        "magic": "PDF document, version 1.4",
        "alternative": "liblapack.so.3",
        "model": "GGUF",
        "vocabulary": "a b c",
        "application": ["data", "main.py", "notes.txt", "vocabulary.txt", "weights"],
    }


def test_the_sbom_names_models_by_format_and_layer(project):
    sbom = json.loads((project / ".mlbuild" / "sbom.cdx.json").read_bytes())
    layout = Layout(project / ".mlbuild" / "image")
    _, config = layout.image(layout.index().manifests[0].digest)
    models = [one for one in sbom["components"] if one["type"] == "machine-learning-model"]
    assert [model["name"] for model in models] == ["/app/data/vocabulary.txt", "/models/net.gguf"]
    properties = {one["name"]: one["value"] for one in models[1]["properties"]}
    assert properties["mlbuild:format"] == "gguf"
    assert Digest(properties["aquasecurity:trivy:LayerDiffID"]) in config.rootfs.diff_ids
    assert models[1]["hashes"] == [{"alg": "SHA-256", "content": hashlib.sha256(GGUF).hexdigest()}]


def test_the_gate_finds_in_the_bytes_what_the_sbom_claims(workplace, project, gate):
    """The serving policy wants a complete SBOM: every Debian and Python package of the layers, and no other."""
    done = workplace.mlbuild("-C", str(project), "push", gate.host)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.startswith(f"ADMITTED {gate.host}/serving/real@sha256:")


def test_nothing_is_asked_or_made_again_while_nothing_changes(workplace, project):
    before = (project / "pylock.toml").read_bytes()
    locked = workplace.mlbuild("-C", str(project), "lock")
    assert locked.returncode == 0, locked.stderr
    assert "Debian" not in locked.stderr
    assert (project / "pylock.toml").read_bytes() == before
    built = workplace.mlbuild("-C", str(project), "build")
    assert built.returncode == 0, built.stderr
    assert "Making" not in built.stderr


def test_a_name_that_debian_does_not_have_is_told_with_its_line(workplace, project):
    other = workplace.root / "projects" / "misspelt"
    other.mkdir()
    (other / "mlbuild.yaml").write_text(
        "image: a/b\nbase: python3.11-slim\ndependencies: []\nsystem:\n  - libmagic1\n  - libmagick1\n"
    )
    done = workplace.mlbuild("-C", str(other), "lock")
    assert done.returncode == 2
    assert "mlbuild.yaml:6: debian 12 has no package 'libmagick1', did you mean 'libmagic1'?" in done.stderr


def test_a_model_that_changed_since_it_was_locked_stops_the_build(workplace, project):
    model = project / "weights" / "net.gguf"
    try:
        model.write_bytes(GGUF + b"more")
        done = workplace.mlbuild("-C", str(project), "build")
        assert done.returncode == 2
        assert "net.gguf: has sha256" in done.stderr
        assert "Run `mlbuild lock` to pin the model as it is now" in done.stderr
    finally:
        model.write_bytes(GGUF)
