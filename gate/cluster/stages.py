"""What a stage asks of a repository, by the policies in force. Pure.

The gate judges an image by the policies that cover its repository, at the push and whenever rules change. So an
image is admitted for a stage when it is admitted, and every policy that names the stage is among those.
"""

from __future__ import annotations

from compliance.evidence import Subject
from compliance.policy.model import Policy, PolicySet


def why_not(policies: PolicySet, repository: str, stage: str) -> str | None:
    """Why nothing in a repository is admitted for a stage, and what to do; None when what is admitted there is."""
    asked = [policy for policy in policies.policies if policy.reach is not None and stage in policy.reach.stages]
    if not asked:
        return (
            f"no policy in force is for the stage {stage!r} -> Name it in a policy's `applies-to`,"
            " or mend the label of the namespace"
        )
    judging = {policy.name for policy in policies.enforced(Subject(repository))}
    missing = next((policy for policy in asked if policy.name not in judging), None)
    if missing is None:
        return None
    return (
        f"{repository} is not judged by policy {missing.name!r}, which stage {stage!r} asks for"
        f" -> Push it to a repository that the policy covers{_covered(missing)}"
    )


def _covered(policy: Policy) -> str:
    patterns = () if policy.reach is None else policy.reach.repositories
    return f": {', '.join(patterns)}" if patterns else ""
