"""What people and programs are shown of a decision."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import date
from html import escape
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from rich.console import Console

from compliance.errors import InvalidInput
from compliance.evidence import Evidence, Subject
from compliance.inventory import Inventory
from compliance.oci.digest import Digest
from compliance.policy.decision import Decision
from compliance.policy.evaluate import evaluate
from compliance.policy.loader import load_policies
from compliance.policy.model import Approval, Waiver
from compliance.policy.reports import (
    from_json,
    one_line,
    render,
    to_html,
    to_json,
    to_junit,
    to_markdown,
    to_sarif,
)
from compliance.policy.vex import Justification
from tests.compliance.policy.policy_evidence import AT, SUBJECT, evidence, given_evidence
from tests.examples import examples

DATA = Path(__file__).parent / "data" / "reports"
SHIPPED = load_policies(Path(__file__).parents[3] / "policies")

WORST: dict[str, Any] = {
    "user": "root",
    "packages": [
        {"name": "matplotlib", "version": "3.5.0"},
        {"name": "pillow", "version": "9.4.0", "licence": "HPND", "via": ["matplotlib"]},
        {"name": "libssl3", "version": "3.0.1-1", "ecosystem": "deb", "licence": None},
    ],
    "vulnerabilities": [
        {"id": "CVE-2023-4863", "package": "pillow", "severity": "critical", "fixed": ["10.0.1"]},
        {"id": "CVE-2023-50447", "package": "pillow", "severity": "critical", "fixed": ["10.2.0"]},
        {"id": "CVE-2024-0727", "package": "libssl3", "severity": "high", "fixed": ["3.0.2-1"]},
    ],
    "secrets": [{"path": "app/settings.py", "line": 12, "title": "GitHub token"}],
    "models": [{"path": "app/model.pkl", "format": "pickle", "unsafe": "imports os.system"}],
    "databases": {"advisories": "2026-11-01"},
}


def decide(subject: Subject = SUBJECT, **given: Any) -> Decision:
    return evaluate(SHIPPED, given_evidence(subject, **given), AT)


RULES = len(decide().outcomes)


def shown(decision: Decision, *, width: int = 80, colour: bool = False, verbose: bool = False) -> str:
    out = StringIO()
    console = Console(file=out, width=width, force_terminal=colour, color_system="standard" if colour else None)
    render(decision, console, verbose=verbose)
    return out.getvalue()


@pytest.mark.parametrize(
    ("name", "decision"),
    [
        ("refused", decide(**WORST)),
        ("admitted", decide()),
        ("undecidable", decide(absent={"vulnerabilities": "no vulnerability database could be used"})),
        ("lock", decide(Subject("serving/iris"), pending=["secrets", "models", "sbom", "provenance", "settings"])),
        ("unjudged", evaluate(replace(SHIPPED, policies=()), given_evidence(), AT)),
    ],
)
def test_the_terminal_and_markdown_reports_read_as_on_file(name: str, decision: Decision) -> None:
    assert shown(decision) == (DATA / f"{name}.txt").read_text()
    assert to_markdown(decision) == (DATA / f"{name}.md").read_text()


def test_the_terminal_report_fits_and_leaves_no_blanks_behind() -> None:
    headline, *lines = shown(decide(**WORST)).splitlines()
    assert headline.startswith("REFUSED serving/iris@sha256:")
    assert all(len(line) <= 80 and line == line.rstrip() for line in lines)


def test_colour_adds_nothing_but_colour() -> None:
    coloured = shown(decide(**WORST), colour=True)
    assert "\x1b[" in coloured
    assert re.sub(r"\x1b\[[0-9;]*m", "", coloured) == shown(decide(**WORST))


def test_passed_rules_are_only_counted_unless_asked_for() -> None:
    assert "passed: approved-base" not in shown(decide())
    assert "passed: approved-base (policy baseline)" in shown(decide(), verbose=True)


def test_every_report_says_in_which_layer_a_finding_is() -> None:
    found = given_evidence(vulnerabilities=WORST["vulnerabilities"][:1], packages=WORST["packages"])
    assert isinstance(found.inventory, Inventory)
    layer = Digest.of(b"layer")
    placed = tuple(replace(one, layer=layer) for one in found.inventory.packages)
    decision = evaluate(SHIPPED, replace(found, inventory=replace(found.inventory, packages=placed)), AT)
    words = f"your project, via matplotlib > pillow, in layer {layer.hex[:12]}"
    assert f"pillow 9.4.0  [{words}]" in shown(decision, width=200, verbose=True)
    assert f"| pillow 9.4.0 | {words.replace('>', chr(92) + '>')} |" in to_markdown(decision)
    assert f"[{escape(words)}]" in to_junit(decision).decode()
    assert escape(words) in to_html(decision).decode()
    assert str(layer) in to_sarif(decision).decode()
    assert str(layer) in to_json(decision).decode()
    assert "in layer" not in shown(decision, width=200)


def excused() -> Decision:
    """What a waiver excuses, of which it is told who stands for it, until when and why."""
    waiver = Waiver(
        "waivers/webp.yaml",
        "no-known-critical",
        "vision@example.com",
        "WebP is <compiled> out.",
        date(2026, 11, 1),
        date(2026, 12, 31),
        vulnerability="CVE-2023-4863",
        justification=Justification.VULNERABLE_CODE_NOT_PRESENT,
        approvals=(Approval("alice@example.com", date(2026, 11, 2)),),
    )
    return evaluate(replace(SHIPPED, waivers=(waiver,)), given_evidence(**WORST), AT)


SAID = (
    "waivers/webp.yaml (vision@example.com, until 2026-12-31): WebP is <compiled> out. "
    "(vulnerable_code_not_present; approved by alice@example.com)"
)


def test_every_report_says_who_excused_what_until_when_and_why() -> None:
    decision = excused()
    terminal = shown(decision, width=200)
    assert f"waived: {SAID}\n  no-known-critical: CVE-2023-4863 in pillow 9.4.0\n" in terminal
    markdown = to_markdown(decision).replace("\\", "")
    assert f"### Waived\n\n- {SAID}\n  - no-known-critical: CVE-2023-4863 in pillow 9.4.0\n" in markdown
    html = to_html(decision).decode()
    assert f"<li>{escape(SAID)}<ul>\n<li>no-known-critical: CVE-2023-4863 in pillow 9.4.0</li>" in html
    (run,) = json.loads(to_sarif(decision))["runs"]
    assert SAID in [one["suppressions"][0]["justification"] for one in run["results"] if "suppressions" in one]
    assert escape(f"(waived by {SAID})", quote=False) in to_junit(decision).decode()
    assert json.loads(to_json(decision))["exemptions"][0]["approved_by"] == ["alice@example.com"]


def test_long_lists_are_cut_unless_asked_for() -> None:
    many = [
        {"id": f"CVE-2026-{n}", "package": "fastapi", "severity": "critical", "fixed": ["1.0"]} for n in range(9)
    ]
    decision = decide(vulnerabilities=many)
    assert "and 4 more" in shown(decision)
    assert "and 4 more" not in shown(decision, verbose=True)
    assert all(f"CVE-2026-{n} " in shown(decision, verbose=True) for n in range(9))


@pytest.mark.parametrize(
    ("given", "line"),
    [
        (
            {},
            f"ADMITTED serving/iris@{SUBJECT.digest} ({RULES} rules: {RULES} passed)",
        ),
        (
            {"user": "root"},
            "REFUSED serving/iris: runs-as-non-root: the image runs as root"
            " -> set `user: nonroot` in mlbuild.yaml",
        ),
        (
            WORST,
            "REFUSED serving/iris: no-known-critical: CVE-2023-4863 in pillow 9.4.0"
            " -> raise pillow to 10.2.0 or later (+5 more)",
        ),
        (
            {"absent": {"settings": "the config is unreadable"}},
            "COULD NOT DECIDE serving/iris: runs-as-non-root: the config is unreadable (+3 more)",
        ),
    ],
)
def test_one_line(given: dict[str, Any], line: str) -> None:
    assert one_line(decide(**given)) == line


def test_one_line_stays_one_short_line_whatever_files_are_called() -> None:
    decision = decide(secrets=[{"path": "app/\n\x1b[31m" + "x" * 900}, {"path": "app/b"}])
    line = one_line(decision)
    assert len(line) <= 300
    assert line.isprintable()
    assert line.endswith("(+1 more)")
    assert "-> remove it from the app" in line


def test_what_an_image_holds_cannot_steer_a_terminal_or_add_markup() -> None:
    decision = decide(secrets=[{"path": "app/\x1b]0;x\x07|<img src=x>[bold]`a`\n# b"}])
    assert "\x1b" not in shown(decision)
    assert "[bold]" in shown(decision, width=200)
    assert "<img" not in to_markdown(decision).replace("\\<img", "")
    assert "\n# b" not in to_markdown(decision)


@given(evidence)
@settings(max_examples=examples(40), deadline=None)
def test_any_decision_can_be_shown(found: Evidence) -> None:
    decision = evaluate(SHIPPED, found, AT)
    assert len(one_line(decision)) <= 300
    assert one_line(decision).isprintable()
    assert shown(decision)
    assert to_markdown(decision).startswith("## ")


def test_a_decision_comes_back_from_its_json() -> None:
    decision = decide(**WORST)
    assert from_json(to_json(decision)) == decision


def test_an_altered_decision_does_not_come_back() -> None:
    with pytest.raises(InvalidInput, match="not a stored decision"):
        from_json(to_json(decide()).replace(b'"admitted"', b'"accepted"'))
