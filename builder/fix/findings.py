"""What breaks the rules of a lock, sorted by what can mend it: another release, another base, or a person."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from packageurl import PackageURL
from packaging.utils import canonicalize_name

from builder.lockfile import LockFile
from builder.platform_image import known_of_lock
from builder.platforms import each_platform
from builder.project import Project
from builder.workshop import Workshop
from compliance.errors import Unavailable
from compliance.inventory import Origin
from compliance.policy.decision import Decision, Effect, RuleOutcome, Status, Violation
from compliance.policy.evaluate import evaluate

_PYPI = "pkg:pypi/"
_ABOUT_VERSIONS = frozenset({"vulnerabilities", "yanked", "cooldown", "banned-packages"})


@dataclass(frozen=True, slots=True)
class Finding:
    """One violation of a rule that denies. `check` is the rule's."""

    rule: str
    check: str
    violation: Violation
    remedy: str

    @property
    def package(self) -> str:
        """The normalised name of the Python package that it is about; empty where it is about none."""
        culprit = self.violation.culprit
        return canonicalize_name(PackageURL.from_string(culprit).name) if culprit.startswith(_PYPI) else ""

    @property
    def version(self) -> str:
        return PackageURL.from_string(self.violation.culprit).version or ""

    @property
    def depends_on_version(self) -> bool:
        """Whether another release of the package may be free of it."""
        return self.check in _ABOUT_VERSIONS


@dataclass(frozen=True, slots=True)
class Judgement:
    """All findings of a lock, on all its platforms, each once: in Python packages, in the base, and others."""

    packages: tuple[Finding, ...]
    base: tuple[Finding, ...]
    others: tuple[Finding, ...]

    @property
    def complies(self) -> bool:
        """In its rules about packages, those of the base included."""
        return not (self.packages or self.base)

    def is_no_worse_than(self, other: Judgement) -> bool:
        return set(_told(self.packages)) <= set(_told(other.packages)) and len(self.base) <= len(other.base)


def judge(project: Project, workshop: Workshop, lock: LockFile) -> Judgement:
    """Judge the lock without downloading a wheel. Raises Unavailable where vulnerabilities cannot be told."""
    found: dict[tuple[str, str, str], Finding] = {}
    for one, part in each_platform(project, lock):
        decision = evaluate(workshop.policies, known_of_lock(one, workshop, part), workshop.at)
        for finding in _findings(decision):
            found.setdefault((finding.rule, finding.violation.culprit, finding.violation.key), finding)
    base = tuple(one for one in found.values() if one.violation.origin is Origin.BASE)
    packages = tuple(one for one in found.values() if one.package and one not in base)
    others = tuple(one for one in found.values() if one not in base and one not in packages)
    return Judgement(packages, base, others)


def _findings(decision: Decision) -> Iterable[Finding]:
    for outcome in decision.outcomes:
        if outcome.effect is not Effect.DENY:
            continue
        if outcome.status is Status.UNDECIDED:
            yield _undecided(outcome)
        elif outcome.status is Status.DENIED:
            for violation in outcome.violations:
                if violation.waiver is None:
                    yield Finding(outcome.rule, outcome.check, violation, violation.remedy or outcome.fix)


def _undecided(outcome: RuleOutcome) -> Finding:
    reason = outcome.reason or "it cannot be told"
    if outcome.check == "vulnerabilities":
        raise Unavailable(
            f"rule {outcome.rule}: {reason}", remedy="What is not known cannot be mended: see `mlbuild db status`."
        )
    return Finding(outcome.rule, outcome.check, Violation(outcome.rule, outcome.rule, reason), outcome.fix)


def _told(findings: Iterable[Finding]) -> Iterable[tuple[str, str]]:
    return ((one.rule, one.violation.key) for one in findings)
