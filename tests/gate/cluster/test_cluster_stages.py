"""What a stage asks of a repository: that every policy which names the stage judges it."""

from __future__ import annotations

from pathlib import Path

import pytest

from compliance.policy.loader import load_policies
from gate.cluster.stages import why_not

RULE = "  - {{id: {name}-a, check: non-root, effect: deny, why: Root is root., fix: Do not.}}\n"
HEADS = {
    "everywhere": "",
    "serving": "extends: [checked]\napplies-to: {stages: [serving], repositories: [serving/**, shared/**]}\n",
    "payments": "applies-to: {stages: [serving], repositories: [serving/**], except: [serving/old/**]}\n",
    "checked": "applies-to: {stages: [checked], repositories: [checked/**]}\n",
    "scratch": "mode: audit\napplies-to: {repositories: [scratch/**]}\n",
}


@pytest.fixture
def policies(tmp_path: Path):
    for name, head in HEADS.items():
        (tmp_path / f"{name}.yaml").write_text(f"name: {name}\n{head}rules:\n{RULE.format(name=name)}")
    return load_policies(tmp_path)


@pytest.mark.parametrize(
    ("repository", "stage", "policy"),
    [
        ("serving/iris", "serving", None),
        ("shared/tool", "serving", "payments"),
        ("serving/old/iris", "serving", "payments"),
        ("training/iris", "serving", "payments"),
        ("serving/iris", "checked", None),  # the policy that covers it extends the one of the stage
        ("scratch/iris", "serving", "payments"),
    ],
)
def test_a_repository_is_for_a_stage_when_all_its_policies_judge_it(policies, repository, stage, policy):
    reason = why_not(policies, repository, stage)
    assert (reason is None) == (policy is None)
    if policy is not None:
        assert reason.startswith(f"{repository} is not judged by policy {policy!r}")


@pytest.mark.parametrize("stage", ["production", "everywhere", ""])
def test_a_stage_that_no_policy_names_admits_nothing(policies, stage):
    assert why_not(policies, "serving/iris", stage).startswith(f"no policy in force is for the stage {stage!r}")
