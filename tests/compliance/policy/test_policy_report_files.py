"""The reports that other programs read: SARIF, JUnit XML, and the HTML page."""

from __future__ import annotations

import itertools
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from jsonschema.validators import Draft4Validator

from compliance.evidence import Evidence, Subject
from compliance.policy.decision import Decision, RuleOutcome, Violation
from compliance.policy.evaluate import evaluate
from compliance.policy.reports import Place, to_html, to_junit, to_sarif
from tests.compliance.policy.policy_evidence import AT, evidence, given_evidence
from tests.compliance.policy.test_policy_reports import SHIPPED, WORST, decide
from tests.examples import examples

SCHEMA = json.loads((Path(__file__).parent / "data/sarif/sarif-2.1.0.schema.json").read_text(encoding="utf-8"))
VALIDATOR = Draft4Validator(SCHEMA)
LOCK = Subject("serving/iris", "serving")
UNDECIDABLE = {"absent": {"vulnerabilities": "no vulnerability database could be used"}}


def sarif(decision: Decision, places: Any = None) -> dict[str, Any]:
    log: dict[str, Any] = json.loads(to_sarif(decision, places) if places else to_sarif(decision))
    assert [error.message for error in VALIDATOR.iter_errors(log)] == []
    run: dict[str, Any] = log["runs"][0]
    return run


def in_requirements(outcome: RuleOutcome, violation: Violation | None) -> tuple[Place, ...]:
    if violation is not None and violation.culprit.startswith("pkg:pypi/"):
        return Place("requirements/base list.txt", 3), Place("pylock.toml", 40)
    return (Place("mlbuild.yaml"),)


def test_the_schema_refuses_what_is_not_sarif() -> None:
    assert list(VALIDATOR.iter_errors({"version": "2.1.0", "runs": [{"results": []}]}))


def test_findings_point_at_the_line_that_brought_the_culprit() -> None:
    run = sarif(decide(**WORST), in_requirements)
    found = next(one for one in run["results"] if "CVE-2023-50447" in one["message"]["text"])
    assert found["level"] == "error"
    assert found["ruleId"] == run["tool"]["driver"]["rules"][found["ruleIndex"]]["id"] == "no-known-critical"
    where = found["locations"][0]
    assert where["physicalLocation"]["artifactLocation"]["uri"] == "requirements/base%20list.txt"
    assert where["physicalLocation"]["region"] == {"startLine": 3}
    assert where["logicalLocations"][0]["fullyQualifiedName"] == "pkg:pypi/pillow@9.4.0"
    assert found["relatedLocations"][0]["physicalLocation"]["region"] == {"startLine": 40}
    assert found["properties"]["fixedIn"] == "10.2.0"
    assert found["properties"]["from"] == "your project, via matplotlib > pillow"
    assert run["tool"]["driver"]["rules"][found["ruleIndex"]]["properties"]["security-severity"] == "9.5"


def test_a_fingerprint_outlives_an_upgrade_that_mends_nothing() -> None:
    def prints(version: str) -> set[str]:
        worse = {**WORST, "packages": [{"name": "pillow", "version": version}, *WORST["packages"][2:]]}
        return {one["partialFingerprints"]["mlbuild/v1"] for one in sarif(decide(**worse))["results"]}

    assert prints("9.4.0") == prints("9.5.0")


def test_what_is_undecided_is_open_and_the_run_did_not_succeed() -> None:
    run = sarif(decide(**UNDECIDABLE))
    assert run["invocations"][0]["executionSuccessful"] is False
    assert {one["kind"] for one in run["results"]} == {"open"}
    assert "no vulnerability database" in run["results"][0]["message"]["text"]


def test_what_waits_for_the_image_is_a_notification() -> None:
    run = sarif(decide(LOCK, pending=["sbom", "provenance"]))
    texts = [one["message"]["text"] for one in run["invocations"][0]["toolExecutionNotifications"]]
    assert any(text.startswith("serving-has-provenance waits for the image") for text in texts)
    assert run["results"] == []


def test_what_is_waived_is_suppressed() -> None:
    decision = decide(**WORST)
    waived = tuple(
        replace(outcome, violations=tuple(replace(one, waiver="waivers/p.yaml") for one in outcome.violations))
        for outcome in decision.outcomes
    )
    run = sarif(replace(decision, outcomes=waived))
    assert all(one["suppressions"][0]["justification"] == "waivers/p.yaml" for one in run["results"])


def test_junit_counts_what_failed_what_broke_and_what_waits() -> None:
    root = ElementTree.fromstring(to_junit(decide(**WORST)))  # noqa: S314 - our own bytes
    assert int(root.get("tests", "0")) == len(root.findall(".//testcase")) == len(decide(**WORST).outcomes)
    assert int(root.get("failures", "0")) == len(root.findall(".//failure")) > 0
    failure = root.find(".//testcase[@name='no-known-critical']/failure")
    assert failure is not None
    assert failure.text is not None
    assert "raise pillow to 10.2.0 or later" in failure.text
    assert [suite.get("name") for suite in root] == ["baseline", "serving"]
    for suite in root:
        for kind, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
            assert int(suite.get(kind, "-1")) == len(suite.findall(f".//{tag}"))


def test_junit_tells_undecided_from_waiting() -> None:
    broken = ElementTree.fromstring(to_junit(decide(**UNDECIDABLE)))  # noqa: S314
    assert int(broken.get("errors", "0")) > 0
    waiting = ElementTree.fromstring(to_junit(decide(LOCK, pending=["sbom", "provenance"])))  # noqa: S314
    assert (waiting.get("errors"), waiting.get("failures")) == ("0", "0")
    assert int(waiting.get("skipped", "0")) >= 2


class Outline(HTMLParser):
    """Checks that elements nest, and notes what a browser would load and what a screen reader would announce."""

    VOID = frozenset({"meta", "br"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def outline(decision: Decision) -> Outline:
    found = Outline()
    found.feed(to_html(decision).decode())
    found.close()
    assert found.open == []
    return found


@pytest.mark.parametrize("given", [WORST, {}, UNDECIDABLE])
def test_the_page_needs_nothing_from_elsewhere(given: dict[str, Any]) -> None:
    page = outline(decide(**given))
    tags = {tag for tag, _ in page.seen}
    assert not tags & {"script", "link", "img", "iframe", "object", "embed", "form", "svg", "base"}
    assert not any({"src", "srcset", "onclick", "style"} & attributes.keys() for _, attributes in page.seen)
    assert [one.get("href") for _, one in page.seen if "href" in one] == ["#findings"]
    assert "url(" not in to_html(decide(**given)).decode()


def test_the_page_can_be_found_around_in_without_eyes() -> None:
    page = outline(decide(**WORST))
    assert ("html", {"lang": "en"}) in page.seen
    assert [tag for tag, _ in page.seen].count("h1") == 1
    assert {"header", "main", "caption", "title"} <= {tag for tag, _ in page.seen}
    headings = [int(tag[1]) for tag, _ in page.seen if re.fullmatch("h[1-6]", tag)]
    assert all(after - before <= 1 for before, after in itertools.pairwise(headings))
    assert all("scope" in attributes for tag, attributes in page.seen if tag == "th")


def test_what_an_image_holds_cannot_add_to_a_page() -> None:
    nasty = decide(secrets=[{"path": "app/<script>alert(1)</script>\x00\x1b&\"'\ud800"}])
    assert b"<script>" not in to_html(nasty)
    outline(nasty)
    ElementTree.fromstring(to_junit(nasty))  # noqa: S314
    sarif(nasty)


@given(evidence)
@settings(max_examples=examples(40), deadline=None)
def test_any_decision_has_every_report(found: Evidence) -> None:
    decision = evaluate(SHIPPED, found, AT)
    outline(decision)
    sarif(decision)
    ElementTree.fromstring(to_junit(decision))  # noqa: S314


def test_reports_are_the_same_every_time() -> None:
    for write in (to_sarif, to_junit, to_html):
        assert write(decide(**WORST)) == write(evaluate(SHIPPED, given_evidence(**WORST), AT))
