"""The loader: what it reads, and how it refuses what it should not."""

from __future__ import annotations

import shutil
import time
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from compliance.document import parse_document
from compliance.errors import InvalidInput
from compliance.evidence import Subject
from compliance.policy.decision import Effect
from compliance.policy.file_models import PolicyFile
from compliance.policy.loader import load_policies
from compliance.policy.model import Policy, PolicySet, Waiver
from compliance.policy.policy_document import parse_policy
from compliance.policy.waiver_document import parse_waiver
from tests.examples import examples

DATA = Path(__file__).parent / "data"
REFUSED = sorted(path for path in (DATA / "refused").iterdir() if path.is_dir())
SHIPPED = Path(__file__).parents[3] / "policies"


@pytest.mark.parametrize("directory", REFUSED, ids=lambda path: path.name)
def test_a_bad_policy_is_refused_with_its_line_and_what_was_meant(directory: Path) -> None:
    with pytest.raises(InvalidInput) as caught:
        load_policies(directory)
    said = str(caught.value).replace(f"{directory}/", "")
    if caught.value.remedy:
        said += f"\n-> {caught.value.remedy}"
    assert said == (directory / "expected.txt").read_text().strip()


def test_there_are_bad_policies_to_refuse() -> None:
    assert len(REFUSED) > 40


def test_the_shipped_policies_load() -> None:
    policies = load_policies(SHIPPED)
    assert [policy.name for policy in policies.policies] == ["baseline", "serving", "training"]
    assert all(rule.why and rule.fix for _, rule in policies.rules())


def test_a_directory_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="is not a directory of policies"):
        load_policies(tmp_path / "polices")


def test_an_empty_directory_is_a_set_without_rules(tmp_path: Path) -> None:
    assert load_policies(tmp_path).policies == ()


def test_every_field_of_a_rule_is_read() -> None:
    policies = load_policies(DATA / "good")
    policy = next(policy for policy in policies.policies if policy.name == "everything")
    rule = policy.rules[0]
    assert policy.extends == ("small",)
    assert policy.waiver_days == 14
    assert (rule.id, rule.check.name, rule.effect) == ("announced", "vulnerabilities", Effect.DENY)
    assert rule.enforce_from == date(2026, 12, 1)
    assert not policy.rules[1].waivable
    assert rule.effect_at(datetime(2026, 11, 30, 23, 59, tzinfo=UTC)) is Effect.WARN
    assert rule.effect_at(datetime(2026, 12, 1, tzinfo=UTC)) is Effect.DENY


def test_a_waiver_is_read() -> None:
    waiver = load_policies(DATA / "good").waivers[0]
    assert waiver.file == "waivers/pillow.yaml"
    assert waiver.package is not None
    assert waiver.package.covers("pkg:pypi/pillow@9.4.0")
    assert waiver.scope.covers(Subject("serving/iris"))
    assert not waiver.scope.covers(Subject("training/iris"))
    assert waiver.justification == "vulnerable_code_not_in_execute_path"
    assert [one.by for one in waiver.approvals] == ["security@example.com", "lead@example.com"]


def test_statements_and_exploitation_data_are_read() -> None:
    policies = load_policies(DATA / "good")
    policy = next(policy for policy in policies.policies if policy.name == "everything")
    assert (policy.waiver_approvals, policy.waiver_justified) == (2, True)
    assert (policy.vex.authors, policy.vex.days) == (("Vendor Security",), 30)
    assert [one.file for one in policies.vex.statements] == ["vex/vendor.openvex.json"]
    assert policies.threats.epss == {"CVE-2023-4863": 0.94}
    assert policies.threats.exploited == {"CVE-2023-4863"}


@pytest.mark.parametrize(
    "name", ["vex/vendor.openvex.json", "data/epss.csv", "data/kev.json", "waivers/pillow.yaml"]
)
def test_the_digest_covers_everything_that_is_read(tmp_path: Path, name: str) -> None:
    copy = tmp_path / "policies"
    shutil.copytree(DATA / "good", copy)
    before = load_policies(copy).digest
    assert before == load_policies(DATA / "good").digest
    (copy / name).unlink()
    assert load_policies(copy).digest != before


FROM_THE_FILE = {
    "an anchor": "anchor",
    "an alias": "alias",
    "a key twice": "key-twice",
    "deep nesting": "nested-too-deep",
    "text that reads backwards": "text-that-reads-backwards",
    "an invisible line break": "line-separator",
    "a letter of another alphabet": "look-alike-letter",
    "a truth value of YAML 1.1": "yaml-1.1-boolean",
    "a rule id twice": "rule-id-twice",
    "a rule id twice, in two files": "rule-id-twice-in-two-files",
    "a waiver for everything": "waiver-for-everything",
    "a waiver for every package": "waiver-for-every-package",
    "a waiver for every path": "waiver-for-every-path",
}


@pytest.mark.parametrize("name", FROM_THE_FILE.values(), ids=FROM_THE_FILE)
def test_what_readers_trip_over_has_a_stated_outcome(name: str) -> None:
    assert DATA / "refused" / name in REFUSED


@pytest.mark.parametrize("place", ["p.yaml", "waivers/w.yaml"])
def test_a_huge_file_is_refused_before_it_is_read_as_yaml(tmp_path: Path, place: str) -> None:
    (tmp_path / "waivers").mkdir()
    (tmp_path / place).write_bytes(b"# " + b"x" * 1_000_000)
    begun = time.perf_counter()
    with pytest.raises(InvalidInput, match="is larger than 1,000,000 bytes"):
        load_policies(tmp_path)
    assert time.perf_counter() - begun < 2


def test_many_keys_in_a_file_of_the_largest_size_are_read_in_time(tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_text("name: p\n" + "".join(f"x{number}: 1\n" for number in range(20_000)))
    begun = time.perf_counter()
    with pytest.raises(InvalidInput, match="unknown key 'x0'"):
        load_policies(tmp_path)
    assert time.perf_counter() - begun < 60


@pytest.mark.parametrize(
    ("subject", "names"),
    [
        (Subject("serving/iris"), ("small", "everything")),
        (Subject("serving/team/iris"), ("small", "everything")),
        (Subject("serving"), ("small",)),
        (Subject("serving-too/iris"), ("small",)),
        (Subject("lab/iris", stage="serving"), ("small", "everything")),
        (Subject("lab/iris", stage="training"), ("small",)),
    ],
)
def test_a_policy_is_for_a_stage_or_a_repository_and_brings_those_it_extends(
    subject: Subject, names: tuple[str, ...]
) -> None:
    assert tuple(policy.name for policy in load_policies(DATA / "good").for_subject(subject)) == names


def test_the_digest_is_of_names_and_bytes(tmp_path: Path) -> None:
    def digest(name: str, text: str) -> str:
        for path in tmp_path.iterdir():
            path.unlink()
        (tmp_path / name).write_text(text)
        return load_policies(tmp_path).digest

    first = digest("a.yaml", "name: a\n")
    assert digest("a.yaml", "name: a\n") == first
    assert digest("a.yaml", "name: a\n# a remark\n") != first
    assert digest("b.yaml", "name: a\n") != first


def test_a_policy_cannot_be_read_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").mkdir()
    with pytest.raises(InvalidInput, match="cannot be read"):
        load_policies(tmp_path)


GOOD_TEXT = (SHIPPED / "serving.yaml").read_text()
ODD_VALUES = [
    ".inf",
    ".nan",
    "0x",
    "1e999",
    "9" * 5000,
    "0b2",
    "~",
    "!!binary x",
    "!!set {}",
    "2001-01-01",
    "yes",
    "*a",
]


@st.composite
def mangled(draw: st.DrawFn) -> bytes:
    """A good policy with a piece cut out, put twice or replaced."""
    raw = GOOD_TEXT.encode()
    start = draw(st.integers(0, len(raw)))
    end = draw(st.integers(start, min(len(raw), start + 80)))
    piece = draw(
        st.one_of(st.binary(max_size=12), st.sampled_from(ODD_VALUES).map(str.encode), st.just(raw[start:end] * 2))
    )
    return raw[:start] + piece + raw[end:]


@given(st.one_of(st.binary(max_size=300), mangled()))
@settings(max_examples=examples(300), suppress_health_check=[HealthCheck.too_slow], deadline=None)
def test_any_bytes_are_a_policy_or_invalid_input(raw: bytes) -> None:
    try:
        policy = parse_policy(parse_document(raw, Path("p.yaml")))
    except InvalidInput as error:
        said = str(error)
    else:
        assert isinstance(policy, Policy)
        return
    assert said.startswith("p.yaml")


@given(st.sampled_from(ODD_VALUES), st.sampled_from(sorted(PolicyFile.model_fields)))
@settings(max_examples=examples(120), deadline=None)
def test_any_odd_value_is_taken_or_invalid_input(value: str, field: str) -> None:
    text = f"name: odd\n{field.replace('_', '-')}: {value}\n"
    try:
        policy = parse_policy(parse_document(text.encode(), Path("p.yaml")))
    except InvalidInput as error:
        said = str(error)
    else:
        assert policy.name == "odd"
        return
    assert said.startswith("p.yaml:")


def _rules() -> PolicySet:
    return load_policies(SHIPPED)


RULES = {rule.id: (policy, rule) for policy, rule in _rules().rules()}
WAIVER_TEXT = (DATA / "good" / "waivers" / "pillow.yaml").read_text().replace("announced", "no-known-critical")


@given(st.one_of(st.binary(max_size=300), st.tuples(st.integers(0, 400), st.binary(max_size=9))))
@settings(max_examples=examples(200), deadline=None)
def test_any_bytes_are_a_waiver_or_invalid_input(change: bytes | tuple[int, bytes]) -> None:
    if isinstance(change, tuple):
        place, piece = change
        raw = WAIVER_TEXT.encode()[:place] + piece + WAIVER_TEXT.encode()[place:]
    else:
        raw = change
    try:
        waiver = parse_waiver(parse_document(raw, Path("w.yaml")), RULES)
    except InvalidInput as error:
        said = str(error)
    else:
        assert isinstance(waiver, Waiver)
        assert (waiver.expires - waiver.created).days <= 90
        return
    assert said.startswith("w.yaml")
