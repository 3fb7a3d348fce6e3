"""The steps of an admission have the same numbers and names in the code and in the documentation."""

from __future__ import annotations

import re
from pathlib import Path

from gate import admission

DOCS = Path(__file__).parents[2] / "docs" / "platform-engineer.md"


def test_the_steps_in_the_documentation_are_those_of_the_code():
    in_code = re.findall(r"^(\d+)\. (\w+): ", admission.__doc__ or "", re.MULTILINE)
    in_docs = re.findall(r"^\| (\d+)\. (\w+) \|", DOCS.read_text(), re.MULTILINE)
    assert [int(number) for number, _ in in_code] == list(range(1, 12))
    assert in_docs == in_code


def test_every_rule_that_a_step_refuses_by_is_documented():
    text = (Path(admission.__file__).parent / "own_rules.py").read_text()
    for rule in re.findall(r"OwnRule\(\s*\"([a-z-]+)\"", text):
        assert f"`{rule}`" in DOCS.read_text(), rule
