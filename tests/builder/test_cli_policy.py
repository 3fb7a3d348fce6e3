"""What security engineers type: policy, advisories, db, and the reports of check; exit codes and output."""

from __future__ import annotations

import json
import shutil
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from rich.console import Console

from builder.cli import main
from builder.cli.explain import explanation, facts_of
from builder.cli.report import FORMS, form_of
from builder.places import ProjectPlaces
from builder.spec import read_spec
from compliance.archive import save_judged
from compliance.errors import InvalidInput
from compliance.evidence import Subject
from compliance.inventory import Origin
from compliance.policy.all_checks import checks
from compliance.policy.decision import Effect, RuleOutcome, Status, Violation
from compliance.policy.evaluate import evaluate
from compliance.policy.loader import load_policies
from compliance.policy.reports import Place, to_json
from tests.compliance.policy.policy_evidence import given_evidence

POLICIES = Path(__file__).parents[2] / "policies"
SHIPPED = load_policies(POLICIES)
DATA = Path(__file__).parents[1] / "compliance" / "policy" / "data"
NOW = datetime.now(UTC)
OF_TODAY = {"databases": {"trivy": NOW.date().isoformat()}, "base": {"end-of-life": "9999-01-01"}}
LOW = {"id": "CVE-2026-1", "package": "fastapi", "severity": "low", "fixed": ["1.0"], "published": "2025-11-20"}


@pytest.fixture
def mlbuild(tmp_path: Path) -> Any:
    def run(*arguments: object, code: int = 0) -> Result:
        environment = {"MLBUILD_CACHE": str(tmp_path / "cache"), "MLBUILD_POLICIES": str(POLICIES)}
        result = CliRunner().invoke(main, [str(one) for one in arguments], env=environment)
        assert result.exit_code == code, result.output
        assert "Traceback" not in result.output
        return result

    return run


@pytest.fixture
def changed(tmp_path: Path) -> Path:
    """The shipped policies with a stricter rule in serving."""
    shutil.copytree(POLICIES, tmp_path / "changed")
    file = tmp_path / "changed" / "serving.yaml"
    text = file.read_text().replace("[high, critical], only-fixable", "[low, high, critical], only-fixable")
    assert text != file.read_text()
    file.write_text(text)
    return tmp_path / "changed"


def test_the_shipped_policies_are_linted_and_tested(mlbuild: Any) -> None:
    assert "0 remarks" in mlbuild("policy", "lint", POLICIES, "--strict").output
    assert "cases passed" in mlbuild("policy", "test").output
    told = json.loads(mlbuild("policy", "test", "--json").stdout)
    assert told["failed"] == 0
    assert told["passed"] == len(told["cases"])


def test_a_failing_case_is_shown_with_its_line(mlbuild: Any) -> None:
    result = mlbuild("policy", "test", DATA / "failing-tests", code=1)
    assert "failed: " in result.output
    assert ".yaml:" in result.output


def test_what_does_not_load_is_invalid_input(mlbuild: Any, tmp_path: Path) -> None:
    (tmp_path / "p").mkdir()
    (tmp_path / "p" / "a.yaml").write_text("name: a\nruels: []\n")
    for command in ("lint", "test"):
        result = mlbuild("policy", command, tmp_path / "p", code=2)
        assert "a.yaml:2: unknown key 'ruels', did you mean 'rules'?" in result.output
    mlbuild("policy", "lint", tmp_path / "none", code=2)


def test_remarks_fail_only_where_asked(mlbuild: Any, tmp_path: Path) -> None:
    (tmp_path / "p").mkdir()
    (tmp_path / "p" / "a.yaml").write_text("name: a\n")
    result = mlbuild("policy", "lint", tmp_path / "p")
    assert f"{tmp_path / 'p' / 'a.yaml'}:1: warning: policy 'a' has no rules and extends none" in result.output
    mlbuild("policy", "lint", tmp_path / "p", "--strict", code=1)
    told = json.loads(mlbuild("policy", "lint", tmp_path / "p", "--json").stdout)
    assert told["remarks"][0]["line"] == 1


@pytest.mark.parametrize("command", [("lint",), ("review", POLICIES)], ids=["lint", "review"])
def test_a_broken_advisory_beside_policies_is_an_error(
    mlbuild: Any, tmp_path: Path, command: tuple[Any, ...]
) -> None:
    (tmp_path / "p" / "advisories").mkdir(parents=True)
    (tmp_path / "p" / "a.yaml").write_text("name: a\n")
    file = tmp_path / "p" / "advisories" / "broken.json"
    file.write_text('{"id": 3}\n')
    told = mlbuild("policy", *command, tmp_path / "p", code=2).output
    assert f"{file}:1: id: " in told
    assert told.splitlines()[0] == mlbuild("advisories", "lint", file.parent, code=2).output.splitlines()[0]


def test_a_remark_on_a_file_that_programs_write_names_the_file(mlbuild: Any, tmp_path: Path) -> None:
    (tmp_path / "p" / "vex").mkdir(parents=True)
    file = tmp_path / "p" / "vex" / "vendor.json"
    statement = {"vulnerability": "CVE-2026-1", "status": "affected", "products": [{"@id": "pkg:pypi/pillow"}]}
    file.write_text(
        json.dumps(
            {
                "@context": "https://openvex.dev/ns/v0.2.0",
                "author": "Vendor",
                "timestamp": "2026-11-01T00:00:00Z",
                "statements": [statement],
            }
        )
    )
    result = mlbuild("policy", "lint", tmp_path / "p")
    assert f"{file}: warning: no policy trusts 'Vendor': 1 statement without effect" in result.output
    told = json.loads(mlbuild("policy", "lint", tmp_path / "p", "--json").stdout)
    assert told["remarks"][-1]["line"] is None


def test_rules_and_checks_are_explained(mlbuild: Any) -> None:
    rule = mlbuild("policy", "explain", "serving-no-known-high").output
    assert "stage serving or repositories serving/** (policy serving)" in rule
    assert "severities: high, critical" in rule
    extended = json.loads(mlbuild("policy", "explain", "no-known-critical", "--json").stdout)
    assert extended["applies_to"][0] == "every image (policy baseline)"
    check = mlbuild("policy", "explain", "vulnerabilities").output
    assert "grace-days (0 when left out)" in check
    assert "used by no-known-critical, known-high" in check
    assert "max-days (required)" in mlbuild("policy", "explain", "base-age").output
    wrong = mlbuild("policy", "explain", "no-known-critcal", code=2)
    assert "did you mean 'no-known-critical'?" in wrong.output


@pytest.mark.parametrize("name", [*checks(), *(rule.id for _, rule in SHIPPED.rules())])
def test_every_rule_and_every_check_can_be_explained(name: str) -> None:
    console = Console(file=StringIO(), width=200)
    for line in explanation(SHIPPED, name):
        console.print(line)
    assert name in console.file.getvalue()
    assert name in json.loads(json.dumps(facts_of(SHIPPED, name))).values()


def test_a_diff_is_told_in_words(mlbuild: Any, changed: Path) -> None:
    assert (
        "stricter serving > serving-no-known-high: severities: adds low"
        in mlbuild("policy", "diff", POLICIES, changed).output
    )
    told = json.loads(mlbuild("policy", "diff", changed, POLICIES, "--json").stdout)
    assert (told["stricter"], told["looser"], len(told["changes"])) == (0, 1, 1)
    assert "no rule and no waiver changed" in mlbuild("policy", "diff", POLICIES, POLICIES).output


def test_an_impact_names_the_images_and_fails_when_one_is_lost(
    mlbuild: Any, changed: Path, tmp_path: Path
) -> None:
    shipped = SHIPPED
    found = given_evidence(vulnerabilities=[LOW], **OF_TODAY)
    save_judged(tmp_path / "evidence", found, evaluate(shipped, found, NOW))
    lost = mlbuild("policy", "impact", changed, "--evidence", tmp_path / "evidence", code=1)
    assert "REFUSED serving/iris@sha256:" in lost.output
    assert "at once, was admitted; owner not known" in lost.output
    assert "serving-no-known-high: CVE-2026-1 (low) in fastapi" in lost.output
    assert "1 of 1 image would change verdict" in lost.output
    told = json.loads(
        mlbuild("policy", "impact", changed, "--evidence", tmp_path / "evidence", "--json", code=1).stdout
    )
    assert told["changes"][0]["after"] == "refused"
    same = mlbuild("policy", "impact", POLICIES, "--evidence", tmp_path / "evidence", "--old", POLICIES)
    assert "0 of 1 image would change verdict" in same.output
    mlbuild("policy", "impact", POLICIES, "--evidence", changed, code=2)


def test_an_impact_that_only_audits_loses_nothing(mlbuild: Any, changed: Path, tmp_path: Path) -> None:
    only_serving = '{stages: [serving], repositories: ["serving/**"]}'
    for file in changed.glob("*.yaml"):
        if file.name != "serving.yaml":
            file.unlink()
    for file in (changed / "tests").glob("*.yaml"):
        file.unlink()
    serving = changed / "serving.yaml"
    text = serving.read_text().replace(only_serving, '{repositories: ["serving/**"]}\nmode: audit')
    serving.write_text(text.replace("extends: [baseline]\n", ""))
    found = given_evidence(vulnerabilities=[LOW], **OF_TODAY)
    save_judged(tmp_path / "evidence", found, evaluate(SHIPPED, found, NOW))
    arguments = ("policy", "impact", changed, "--evidence", tmp_path / "evidence")
    assert "AUDIT ONLY, WOULD BE REFUSED serving/iris@sha256:" in mlbuild(*arguments).output
    assert json.loads(mlbuild(*arguments, "--json").stdout)["changes"][0]["lost"] is False


@pytest.mark.parametrize("date", ["soon", "2027-13-01", "15.1.2027"])
def test_a_date_that_is_none_is_a_usage_error(mlbuild: Any, date: str) -> None:
    assert "is not a date: write it as 2027-01-15" in mlbuild("policy", "lint", "--at", date, code=2).output


def test_a_report_with_an_unknown_ending_is_refused_before_anything_is_done(mlbuild: Any, tmp_path: Path) -> None:
    assert set(FORMS) == {".json", ".md", ".sarif", ".xml", ".html"}
    assert form_of(Path("A.SARIF")) is FORMS[".sarif"]
    with pytest.raises(InvalidInput, match="names no form of report"):
        form_of(Path("report.pdf"))
    assert "names no form of report" in mlbuild("-C", tmp_path, "check", "--report", "x.pdf", code=2).output


def test_findings_are_placed_in_the_project(tmp_path: Path) -> None:
    (tmp_path / "mlbuild.yaml").write_text(
        "image: a/b\nbase: c\nrequirements: [requirements.txt]\ndependencies: [rich]\nuser: root\n"
    )
    (tmp_path / "requirements.txt").write_text("# ours\nFastAPI>=0.1  # web\n")
    (tmp_path / "pylock.toml").write_text('[[packages]]\nname = "rich"\n\n[[packages]]\nname = "starlette"\n')
    (tmp_path / "settings.py").write_text("\n\nKEY = 1\n")
    places = ProjectPlaces(tmp_path / "mlbuild.yaml", read_spec(tmp_path / "mlbuild.yaml"))

    def of(check: str, culprit: str, key: str = "x", **more: Any) -> tuple[Place, ...]:
        outcome = RuleOutcome("p", "r", check, Effect.DENY, Status.DENIED, "why", "fix")
        return places(outcome, Violation(culprit, key, "message", **more))

    via = {"chain": ("fastapi", "starlette"), "origin": Origin.DEPENDENCY}
    assert of("vulnerabilities", "pkg:pypi/starlette@0.1", **via) == (
        Place("requirements.txt", 2),
        Place("pylock.toml", 5),
    )
    assert of("licences", "pkg:pypi/rich@1") == (Place("mlbuild.yaml", 4), Place("pylock.toml", 2))
    assert of("vulnerabilities", "pkg:deb/debian/libssl3@3", origin=Origin.BASE) == (Place("mlbuild.yaml", 2),)
    assert of("non-root", "user root", "user", origin=Origin.APP) == (Place("mlbuild.yaml", 5),)
    secret = of("secrets", "/app/settings.py:3", "/app/settings.py", origin=Origin.APP)
    assert secret == (Place("settings.py", 3),)
    assert of("secrets", "/app/gone.py:3", "/app/gone.py", origin=Origin.APP) == (Place("mlbuild.yaml", 1),)
    assert of("licences", "pkg:not a purl") == (Place("mlbuild.yaml", 1),)
    assert places(RuleOutcome("p", "r", "secrets", Effect.DENY, Status.UNDECIDED, "w", "f"), None) == (
        Place("mlbuild.yaml", 1),
    )


def test_advisories_are_linted_and_built(mlbuild: Any, tmp_path: Path) -> None:
    told = json.loads(mlbuild("advisories", "lint", "--json").stdout)
    assert told["advisories"] > 50
    output = mlbuild("advisories", "build", "-o", tmp_path / "db", "--layout", tmp_path / "oci").output
    assert "advisories about" in output
    assert (tmp_path / "db" / "db" / "trivy.db").is_file()
    index = json.loads((tmp_path / "oci" / "index.json").read_text())
    assert index["manifests"][0]["annotations"] == {"org.opencontainers.image.ref.name": "2"}
    (tmp_path / "osv").mkdir()
    shutil.copy(next((POLICIES / "advisories").glob("GHSA-*.json")), tmp_path / "osv")
    assert mlbuild("advisories", "lint", tmp_path / "osv").output == "1 advisory about 1 package\n"
    next((tmp_path / "osv").iterdir()).unlink()
    assert "holds no advisories" in mlbuild("advisories", "lint", tmp_path / "osv", code=2).output
    (tmp_path / "osv" / "CVE-1.json").write_text('{"id": "CVE-1",\n"modifed": 1}')
    assert "CVE-1.json:2" in mlbuild("advisories", "lint", tmp_path / "osv", code=2).output


def test_a_machine_without_a_database_is_told_how_to_get_one(mlbuild: Any, tmp_path: Path) -> None:
    assert "names no registry" in mlbuild("db", "update", "--from", "trivy-db", code=2).output
    closed = mlbuild("db", "update", "--from", "127.0.0.1:9/trivy-db", code=3)
    assert "Check that the registry 127.0.0.1:9 runs and can be reached." in closed.output


@pytest.mark.parametrize(("form", "marker"), [("openvex", "https://openvex.dev/ns/v0.2.0"), ("cyclonedx", "1.6")])
def test_a_decision_is_told_as_vex(mlbuild: Any, tmp_path: Path, form: str, marker: str) -> None:
    evidence = given_evidence(vulnerabilities=[LOW])
    stored = tmp_path / "decision.json"
    stored.write_bytes(to_json(evaluate(SHIPPED, evidence, NOW)))
    arguments = ("vex", "--author", "Platform", "--form", form, "--decision", stored)
    told = mlbuild(*arguments).stdout
    assert json.loads(told)["@context" if form == "openvex" else "specVersion"] == marker
    mlbuild(*arguments, "-o", tmp_path / "vex.json")
    assert (tmp_path / "vex.json").read_text() == told


def test_what_is_no_decision_on_an_image_gives_no_vex(mlbuild: Any, tmp_path: Path) -> None:
    stored = tmp_path / "decision.json"
    stored.write_text("{}")
    said = mlbuild("vex", "--author", "Platform", "--decision", stored, code=2).stderr
    assert "decision.json: not a stored decision" in said
    assert "mlbuild check --report DECISION.json" in said
    lock = given_evidence(Subject("serving/iris"))
    stored.write_bytes(to_json(evaluate(SHIPPED, lock, NOW)))
    said = mlbuild("vex", "--author", "Platform", "--decision", stored, code=2).stderr
    assert "this decision is about a lock" in said
