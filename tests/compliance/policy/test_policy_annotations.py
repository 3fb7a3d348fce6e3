"""A decision as annotations on the lines of a change."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compliance.policy.decision import Decision, Mode, RuleOutcome, Violation
from compliance.policy.reports import Level, Place, annotation, to_annotations, within
from tests.compliance.policy.policy_evidence import AT
from tests.compliance.policy.test_policy_reports import WORST, decide

UNDECIDABLE = {"absent": {"vulnerabilities": "no vulnerability database could be used"}}


def in_requirements(outcome: RuleOutcome, violation: Violation | None) -> tuple[Place, ...]:
    if violation is not None and violation.culprit.startswith("pkg:pypi/"):
        return Place("requirements/base list.txt", 3), Place("pylock.toml", 40)
    return (Place("mlbuild.yaml"),)


def test_findings_stand_at_the_line_that_brought_their_culprit_once_a_line() -> None:
    lines = to_annotations(decide(**WORST), in_requirements).splitlines()
    (error,) = [line for line in lines if line.startswith("::error file=requirements/base list.txt,line=3,")]
    assert "title=REFUSED serving/iris" in error
    assert "CVE-2023-50447" in error
    assert "%0A  -> raise pillow to 10.2.0 or later" in error
    assert len(lines) == len({line.partition("::")[2].partition("::")[0] for line in lines})
    levels = [line.split()[0] for line in lines]
    assert levels == sorted(levels)


def test_what_is_admitted_has_no_error_and_what_is_audited_only_warns() -> None:
    refused = decide(**WORST)
    audited = to_annotations(replace(refused, mode=Mode.AUDIT), in_requirements)
    assert "::error" not in audited
    assert "title=AUDIT ONLY, WOULD BE REFUSED".replace(",", "%2C") in audited


def test_what_is_undecided_is_an_error_without_a_finding() -> None:
    told = to_annotations(decide(**UNDECIDABLE))
    assert "::error title=COULD NOT DECIDE" in told
    assert "could not be decided: no vulnerability database could be used" in told


def test_a_project_below_the_root_has_its_directory_in_front() -> None:
    told = to_annotations(decide(**WORST), within(in_requirements, "teams/iris"))
    assert "file=teams/iris/mlbuild.yaml" in told
    assert within(in_requirements, "") is in_requirements


@given(st.text(), st.text(), st.text())
def test_no_text_can_end_an_annotation_or_begin_another(message: str, title: str, path: str) -> None:
    line = annotation(Level.WARNING, message, title=title, place=Place(path, 7))
    assert "\n" not in line
    assert "\r" not in line
    given_part, _, text = line.removeprefix("::warning ").partition("::")
    properties = dict(one.split("=", 1) for one in given_part.split(","))

    def plain(escaped: str) -> str:
        for code, character in (("%0A", "\n"), ("%0D", "\r"), ("%3A", ":"), ("%2C", ","), ("%25", "%")):
            escaped = escaped.replace(code, character)
        return escaped

    assert (plain(properties["file"]), properties["line"], plain(properties["title"])) == (path, "7", title)
    assert plain(text) == message


@pytest.mark.parametrize("decision", [decide(**WORST), decide(**UNDECIDABLE)], ids=["refused", "undecidable"])
def test_every_line_is_a_command(decision: Decision) -> None:
    assert decision.at == AT
    for line in to_annotations(decision, in_requirements).splitlines():
        assert line.startswith(("::error ", "::warning "))
