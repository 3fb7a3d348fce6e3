"""A check of the lock, before anything is downloaded, finds what the check of the finished image finds."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.workplace import Workplace

pytestmark = [pytest.mark.acceptance, pytest.mark.xdist_group("examples")]

BY_THE_IMAGE_ALONE = {
    "provenance",
    "sbom-complete",
    "sbom-present",
    "setuid-files",
    "image-size",
    "layer-count",
    "signature",
}
"""Checks that ask about bytes. Every other one is answered by a lock."""


@pytest.mark.parametrize("example", ["iris-serving", "legacy-notebook"])
def test_the_findings_on_the_lock_are_those_on_the_image(
    workplace: Workplace, request: pytest.FixtureRequest, example: str
) -> None:
    built = request.getfixturevalue({"iris-serving": "iris", "legacy-notebook": "legacy"}[example])
    unbuilt = workplace.project(example, f"{example}-before-bytes")
    early = outcomes(workplace, str(unbuilt))
    late = outcomes(workplace, str(built))

    assert early.keys() == late.keys()
    pending = {rule for rule, outcome in early.items() if outcome["status"] == "pending"}
    assert {early[rule]["check"] for rule in pending} <= BY_THE_IMAGE_ALONE
    assert not [rule for rule, outcome in late.items() if outcome["status"] == "pending"]
    judged = early.keys() - pending
    assert len(judged) > len(pending)
    for rule in judged:
        assert early[rule] == late[rule], rule


def outcomes(workplace: Workplace, project: str) -> dict[str, Any]:
    """What every rule says, by its id, whole: status, reason, and each violation with chain and remedy.

    Only the layers are left out: before there is an image there are none but the base's.
    """
    done = workplace.mlbuild("--json", "-C", project, "check", "--at", "2026-06-01")
    assert done.returncode in {0, 1}, done.stdout + done.stderr
    found = json.loads(done.stdout)["outcomes"]
    for outcome in found:
        for violation in outcome.get("violations", ()):
            violation.pop("layer", None)
    by_rule = {f"{outcome['policy']}/{outcome['rule']}": outcome for outcome in found}
    assert len(by_rule) == len(found)
    return by_rule
