"""What goes wrong ends with the exit code DESIGN gives it, a reason, and a next step: never with a traceback."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

pytestmark = [pytest.mark.acceptance, pytest.mark.xdist_group("examples")]


@pytest.fixture
def policies(tmp_path: Path) -> Path:
    """A copy of the shipped policies to break."""
    return Path(shutil.copytree(ROOT / "policies", tmp_path / "policies"))


@pytest.fixture
def fails(workplace, iris):
    """Runs `mlbuild check` on a built project that complies, with settings or files that do not work."""

    def check(code: int, *words: str, project: Path = iris, **settings: str) -> None:
        done = workplace.with_settings(**settings).mlbuild("-C", str(project), "check")
        printed = done.stdout + done.stderr
        assert done.returncode == code, printed
        assert "Traceback" not in printed
        for word in words:
            assert word in " ".join(printed.split()), printed

    return check


def test_trivy_missing_is_undecided(fails, tmp_path):
    fails(3, "error:", "next:", MLBUILD_TRIVY=str(tmp_path / "no-trivy"))


def test_no_database_is_undecided(fails, policies, tmp_path):
    shutil.rmtree(policies / "advisories")
    (policies / "advisories").mkdir()
    fails(
        *(3, "COULD NOT DECIDE", "no vulnerability database"),
        MLBUILD_POLICIES=str(policies),
        MLBUILD_CACHE=str(tmp_path / "cache"),
        HOME=str(tmp_path),
    )


def test_malformed_policy(fails, policies):
    (policies / "baseline.yaml").write_text("name: baseline\nrulez: []\n")
    fails(2, "baseline.yaml:2: unknown key 'rulez', did you mean 'rules'?", MLBUILD_POLICIES=str(policies))


def test_malformed_waiver(fails, policies):
    (policies / "waivers" / "everything.yaml").write_text("rule: no-known-critical\nowner: me\n")
    fails(2, "everything.yaml", MLBUILD_POLICIES=str(policies))


def test_malformed_spec(fails, workplace):
    project = workplace.project("iris-serving", "bad-spec")
    spec = project / "mlbuild.yaml"
    spec.write_text(spec.read_text().replace("ports:", "prots:"))
    fails(2, "unknown key 'prots', did you mean 'ports'?", project=project)


def test_malformed_lock(fails, workplace):
    project = workplace.project("iris-serving", "bad-lock")
    lock = project / "pylock.toml"
    lock.write_text(lock.read_text().replace('lock-version = "1.0"', 'lock-version = "9.0"'))
    fails(2, "pylock.toml", project=project)


def test_unknown_base(fails, workplace):
    project = workplace.project("iris-serving", "bad-base")
    spec = project / "mlbuild.yaml"
    spec.write_text(spec.read_text().replace("python3.11-slim", "python3.11-slin"))
    fails(2, "there is no base 'python3.11-slin', did you mean 'python3.11-slim'?", project=project)


def test_no_project(fails, tmp_path):
    fails(2, "there is no mlbuild.yaml here", "mlbuild init", project=tmp_path)


def test_the_gate_does_not_answer(workplace, iris):
    done = workplace.mlbuild("-C", str(iris), "push", "127.0.0.1:9")
    assert done.returncode == 3
    assert "error:" in done.stderr
    assert "Traceback" not in done.stderr
