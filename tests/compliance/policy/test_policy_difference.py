"""What became stricter or looser, in words, and what is doubtful about policies that load."""

from __future__ import annotations

import shutil
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from compliance.policy.all_checks import checks
from compliance.policy.difference import Change, difference
from compliance.policy.lint import lint
from compliance.policy.loader import load_policies
from compliance.policy.model import PolicySet
from compliance.policy.strictness import Tone, direction_of, flow, parameter_changes
from compliance.policy.vex import VexBook, VexStatement, VexStatus, VexTrust

SHIPPED = Path(__file__).parents[3] / "policies"
AT = datetime(2026, 11, 22, tzinfo=UTC)

POLICY = """\
name: team
applies-to: {stages: [serving], repositories: ["serving/**"]}
waivers: {max-days: 30}
rules:
  - id: cves
    check: vulnerabilities
    with: {severities: [high, critical], grace-days: 14}
    effect: deny
    why: because
    fix: mend it
  - id: sources
    check: package-sources
    with: {allow: ["https://pypi.org/simple"]}
    effect: warn
    why: because
    fix: mend it
"""
WAIVER = """\
rule: cves
vulnerability: CVE-2026-1
owner: a@example.com
reason: not reached
created: 2026-11-01
expires: 2026-11-20
"""


def policies(folder: Path, *replacements: tuple[str, str], waiver: str | None = None, more: str = "") -> PolicySet:
    text = POLICY
    for old, new in replacements:
        assert old in text
        text = text.replace(old, new)
    folder.mkdir(parents=True)
    (folder / "team.yaml").write_text(text + more)
    if waiver is not None:
        (folder / "waivers").mkdir()
        (folder / "waivers" / "w.yaml").write_text(waiver)
    return load_policies(folder)


def test_every_parameter_of_every_check_has_a_direction_or_is_said_to_have_none() -> None:
    unknown = {
        f"{check.name} {field.alias or name}"
        for check in checks().values()
        for name, field in check.parameters.model_fields.items()
        if direction_of(field.alias or name) is None
    }
    assert unknown == set(), "add them to the tables in compliance/policy/strictness.py"


@pytest.mark.parametrize(
    ("old", "new", "tone", "text"),
    [
        ("grace-days: 14", "grace-days: 30", Tone.LOOSER, "grace-days: 30, was 14"),
        ("grace-days: 14", "grace-days: 7", Tone.STRICTER, "grace-days: 7, was 14"),
        ("[high, critical]", "[medium, high, critical]", Tone.STRICTER, "severities: adds medium"),
        ("[high, critical]", "[critical]", Tone.LOOSER, "severities: drops high"),
        ("grace-days: 14", "grace-days: 14, only-fixable: true", Tone.LOOSER, "only-fixable: true, was false"),
        ("grace-days: 14", "grace-days: 14, min-cvss: 7", Tone.LOOSER, "min-cvss: 7.0, was not set"),
        (
            "grace-days: 14",
            "grace-days: 14, grace-days-by-severity: {high: 3}",
            Tone.CHANGED,
            "grace-days-by-severity.high: 3, was not set",
        ),
        (
            'allow: ["https://pypi.org/simple"]',
            'allow: ["https://pypi.org/simple", "https://a.example"]',
            Tone.LOOSER,
            "allow: adds https://a.example",
        ),
        ("effect: warn", "effect: deny", Tone.STRICTER, "denies, warned before"),
        ("effect: deny", "effect: warn", Tone.LOOSER, "warns, denied before"),
        (
            "effect: deny",
            "effect: deny\n    enforce-from: 2027-01-15",
            Tone.LOOSER,
            "denies from 2027-01-15, was at once",
        ),
        ("effect: deny", "effect: deny\n    waivable: false", Tone.STRICTER, "may no longer be waived"),
        ("max-days: 30", "max-days: 60", Tone.LOOSER, "waivers may run 60 days, was 30"),
        (
            'stages: [serving], repositories: ["serving/**"]',
            "stages: [serving]",
            Tone.LOOSER,
            "no longer applies to",
        ),
        ('"serving/**"', '"serving/**", "lab/**"', Tone.STRICTER, "applies to repositories lab/** too"),
    ],
)
def test_one_change_is_told_in_words(old: str, new: str, tone: Tone, text: str, tmp_path: Path) -> None:
    before, after = policies(tmp_path / "old"), policies(tmp_path / "new", (old, new))
    (change,) = difference(before, after)
    assert change.tone is tone
    assert text in change.text
    (back,) = difference(after, before)
    assert {change.tone, back.tone} in ({Tone.STRICTER, Tone.LOOSER}, {Tone.CHANGED})


def test_wording_is_no_change_and_replaced_entries_are_two(tmp_path: Path) -> None:
    before = policies(tmp_path / "old")
    assert difference(before, policies(tmp_path / "words", ("why: because", "why: for other reasons"))) == ()
    tones = [one.tone for one in difference(before, policies(tmp_path / "new", ("[high,", "[low,")))]
    assert tones == [Tone.STRICTER, Tone.LOOSER]


def test_rules_policies_and_waivers_that_come_and_go(tmp_path: Path) -> None:
    before = policies(tmp_path / "old")
    added = "  - {id: root, check: non-root, effect: deny, why: a, fix: b}\n"
    after = policies(tmp_path / "new", waiver=WAIVER, more=added)
    assert difference(before, after) == (
        Change(Tone.STRICTER, "team", "root", "new rule: denies by non-root"),
        Change(
            Tone.LOOSER,
            "team",
            "cves",
            "new waiver waivers/w.yaml: excuses CVE-2026-1 until 2026-11-20 (a@example.com)",
        ),
    )
    assert [one.tone for one in difference(after, before)] == [Tone.LOOSER, Tone.STRICTER]
    longer = policies(tmp_path / "longer", waiver=WAIVER.replace("11-20", "11-25"), more=added)
    (change,) = difference(after, longer)
    assert (change.tone, change.text) == (
        Tone.LOOSER,
        "waiver waivers/w.yaml: counts from 2026-11-01 to 2026-11-25, was 2026-11-01 to 2026-11-20",
    )


def test_examples_differ_from_themselves_in_nothing() -> None:
    shipped = load_policies(SHIPPED)
    assert difference(shipped, shipped) == ()
    for _, rule in shipped.rules():
        assert list(parameter_changes(rule.check, rule.parameters, rule.parameters)) == []


def test_values_read_as_in_a_sentence() -> None:
    assert flow({"trivy": 7}) == "trivy 7"
    assert flow([]) == "nothing"
    assert flow(None) == "not set"


def remarks(found: PolicySet) -> list[str]:
    return [f"{one.file} {'.'.join(map(str, one.place))}: {one.text}" for one in lint(found, AT)]


def test_a_clean_set_has_no_remarks(tmp_path: Path) -> None:
    assert remarks(policies(tmp_path / "clean")) == []


def test_what_can_never_apply_is_remarked_on(tmp_path: Path) -> None:
    applies = 'stages: [serving], repositories: ["serving/**"]'
    found = remarks(policies(tmp_path / "p", (applies, 'repositories: ["Serving/**"]')))
    assert found[0].startswith("team.yaml applies-to.repositories.0: 'Serving/**' can fit no repository")
    assert "rule 'cves' can never apply" in found[1]


def test_what_adds_nothing_is_remarked_on(tmp_path: Path) -> None:
    milder = (
        "  - id: fewer\n    check: vulnerabilities\n    with: {severities: [critical], grace-days: 30}\n"
        "    effect: deny\n    why: a\n    fix: b\n"
    )
    (said,) = remarks(policies(tmp_path / "milder", more=milder))
    assert "rule 'fewer' finds nothing that is not found already by 'cves'" in said
    twin = milder.replace("[critical], grace-days: 30", "[high, critical], grace-days: 14")
    (said,) = remarks(policies(tmp_path / "twin", more=twin))
    assert "rule 'fewer' says the same as 'cves'" in said
    assert remarks(policies(tmp_path / "warned", ("effect: deny", "effect: warn"), more=milder)) == []


def test_an_announcement_that_has_passed_can_go(tmp_path: Path) -> None:
    announced = ("effect: deny", "effect: deny\n    enforce-from: 2026-11-01")
    assert remarks(policies(tmp_path / "p", announced)) == [
        "team.yaml rules.0.enforce-from: rule 'cves' denies since 2026-11-01: enforce-from can go"
    ]


@pytest.mark.parametrize(
    ("waiver", "says"),
    [
        (WAIVER, "waivers/w.yaml expires: expired on 2026-11-20: renew or delete it"),
        (WAIVER.replace("11-20", "11-25"), "waivers/w.yaml expires: expires on 2026-11-25, in 3 days"),
        (
            WAIVER.replace("11-01", "11-25").replace("11-20", "12-20"),
            "waivers/w.yaml created: does not count before 2026-11-25",
        ),
        (
            "rule: sources\npackage: requests\n"
            + WAIVER.partition("\n")[2].partition("\n")[2].replace("11-20", "12-01"),
            "waivers/w.yaml rule: rule 'sources' only warns: there is nothing to waive",
        ),
    ],
)
def test_waivers_that_need_a_look(waiver: str, says: str, tmp_path: Path) -> None:
    assert says in remarks(policies(tmp_path / "p", waiver=waiver))


def test_statements_of_those_whom_no_policy_trusts_are_remarked_on(tmp_path: Path) -> None:
    found = policies(tmp_path / "p")
    made = [
        VexStatement(file, author, AT, ("CVE-2026-1",), VexStatus.NOT_AFFECTED, ())
        for file, author in (("vex/a.json", "Vendro"), ("vex/a.json", "Vendro"), ("vex/b.json", "Vendor"))
    ]
    untrusted = replace(found, vex=VexBook.of(made))
    todo = "name the author under `vex: authors:` in a policy, or delete the file"
    assert remarks(untrusted) == [
        f"vex/a.json : no policy trusts 'Vendro': 2 statements without effect; {todo}",
        f"vex/b.json : no policy trusts 'Vendor': 1 statement without effect; {todo}",
    ]
    trusting = replace(found.policies[0], vex=VexTrust(("Vendor",)))
    (said,) = remarks(replace(untrusted, policies=(trusting, *found.policies[1:])))
    assert "2 statements without effect ('Vendor' is trusted); name the author" in said


def test_the_shipped_set_is_as_good_as_it_can_be(tmp_path: Path) -> None:
    shutil.copytree(SHIPPED, tmp_path / "policies")
    assert remarks(load_policies(tmp_path / "policies")) == []
