"""What `mlbuild fix` finds, shows and writes."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from builder.fix.draft import Edit, apply
from compliance.errors import InvalidInput
from tests.builder.fix.conftest import VULNERABILITIES

pytestmark = pytest.mark.acceptance  # each locks and judges several times, by uv and Trivy, from an index

BASES = """
  - id: a-newer-python
    check: base-approved
    with: {names: ["python3.13-*"]}
    effect: deny
    why: So that there is a rule.
    fix: Take another base.
"""


def snapshot(directory: Path) -> dict[str, bytes]:
    files = (path for path in directory.rglob("*") if path.is_file() and ".mlbuild" not in path.parts)
    return {str(path.relative_to(directory)): path.read_bytes() for path in files}


def test_a_pin_is_raised_to_the_smallest_version_that_helps_and_nothing_else_changes(workplace):
    workplace.wheel("tools", "1.0", "1.1", "1.2", "3.0")
    workplace.wheel("other", "1.0", "2.0")
    workplace.advisory("TEST-1", "tools", "1.1")
    workplace.advisory("TEST-2", "tools", "1.2")
    written = "# on purpose\nother==1.0\r\ntools == 1.0  # the old one\n"
    workplace.write("requirements.txt", written)
    before = snapshot(workplace.project)

    shown = workplace.mlbuild("fix")
    assert shown.exit_code == 1
    assert "tools 1.0 -> 1.2  TEST-1, TEST-2 (no-known-vulnerabilities)" in shown.stdout
    assert "-tools == 1.0  # the old one\n+tools ==1.2  # the old one\n" in shown.stdout
    assert "nothing was changed" in shown.stdout
    assert snapshot(workplace.project) == before

    applied = workplace.mlbuild("fix", "--apply")
    assert applied.exit_code == 0, applied.output
    text = (workplace.project / "requirements.txt").read_bytes().decode()
    assert text == written.replace("tools == 1.0", "tools ==1.2")
    assert workplace.mlbuild("check").exit_code == 0

    again = workplace.mlbuild("fix")
    assert again.exit_code == 0
    assert again.stdout.strip() == "the packages comply already: nothing to fix"


def test_what_comes_along_is_bounded_by_a_constraint_that_says_why(workplace):
    workplace.wheel("tools", "1.0", requires=["kit>=1"])
    workplace.wheel("kit", "1.0")
    workplace.write("requirements.txt", "tools")
    assert workplace.mlbuild("lock").exit_code == 0
    workplace.wheel("kit", "1.5", "2.0")
    workplace.advisory("TEST-1", "kit", "1.5")

    code, found = workplace.fix("--apply")
    assert (code, found["complies"], found["applied"]) == (0, True, True)
    assert [(one["name"], one["before"], one["after"]) for one in found["packages"]] == [("kit", "1.0", "1.5")]
    assert found["packages"][0]["reasons"] == [{"rule": "no-known-vulnerabilities", "key": "TEST-1"}]
    assert workplace.read("requirements.txt") == "tools\n-c constraints.txt\n"
    assert workplace.read("constraints.txt") == "kit>=1.5  # TEST-1\n"
    assert workplace.mlbuild("check").exit_code == 0


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        (
            "mlbuild.yaml",
            'image: serving/tools\nbase: python3.11-slim\ndependencies: ["tools", "other>=1,<3"]  # two\n',
            'dependencies: ["tools", "kit>=1.5", "other>=2.0,<3"]  # two\n',
        ),
        (
            "mlbuild.yaml",
            "image: serving/tools\nbase: python3.11-slim\ndependencies:\n  - tools\n  - other>=1,<3  # last\n",
            'dependencies:\n  - tools\n  - "kit>=1.5"\n  - other>=2.0,<3  # last\n',
        ),
        (
            "pyproject.toml",
            '[project]\nname = "x"\nversion = "1"\ndependencies = [\n    "tools",\n    "other>=1,<3",\n]\n',
            'dependencies = [\n    "tools",\n    "kit>=1.5",\n    "other>=2.0,<3",\n]\n',
        ),
    ],
    ids=["flow", "block", "pyproject"],
)
def test_lists_are_changed_in_their_own_style(workplace, name, text, expected):
    workplace.wheel("tools", "1.0", requires=["kit"])
    workplace.wheel("kit", "1.0")
    workplace.wheel("other", "1.0")
    workplace.write(
        "mlbuild.yaml", "image: serving/tools\nbase: python3.11-slim\nrequirements: [pyproject.toml]\n"
    )
    workplace.write(name, text)
    assert workplace.mlbuild("lock").exit_code == 0
    workplace.wheel("kit", "1.5")
    workplace.wheel("other", "2.0")
    workplace.advisory("TEST-1", "kit", "1.5")
    workplace.advisory("TEST-2", "other", "2.0")
    code, found = workplace.fix("--apply")
    assert code == 0, found
    assert workplace.read(name).endswith(expected)


def test_what_stands_in_the_way_is_named_with_its_line(workplace):
    workplace.wheel("tools", "1.0", requires=["kit<2"])
    workplace.wheel("kit", "1.0", "2.0")
    workplace.wheel("other", "1.0", "1.1")
    workplace.advisory("TEST-1", "kit", "2.0")
    workplace.advisory("TEST-2", "other", "1.1")
    workplace.write("requirements.txt", "# two\ntools==1.0\nother==1.0\n")

    code, found = workplace.fix()
    assert (code, found["complies"]) == (1, False)
    (blocked,) = found["blocked"]
    assert (blocked["name"], blocked["version"]) == ("kit", "1.0")
    assert blocked["why"] == (
        "kit>=2.0 is needed, but tools 1.0 requires kit<2, and you require tools==1.0 (requirements.txt:2)"
    )
    assert [one["name"] for one in found["packages"]] == ["other"]

    shown = workplace.mlbuild("fix").stdout
    assert "no change mends kit 1.0  TEST-1 (no-known-vulnerabilities)" in shown
    assert "is not enough" in shown


def test_the_lock_of_another_tool_is_named_and_left_alone(workplace):
    workplace.wheel("tools", "1.0", "2.0")
    workplace.advisory("TEST-1", "tools", "2.0")
    digest = hashlib.sha256((workplace.index.files / "tools-1.0-py3-none-any.whl").read_bytes()).hexdigest()
    workplace.write("mlbuild.yaml", "image: a/b\nbase: python3.11-slim\nrequirements: [locked/pylock.toml]\n")
    theirs = workplace.write(
        "locked/pylock.toml",
        'lock-version = "1.0"\ncreated-by = "poetry"\n[[packages]]\nname = "tools"\nversion = "1.0"\n'
        f'wheels = [{{url = "{workplace.index.file_url("tools-1.0-py3-none-any.whl")}", '
        f'hashes = {{sha256 = "{digest}"}}}}]\n',
    )
    before = theirs.read_bytes()
    code, found = workplace.fix("--apply")
    assert (code, found["applied"]) == (1, False)
    assert "pylock.toml pins tools 1.0. Raise it there" in found["blocked"][0]["why"]
    assert theirs.read_bytes() == before


def test_a_range_that_the_user_wrote_is_a_limit(workplace):
    workplace.wheel("tools", "1.0", "2.0")
    workplace.advisory("TEST-1", "tools", "2.0")
    workplace.write("requirements.txt", "tools<2\n")
    code, found = workplace.fix()
    assert code == 1
    assert found["blocked"][0]["why"] == "tools>=2.0 is needed, but you require tools<2 (requirements.txt:1)"
    assert found["diff"] == ""


def test_another_pin_moves_only_where_it_leaves_no_room(workplace):
    workplace.wheel("tools", "1.0", requires=["kit<2"])
    workplace.wheel("tools", "1.1", requires=["kit<3"])
    workplace.wheel("kit", "1.0", "2.0")
    workplace.wheel("other", "1.0", "2.0")
    workplace.advisory("TEST-1", "kit", "2.0")
    workplace.write("requirements.txt", "tools==1.0\nkit==1.0\nother==1.0\n")
    code, found = workplace.fix("--apply")
    assert code == 0, found
    assert workplace.read("requirements.txt") == "tools==1.1\nkit==2.0\nother==1.0\n"
    assert found["packages"][1]["note"] == "its pin leaves no room for the others"


def test_a_bound_that_another_brings_along_is_left_out(workplace):
    workplace.wheel("tools", "1.0", requires=["kit>=1"])
    workplace.wheel("tools", "2.0", requires=["kit>=2"])
    workplace.wheel("kit", "1.0", "2.0")
    workplace.advisory("TEST-1", "kit", "2.0")
    workplace.advisory("TEST-2", "tools", "2.0")
    workplace.write("requirements.txt", "tools==1.0\n")
    workplace.write("limits.txt", "kit<2\n")
    workplace.write("requirements.txt", "tools==1.0\n-c limits.txt\n")
    assert workplace.mlbuild("lock").exit_code == 0
    workplace.write("requirements.txt", "tools==1.0\n")
    code, found = workplace.fix("--apply")
    assert code == 0, found
    assert workplace.read("requirements.txt") == "tools==2.0\n"
    assert not (workplace.project / "constraints.txt").exists()


def test_a_requirement_that_nothing_imports_goes_where_no_release_will_do(workplace):
    workplace.wheel("tools", "1.0")
    workplace.wheel("tqdm", "1.0", "2.0")
    workplace.advisory("TEST-1", "tqdm", None)
    workplace.write("requirements.txt", "tools==1.0\ntqdm==1.0  # progress\n")
    code, found = workplace.fix("--apply")
    assert code == 0, found
    assert workplace.read("requirements.txt") == "tools==1.0\n"
    assert found["packages"][0]["note"] == "nothing in the project imports or runs it"


def test_a_requirement_that_is_imported_stays(workplace):
    workplace.wheel("tqdm", "1.0")
    workplace.advisory("TEST-1", "tqdm", None)
    workplace.write("app.py", "import tqdm\n")
    workplace.write("requirements.txt", "tqdm==1.0\n")
    code, found = workplace.fix("--apply")
    assert (code, found["applied"]) == (1, False)
    assert [one["name"] for one in found["blocked"]] == ["tqdm"]
    assert workplace.read("requirements.txt") == "tqdm==1.0\n"


def test_the_base_is_changed_where_it_is_at_fault(workplace):
    workplace.policy(BASES + VULNERABILITIES)
    workplace.wheel("tools", "1.0")
    workplace.write("requirements.txt", "tools\n")
    code, found = workplace.fix("--apply")
    assert code == 0, found
    assert found["base"] == {"before": "python3.11-slim", "after": "python3.13-slim"}
    assert "base: python3.13-slim  # the usual\n" in workplace.read("mlbuild.yaml")
    assert workplace.mlbuild("check").exit_code == 0


def test_what_only_another_platform_has_is_mended_too(workplace):
    workplace.wheel("tools", "1.0", requires=["kit>=1 ; platform_machine == 'aarch64'"])
    workplace.wheel("kit", "1.0")
    workplace.write("mlbuild.yaml", workplace.read("mlbuild.yaml") + "platforms: [linux/amd64, linux/arm64]\n")
    workplace.write("requirements.txt", "tools")
    assert workplace.mlbuild("lock").exit_code == 0
    workplace.wheel("kit", "1.5")
    workplace.advisory("TEST-1", "kit", "1.5")

    code, found = workplace.fix("--apply")
    assert (code, found["complies"], found["applied"]) == (0, True, True)
    assert [(one["name"], one["before"], one["after"]) for one in found["packages"]] == [("kit", "1.0", "1.5")]
    assert workplace.mlbuild("check").exit_code == 0


def test_requirements_that_cannot_be_met_are_an_error_in_their_own_names(workplace):
    workplace.write("requirements.txt", "nowhere==1.0\n")
    done = workplace.mlbuild("fix")
    assert done.exit_code == 2
    assert str(workplace.project / "requirements.txt") in done.stderr
    assert "mlbuild-fix-" not in done.stderr


def test_nothing_is_written_over_a_file_that_has_changed_meanwhile(tmp_path):
    first, second = tmp_path / "a.txt", tmp_path / "b.txt"
    first.write_text("old")
    second.write_text("changed")
    with pytest.raises(InvalidInput, match="in the meantime"):
        apply((Edit(first, b"old", b"new"), Edit(second, b"old", b"new")))
    assert first.read_text() == "old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.txt", "b.txt"]
