"""Images held against each other, and built again from what was signed about them."""

from __future__ import annotations

import json

import pytest

pytestmark = [pytest.mark.acceptance, pytest.mark.xdist_group("examples")]


@pytest.fixture(scope="module")
def pushed(workplace, iris, gate):
    done = workplace.mlbuild("--json", "-C", str(iris), "push", gate.host)
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout)["reference"]


def test_a_published_image_is_built_again_from_its_provenance_alone(workplace, pushed, tmp_path):
    done = workplace.mlbuild("reproduce", pushed, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.split() == ["REPRODUCED", pushed]


def test_other_files_give_another_image_and_the_layer_is_named(workplace, iris, pushed, tmp_path):
    other = tmp_path / "other"
    (other / "model").mkdir(parents=True)
    for name in ("app.py", "model/iris.skops"):
        (other / name).write_bytes((iris / name).read_bytes())
    (other / "app.py").write_text((iris / "app.py").read_text() + "\n# changed\n")
    done = workplace.mlbuild("reproduce", pushed, "--files", str(other))
    assert done.returncode == 1, done.stdout + done.stderr
    differing = [line for line in done.stdout.splitlines() if " -> " in line]
    assert len(differing) == 1
    assert differing[0].strip().startswith("mlbuild project files: ")


def test_an_image_is_not_reproduced_on_the_word_of_an_unknown_key(workplace, pushed, tmp_path):
    (tmp_path / "keys").mkdir()
    nobody = workplace.with_settings(MLBUILD_TRUSTED_KEYS=str(tmp_path / "keys"))
    done = nobody.mlbuild("reproduce", pushed)
    assert done.returncode == 2
    assert "signed by a trusted key" in done.stderr


def test_a_published_image_and_the_project_it_was_built_from_are_the_same(workplace, iris, pushed):
    done = workplace.mlbuild("--json", "diff", pushed, str(iris))
    found = json.loads(done.stdout)
    assert found["packages"] == []
    assert found["layers"]["added"] == 0
    assert found["verdicts"] == {side: {"verdict": "admitted", "rules": []} for side in ("old", "new")}


def test_two_locks_are_compared_by_their_packages(workplace, iris, legacy):
    done = workplace.mlbuild("diff", str(iris / "pylock.toml"), str(legacy / "pylock.toml"))
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert "+ pypi/pillow 9.4.0" in lines
    assert any(line.startswith("- pypi/fastapi ") for line in lines)
    assert any(line.startswith("~ pypi/scikit-learn ") and " -> 1.2.2" in line for line in lines)
    assert lines[-1].startswith("verdict: admitted -> refused (")


def test_a_lock_without_a_spec_is_compared_and_not_judged(workplace, iris, tmp_path):
    (tmp_path / "pylock.toml").write_bytes((iris / "pylock.toml").read_bytes())
    done = workplace.mlbuild("diff", str(tmp_path / "pylock.toml"), str(iris / "pylock.toml"), cwd=tmp_path)
    assert done.stdout.splitlines() == [
        "the same packages",
        "verdict: not judged (there is no mlbuild.yaml beside it) -> admitted",
    ]


def test_what_is_neither_file_nor_image_is_said_to_be(workplace):
    done = workplace.mlbuild("diff", "nothing/here", "there")
    assert done.returncode == 2
    assert "is no file or directory, and names no registry" in done.stderr
