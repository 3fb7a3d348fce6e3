from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from compliance.attest.keys import generate_key
from compliance.errors import InvalidInput, Unavailable
from compliance.scan.advisories import compile_database, read_advisories
from compliance.scan.mirror import parse_repository, publish_database
from compliance.scan.sightings import Sightings
from gate.rulebook import Rulebook
from tests.compliance.oci.conftest import start_registry

__all__ = ["start_registry"]

NOW = datetime(2026, 11, 22, tzinfo=UTC)
POLICY = """\
name: any
rules:
  - {id: not-root, check: non-root, effect: deny, why: Because., fix: Mend it.}
"""


@pytest.fixture
def rulebook(tmp_path):
    return make_rulebook(tmp_path, trivy=tmp_path / "no-trivy")


def make_rulebook(tmp_path, **settings):
    for name in ("policies", "bases", "keys"):
        (tmp_path / name).mkdir()
    (tmp_path / "policies" / "any.yaml").write_text(POLICY)
    return Rulebook(
        policies=tmp_path / "policies",
        bases=tmp_path / "bases",
        keys=tmp_path / "keys",
        cache=tmp_path / "cache",
        sightings=Sightings(tmp_path / "sightings.sqlite"),
        now=lambda: NOW,
        **settings,
    )


def test_what_did_not_change_is_not_read_again(rulebook):
    assert rulebook.current().policies is rulebook.current().policies


def test_a_changed_policy_counts_from_the_next_push(rulebook, tmp_path):
    before = rulebook.current()
    (tmp_path / "policies" / "any.yaml").write_text(POLICY.replace("Because.", "For another reason."))
    after = rulebook.current()
    assert before.policies.digest != after.policies.digest
    assert before.inputs != after.inputs


def test_a_new_waiver_or_key_changes_what_verdicts_depend_on(rulebook, tmp_path):
    before = rulebook.current().inputs
    generate_key(tmp_path / "key.pem", tmp_path / "keys" / "ci.pem")
    assert rulebook.current().inputs != before


def test_a_directory_that_is_missing_keeps_the_gate_from_starting(rulebook, tmp_path):
    (tmp_path / "keys").rmdir()
    with pytest.raises(InvalidInput, match="keys"):
        rulebook.check()


def test_a_missing_scanner_is_a_reason_and_no_error(rulebook):
    scanner = rulebook.current().scanner
    assert isinstance(scanner, Unavailable)
    assert "no-trivy" in scanner.message


def test_a_broken_policy_set_never_replaces_a_good_one_and_is_told_with_file_and_line(rulebook, tmp_path, caplog):
    before = rulebook.current()
    policy = tmp_path / "policies" / "any.yaml"
    policy.write_text(POLICY.replace("check: non-root", "check: nonroot"))
    assert rulebook.current().policies is before.policies
    (problem,) = rulebook.problems()
    assert f"{policy}:3: unknown check 'nonroot'" in problem
    assert "stays in force" in problem
    rulebook.problems()
    assert sum(problem in record.message for record in caplog.records) >= 3
    policy.write_text(POLICY.replace("Because.", "For another reason."))
    assert rulebook.problems() == ()
    assert rulebook.current().policies.digest != before.policies.digest


@pytest.mark.parametrize("directory", ["policies", "bases", "keys"])
def test_a_directory_that_disappears_leaves_what_was_read_in_force(rulebook, tmp_path, directory):
    before = rulebook.current().inputs
    (tmp_path / directory).rename(tmp_path / "away")
    assert rulebook.current().inputs == before
    assert directory.removeprefix("trusted ") in rulebook.problems()[0]
    (tmp_path / "away").rename(tmp_path / directory)
    assert rulebook.problems() == ()


def test_a_key_or_base_that_is_broken_leaves_the_good_ones_in_force(rulebook, tmp_path):
    generate_key(tmp_path / "key.pem", tmp_path / "keys" / "ci.pem")
    before = rulebook.current().inputs
    (tmp_path / "keys" / "ci.pem").write_text("no key")
    (tmp_path / "bases" / "odd").mkdir()
    (tmp_path / "bases" / "odd" / "base.yaml").write_text("name: [")
    assert rulebook.current().inputs == before
    assert len(rulebook.problems()) == 2


def test_a_broken_advisory_keeps_the_gate_from_starting(rulebook, tmp_path):
    (tmp_path / "policies" / "advisories").mkdir()
    (tmp_path / "policies" / "advisories" / "X-1.json").write_text("{")
    with pytest.raises(InvalidInput, match=r"X-1\.json"):
        rulebook.check()


@pytest.mark.acceptance
def test_trivys_database_comes_from_the_mirror_that_a_setting_names(start_registry, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "of-the-user"))
    advisories = read_advisories(Path(__file__).parents[2] / "policies" / "advisories")
    compile_database(advisories, tmp_path / "compiled")
    mirror = f"{start_registry()}/mirror/trivy-db"
    publish_database(tmp_path / "compiled" / "db", parse_repository(mirror))
    scanner = make_rulebook(tmp_path, trivy=None, trivy_database=mirror).current().scanner
    assert [one.name for one in scanner.databases] == ["trivy"]
    assert not any("could not be downloaded" in note for note in scanner.notes)
