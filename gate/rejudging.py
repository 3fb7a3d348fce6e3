"""Judges again what was admitted, when what a verdict depends on has changed, or time has passed.

One thread of the gate looks for changes and works through what is due, a batch at a time. What it has found is
noted image by image, so that a gate that is killed goes on where it was, and several share the work.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Final

from compliance.errors import InvalidInput
from compliance.evidence import Evidence
from compliance.oci.digest import Digest
from compliance.oci.manifest import Manifest, parse_manifest
from compliance.policy.decision import Decision, Verdict
from compliance.policy.evaluate import evaluate
from compliance.policy.later import blocking
from compliance.policy.reports import one_line
from compliance.policy.verdict_change import owner_of
from gate.audit.entry import GATE, Action, Event
from gate.decision_record import record_of, stored_evidence
from gate.due import Due
from gate.rounds import Rounds
from gate.rulebook import Rulebook, Rules
from gate.second_look import Matcher, seen_again
from gate.store import Store

BATCH: Final = 50
NOBODY: Final = ""
"""Who pushed, in decisions that no push asked for."""

log = logging.getLogger(__name__)


class Rejudging:
    """Notes how admitted images stand. `changed` is told when one stands otherwise than before."""

    def __init__(
        self, store: Store, rulebook: Rulebook, now: Callable[[], datetime], changed: Callable[[], None]
    ) -> None:
        self._store = store
        self._rulebook = rulebook
        self._now = now
        self._changed = changed
        self._known: Digest | None = None
        self._rounds = Rounds("judging again")

    def every(self, seconds: float) -> AbstractContextManager[None]:
        """Look for what is due, while the block lasts: at once, and `seconds` after the last look."""
        return self._rounds.going(self._look, seconds)

    def sweep(self) -> int:
        """Judge again all that is due now, and return how many that were.

        Raises InvalidInput when there are no rules, Unavailable when the database cannot be used.
        """
        rules = self._rulebook.current()
        inputs = Digest.of("\n".join(("later", *rules.inputs)).encode())
        if inputs != self._known:
            detail = f"policies {rules.policies.digest}"
            self._store.audit.record_change(Event(Action.RULES_CHANGED, GATE, content=inputs, detail=detail))
            self._known = inputs
        matcher = Matcher(rules.scanner)
        judged = 0
        while not self._rounds.ending:
            due = self._store.due.claim(inputs, self._now(), BATCH)
            if not due:
                break
            self._judge(due, rules, inputs, matcher)
            judged += len(due)
        return judged

    def _look(self) -> None:
        self._rulebook.problems()
        judged = self.sweep()
        if judged:
            log.info("judged %d admitted images again", judged)

    def _judge(self, due: Sequence[Due], rules: Rules, inputs: Digest, matcher: Matcher) -> None:
        now = self._now()
        readable: list[tuple[Due, Evidence]] = []
        for each in due:
            try:
                readable.append((each, self._seen_again(each, rules)))
            except InvalidInput as error:
                log.error("%s cannot be judged again: %s", _name(each), error)
        matched = matcher.match([evidence for _, evidence in readable])
        for (each, _), evidence in zip(readable, matched, strict=True):
            # A clock that was set back takes nothing back that was found by a later one.
            at = now if each.judged is None else max(now, each.judged)
            marked = rules.sightings.mark(evidence, at)
            self._note(each, evaluate(rules.policies, marked, at, later=True), marked, inputs)

    def _seen_again(self, due: Due, rules: Rules) -> Evidence:
        evidence = stored_evidence(due.admitted)
        document = parse_manifest(due.manifest.raw, due.manifest.media_type)
        if not isinstance(document, Manifest):
            raise InvalidInput("what was judged is an index")
        about = {due.manifest.digest, document.config.digest}
        bundles = {row.bundle_digest: row.bundle for row in self._store.statements(about)}
        return seen_again(evidence, document, due.manifest.digest, rules, tuple(bundles.values()))

    def _note(self, due: Due, decision: Decision, evidence: Evidence, inputs: Digest) -> None:
        """What cannot be decided leaves everything as it is: it proves neither better nor worse."""
        if decision.verdict is Verdict.UNDECIDABLE and not decision.lets_in:
            log.warning("%s stays as it is: %s", _name(due), one_line(decision))
            self._store.due.note(due, inputs, decision.at, until=due.until, causes=due.causes, decision=None)
            return
        found = () if decision.lets_in else tuple(blocking(decision))
        causes, until = due.causes.after(found, decision.at)
        news = due.is_news(until, causes, decision.at)
        stored = None
        if news:
            name = due.manifest.repository, due.manifest.digest
            stored = record_of(name, decision, evidence, inputs, user=NOBODY, later=True)
        noted = self._store.due.note(due, inputs, decision.at, until=until, causes=causes, decision=stored)
        if noted and stored is not None:
            until_when = "" if until is None else f"; pullable until {until.isoformat(timespec='seconds')}"
            owner = owner_of(evidence) or "unknown"
            log.warning("decision %s, owner %s%s: %s", stored.id, owner, until_when, stored.line)
            self._changed()


def _name(due: Due) -> str:
    return f"{due.manifest.repository}@{due.manifest.digest}"
