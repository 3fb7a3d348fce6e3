"""What docs/security-engineer.md shows of `mlbuild policy` is what it prints on the shipped policies."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from contextlib import chdir
from pathlib import Path

import pytest
from click.testing import CliRunner

from builder.cli.main import main

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "security-engineer.md").read_text()
BLOCKS = re.findall(r"^```console\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)


def shown(command: str) -> list[str]:
    """What the page shows below each `$ command`."""
    found = []
    for block in BLOCKS:
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE):
            typed, _, printed = part.partition("\n")
            if typed == command:
                found.append(printed)
    return found


def printed(directory: Path, command: str) -> str:
    """What the command prints in `directory`, both streams."""
    environment = {"MLBUILD_CACHE": str(directory / "cache")}
    with chdir(directory):
        return CliRunner().invoke(main, command.split()[1:], env=environment).output


@pytest.fixture
def place(tmp_path: Path) -> Path:
    shutil.copytree(ROOT / "policies", tmp_path / "policies")
    return tmp_path


def replace(file: str, old: str, new: str) -> Callable[[Path], None]:
    def change(place: Path) -> None:
        path = place / "policies" / file
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new, 1))

    return change


def add_rule(place: Path) -> None:
    """The rule of the page, with a member that there is none of."""
    (rule,) = re.findall(r"^- id: fastapi-is-current\n(?:  .*\n)+", PAGE, re.MULTILINE)
    misspelt = rule.replace("item.version", "item.verion") + "  effect: warn\n  why: w\n  fix: f\n"
    with (place / "policies" / "serving.yaml").open("a") as file:
        file.write("\n" + re.sub("^", "  ", misspelt, flags=re.MULTILINE).rstrip() + "\n")


def add_waiver(place: Path) -> None:
    (place / "policies" / "waivers" / "pillow-libwebp.yaml").write_text(
        "rule: serving-no-known-high\nvulnerability: CVE-2023-4863\npackage: pkg:pypi/pillow\n"
        "owner: vision@example.com\nreason: WebP is compiled out.\nscope: {repositories: [serving/vision]}\n"
        "created: 2026-11-22\nexpires: 2027-03-31\n"
    )


@pytest.mark.parametrize(
    ("change", "place_in_page"),
    [
        (add_rule, 0),
        (lambda place: None, 1),  # noqa: ARG005 - as the others
        (replace("serving.yaml", "grace-days: 14", "grace-day: 14"), 2),
        (add_waiver, 3),
        (replace("baseline.yaml", "description:", "extends: [serving]\ndescription:"), 4),
    ],
    ids=["misspelt-member", "as-shipped", "misspelt-parameter", "waiver-past-its-cap", "circle"],
)
def test_lint_prints_what_the_page_shows(place: Path, change: Callable[[Path], None], place_in_page: int) -> None:
    change(place)
    command = "mlbuild policy lint policies"
    assert printed(place, command) == shown(command)[place_in_page]


def test_policy_tests_print_what_the_page_shows(place: Path) -> None:
    command = "mlbuild policy test policies"
    assert printed(place, command) in shown(command)


def test_a_difference_prints_what_the_page_shows(place: Path) -> None:
    shutil.copytree(place / "policies", place / "before" / "policies")
    replace("serving.yaml", "grace-days: 14", "grace-days: 7")(place)
    with (place / "policies" / "serving.yaml").open("a") as file:
        file.write(
            "\n  - id: serving-has-an-owner\n    check: required-labels\n"
            '    with: {labels: {owner: "?*@?*"}}\n    effect: deny\n    enforce-from: 2027-01-15\n'
            "    why: Somebody must be told.\n    fix: Name the team.\n"
        )
    command = "mlbuild policy diff before/policies policies"
    assert printed(place, command) in shown(command)
