"""What is fuzzed: every reader of files that security engineers write or download.

A target takes any bytes. It returns when they are refused with a typed error or mean what a second reader says
that they mean; anything else escapes it.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any, Final

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from compliance.document import parse_document
from compliance.errors import InvalidInput
from compliance.policy.loader import load_policies
from compliance.policy.model import Policy, Rule, Waiver
from compliance.policy.policy_document import parse_policy
from compliance.policy.threats import parse_epss, parse_kev
from compliance.policy.vex import VexStatus
from compliance.policy.vex_files import parse_vex
from compliance.policy.waiver_document import parse_waiver
from compliance.scan.advisories import read_advisories

ROOT: Final = Path(__file__).resolve().parents[2]
POLICIES: Final = ROOT / "policies"
ADVISORY: Final = "GHSA-3f63-hfp8-52jq"


@cache
def rules() -> Mapping[str, tuple[Policy, Rule]]:
    """The shipped rules by id, for waivers to name."""
    return {rule.id: (policy, rule) for policy, rule in load_policies(POLICIES).rules()}


def second_reading(raw: bytes) -> Any:
    """The file as another YAML reader takes it; None where that cannot read it."""
    try:
        return YAML(typ="safe", pure=True).load(raw.decode("utf-8-sig"))
    except (YAMLError, ValueError):
        return None


def policy(raw: bytes) -> Policy | None:
    """A policy that loads has every rule that the file has, with the same effect, dates and parameters."""
    try:
        found = parse_policy(parse_document(raw, Path("p.yaml")))
    except InvalidInput:
        return None
    data = second_reading(raw)
    assert isinstance(data, dict)
    written = data.get("rules") or []
    assert [rule.id for rule in found.rules] == [entry["id"] for entry in written]
    for rule, entry in zip(found.rules, written, strict=True):
        assert rule.effect == entry["effect"]
        assert rule.check.name == entry["check"]
        assert rule.waivable is entry.get("waivable", True)
        assert (rule.enforce_from is None) == ("enforce-from" not in entry or entry["enforce-from"] is None)
        said = rule.parameters.model_dump(mode="json", by_alias=True)
        for name, value in (entry.get("with") or {}).items():
            assert _says(said[name], value), (rule.id, name)
    assert list(found.extends) == list(data.get("extends") or [])
    return found


def _says(found: Any, written: Any) -> bool:
    """Whether a parameter holds what was written: nothing is dropped, and numbers stay what they are."""
    if isinstance(written, dict):
        return isinstance(found, dict) and all(_says(found.get(key), value) for key, value in written.items())
    if isinstance(written, list):
        return len(found) == len(written) and all(_says(*pair) for pair in zip(found, written, strict=True))
    return bool(found == written)


def waiver(raw: bytes) -> Waiver | None:
    """A waiver that loads names something, keeps its rule's cap, and is for no rule that cannot be waived."""
    try:
        found = parse_waiver(parse_document(raw, Path("w.yaml")), rules())
    except InvalidInput:
        return None
    of, rule = rules()[found.rule]
    assert rule.waivable
    assert any(one is not None for one in (found.vulnerability, found.package, found.path, found.key))
    assert (found.expires - found.created).days <= of.waiver_days
    data = second_reading(raw)
    assert isinstance(data, dict)
    assert str(data["expires"]) == found.expires.isoformat()
    assert isinstance(found.expires, date)
    return found


def advisory(raw: bytes) -> None:
    """An OSV file that is accepted has the id and packages that a plain JSON reader sees."""
    with tempfile.TemporaryDirectory() as directory:
        (Path(directory) / f"{ADVISORY}.json").write_bytes(raw)
        try:
            (found,) = read_advisories(Path(directory))
        except InvalidInput:
            return
    data = json.loads(raw)
    assert found.osv.id == data["id"] == ADVISORY
    assert [one.package.name for one in found.osv.affected] == [one["package"]["name"] for one in data["affected"]]


def vex(raw: bytes) -> None:
    """A statement that excuses is one in which the file says so."""
    try:
        found = parse_vex(raw, "vex/x.json")
    except InvalidInput:
        return
    text = raw.decode()
    for statement in found:
        assert statement.author
        if statement.status is VexStatus.NOT_AFFECTED:
            assert "not_affected" in json.dumps(json.loads(text)) or "false_positive" in json.dumps(
                json.loads(text)
            )


def threats(raw: bytes) -> None:
    """EPSS scores are between 0 and 1, and the catalogue names CVEs."""
    with suppress(InvalidInput):
        assert all(0 <= score <= 1 for score in parse_epss(raw, "epss.csv").values())
    with suppress(InvalidInput):
        assert all(name.startswith("CVE-") for name in parse_kev(raw, "kev.json"))


TARGETS: Final[Mapping[str, Callable[[bytes], object]]] = {
    "policy": policy,
    "waiver": waiver,
    "advisory": advisory,
    "vex": vex,
    "threats": threats,
}
