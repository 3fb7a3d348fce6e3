"""What is to be said of a stage in a decision: that it looks misspelt, so that policies for it do not count."""

from __future__ import annotations

from difflib import get_close_matches

from compliance.evidence import Subject
from compliance.policy.model import PolicySet


def notes(policies: PolicySet, subject: Subject) -> tuple[str, ...]:
    """One note where no policy names the subject's stage, and one names a stage that is much like it."""
    named = {stage for policy in policies.policies if policy.reach for stage in policy.reach.stages}
    if subject.stage is None or subject.stage in named:
        return ()
    near = get_close_matches(subject.stage, sorted(named), n=1)
    return (f"no policy is for the stage {subject.stage!r}, did you mean {near[0]!r}?",) if near else ()
