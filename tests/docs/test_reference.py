"""The reference pages that span the rooms say what the code does."""

from __future__ import annotations

import re

import pytest

from scripts.reference import PAGES, pages


@pytest.mark.parametrize("name", sorted(pages()))
def test_a_page_is_what_is_generated(name):
    assert (PAGES / name).read_text(encoding="utf-8") == pages()[name], "run `make generate`"


def test_every_command_is_there_with_its_options_and_examples():
    page = pages()["mlbuild.md"]
    assert "\n## `mlbuild policy impact`\n" in page
    assert "| `--report FILE` | Also write the decision to FILE" in page
    assert "\nExamples:\n\n```text\nmlbuild check --report policy.sarif" in page


@pytest.mark.parametrize("name", ["mlbuild.md", "mlgate.md"])
def test_every_command_has_examples_and_every_option_a_text(name):
    commands = re.split(r"^## ", pages()[name], flags=re.MULTILINE)[1:]
    assert len(commands) > 20
    alone = [one for one in commands if "| command | what |" not in one]
    assert [one.splitlines()[0] for one in alone if "\nExamples:\n" not in one] == []
    assert re.findall(r"^\| `-.*` \| (?:\[.*)?\|$", pages()[name], re.MULTILINE) == []


def test_every_key_of_the_spec_is_explained():
    rows = [line for line in pages()["spec.md"].splitlines() if line.startswith("| `")]
    assert len(rows) > 30
    assert not [row for row in rows if row.endswith("|  |")]
