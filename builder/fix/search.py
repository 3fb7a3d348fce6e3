"""Searching the smallest change of a lock with which its packages comply."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from builder.fix.attempt import Attempt, demand
from builder.fix.conflict import obstacles, shortened
from builder.fix.draft import Draft
from builder.fix.findings import Finding, judge
from builder.fix.plan import Plan, Roots, Writer
from builder.fix.requirement_texts import Bound
from builder.fix.result import Blocked, Fix, Moved
from builder.fix.unused import Uses
from builder.lockfile import LockFile
from builder.metadata import WheelMetadata
from builder.project import Project
from builder.uv import NoSolution
from builder.workshop import Workshop
from compliance.errors import InvalidInput

_ROUNDS: Final = 25  # each raises a version, so that this is reached by nothing but a mistake in advisories


def find_fix(project: Project, workshop: Workshop, directory: Path) -> Fix:
    """The smallest change with which the project's packages comply; `directory` is for trying it out.

    Nothing of the project is changed. Raises InvalidInput when its requirements cannot be met as they are,
    Unavailable when an index or a vulnerability database cannot be used.
    """
    return _Search(project, workshop, Draft(project, workshop, directory)).run()


class _Search:
    def __init__(self, project: Project, workshop: Workshop, draft: Draft) -> None:
        self._project = project
        self._workshop = workshop
        self._draft = draft
        self._writer = Writer(draft)
        self._uses = Uses(project)
        self._reasons: dict[str, dict[tuple[str, str], None]] = {}
        self._blocked: dict[str, str] = {}
        self._roots: dict[str, str] = {}

    def run(self) -> Fix:
        before = self._judged(Plan(), *self._locked(self._draft.texts, self._draft.lock_bytes), self._draft.texts)
        self._before = before
        best = self._raise_packages(before)
        best = self._minimised(best)
        best = self._rebased(best)
        return self._result(before, best)

    def _raise_packages(self, best: Attempt) -> Attempt:
        for _ in range(_ROUNDS):
            wanted: dict[str, Bound] = {}
            for finding in best.judgement.packages:
                self._note(finding, best.lock)
                if finding.package in self._blocked:
                    continue
                bound = demand(finding, best.plan.bounds.get(finding.package), wanted.get(finding.package))
                if bound is None:
                    best = self._dropped(best, finding, finding.remedy)
                    break
                wanted[finding.package] = bound
            else:
                if not wanted:
                    return best
                best = self._with(best, wanted)
        return best

    def _with(self, best: Attempt, wanted: dict[str, Bound]) -> Attempt:
        """All that is wanted at once; where that cannot be, one after the other, without what cannot be."""
        plan = best.plan
        for name, bound in wanted.items():
            plan = plan.with_bound(name, bound)
        try:
            return self._solved(plan)
        except InvalidInput as error:
            if len(wanted) == 1:
                return self._given_up(best, *next(iter(wanted.items())), error)
        for name, bound in wanted.items():
            try:
                best = self._solved(best.plan.with_bound(name, bound))
            except InvalidInput as error:
                best = self._given_up(best, name, bound, error)
        return best

    def _given_up(self, best: Attempt, name: str, bound: Bound, error: InvalidInput) -> Attempt:
        finding = next(one for one in best.judgement.packages if one.package == name)
        asked = (*self._draft.inputs.asked, *self._draft.inputs.constraints)
        if isinstance(error, NoSolution):
            known = obstacles(name, bound, best.lock, self._dependants(name, best.lock), asked)
            why = f"{name}{bound.text} is needed, but {known or shortened(error.message, asked)}"
        else:
            why = f"{error.message}. {error.remedy or ''}".rstrip()
        return self._dropped(best, finding, why)

    def _dependants(self, name: str, lock: LockFile) -> dict[str, WheelMetadata]:
        """What the packages of the lock that depend on `name` say of themselves."""
        wheels = {wheel.name: wheel for part in lock.each for wheel in part.wheels if name in wheel.depends_on}
        return self._draft.metadata([wheel for wheel in wheels.values() if wheel.build is None])

    def _dropped(self, best: Attempt, finding: Finding, why: str) -> Attempt:
        """Without the direct requirement that brings the package, where nothing uses that; else it is blocked."""
        root = self._roots.get(finding.package, finding.package)
        if root not in best.plan.dropped and self._writer.is_direct(root) and self._uses.is_unused(root):
            plan = replace(best.plan.without_bound(finding.package), dropped=best.plan.dropped | {root})
            try:
                found = self._solved(plan)
            except InvalidInput:
                found = best
            if finding.package not in found.versions:
                self._reasons.setdefault(root, {}).update(self._reasons[finding.package])
                return found
        self._blocked[finding.package] = why
        return replace(best, plan=best.plan.without_bound(finding.package))

    def _solved(self, plan: Plan) -> Attempt:
        """The plan with as little movement as it can have: at its bounds, then above, then with looser pins.

        Raises InvalidInput, that of the plan without looser pins, when there is no lock for it.
        """
        exact = frozenset(name for name, bound in plan.bounds.items() if bound.operator == ">=")
        try:
            return self._tried(plan, exact)
        except NoSolution:
            pass
        try:
            return self._tightened(plan, exact)
        except NoSolution as error:
            loose = replace(plan, loose=True)
            if plan.loose:
                raise
            for chosen in (exact, frozenset[str]()):
                try:
                    return self._tried(loose, chosen)
                except NoSolution:
                    continue
            raise error

    def _tightened(self, plan: Plan, exact: frozenset[str]) -> Attempt:
        """At or above the bounds, and exactly at as many of them as there can be."""
        found = self._tried(plan, frozenset())
        kept: frozenset[str] = frozenset()
        for name in sorted(exact):
            if found.versions.get(name) == plan.bounds[name].version:
                kept |= {name}
                continue
            try:
                found = self._tried(plan, kept | {name})
            except NoSolution:
                continue
            kept |= {name}
        return found

    def _tried(self, plan: Plan, exact: frozenset[str]) -> Attempt:
        roots = Roots(self._roots, {name: f"  # {self._why(name)}" for name in plan.bounds})
        texts = self._writer.to_choose(plan, roots, exact)
        project, lock, raw = self._locked(texts, self._before_raw)
        chosen = self._writer.chosen(plan, roots, lock.versions)
        if chosen != texts:
            project, lock, raw = self._locked(chosen, raw)
        return self._judged(plan, project, lock, raw, chosen)

    @property
    def _before_raw(self) -> bytes:
        return self._before.raw

    def _locked(self, texts: dict[Path, str], pinned: bytes | None) -> tuple[Project, LockFile, bytes]:
        project, lock = self._draft.lock(texts, pinned)
        return project, lock, lock.path.read_bytes()

    def _judged(self, plan: Plan, project: Project, lock: LockFile, raw: bytes, texts: dict[Path, str]) -> Attempt:
        return Attempt(plan, project, lock, raw, texts, judge(project, self._workshop, lock))

    def _minimised(self, best: Attempt) -> Attempt:
        """Without the bounds that the others bring along anyway."""
        for name in sorted(best.plan.bounds):
            if name in self._writer.pins or len(best.plan.bounds) == 1:
                continue  # the pin itself is what was wrong
            try:
                found = self._solved(best.plan.without_bound(name))
            except InvalidInput:
                continue
            if found.judgement.is_no_worse_than(best.judgement):
                best = found
        return best

    def _rebased(self, best: Attempt) -> Attempt:
        """On another curated base, where that has less against it; one with the same Python before others."""
        if not best.judgement.base:
            return best
        spec = self._project.spec
        now = self._workshop.base(spec.base, self._project.each[0].architecture)
        others = {
            base.name: base
            for base in self._workshop.bases
            if base.name != now.name and base.created >= now.created and base.recipe.os.id == now.recipe.os.id
        }
        for other in sorted(others.values(), key=lambda base: (base.python != now.python, base.size, base.name)):
            try:
                found = self._solved(replace(best.plan, base=other.name))
            except InvalidInput:
                continue
            fewer = len(found.judgement.base) < len(best.judgement.base)
            if fewer and len(found.judgement.packages) <= len(best.judgement.packages):
                best = found
            if not best.judgement.base:
                break
        return best

    def _note(self, finding: Finding, lock: LockFile) -> None:
        self._reasons.setdefault(finding.package, {})[finding.rule, finding.violation.key] = None
        wheels = (wheel for part in lock.each for wheel in part.wheels)
        chain = next((wheel.chain for wheel in wheels if wheel.name == finding.package), ())
        if chain:
            self._roots.setdefault(finding.package, chain[0])

    def _why(self, name: str) -> str:
        return ", ".join(dict.fromkeys(key if key != name else rule for rule, key in self._reasons.get(name, ())))

    def _result(self, before: Attempt, best: Attempt) -> Fix:
        stuck = {one.package: one for one in best.judgement.packages}
        blocked = [
            Blocked(name, finding.version, tuple(self._reasons[name]), self._blocked.get(name, finding.remedy))
            for name, finding in stuck.items()
        ]
        return Fix(
            edits=self._draft.edits(best.texts, best.raw),
            moved=tuple(self._moved(before, best)),
            blocked=tuple(blocked),
            remaining=(*best.judgement.base, *best.judgement.others),
            complies=best.judgement.complies,
            root=self._project.root,
            bases=(before.project.spec.base, best.project.spec.base),
        )

    def _moved(self, before: Attempt, after: Attempt) -> Iterator[Moved]:
        old, new = before.versions, after.versions
        for name in sorted(old.keys() | new.keys()):
            if old.get(name) == new.get(name):
                continue
            reasons = tuple(self._reasons.get(name, ()))
            yield Moved(name, old.get(name), new.get(name), reasons, self._told(name, after, reasons))

    def _told(self, name: str, after: Attempt, reasons: Sequence[tuple[str, str]]) -> str:
        if name in after.plan.dropped:
            return "nothing in the project imports or runs it"
        if name not in after.versions:
            return "nothing needs it any more"
        if not reasons and name in self._writer.pins:
            return "its pin leaves no room for the others"
        return "" if reasons else "comes along"
