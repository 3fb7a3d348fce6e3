"""From a pushed manifest to a verdict, in numbered steps, and from an admitting verdict to a readable manifest.

1. Authenticate: who pushes is somebody the gate knows (`gate.identity`).
2. Authorise: that user may push to this repository (`gate.service`).
3. Parse: the manifest is read strictly, and has the digest it is pushed under (`gate.arrival.receive`).
4. Resolve: every blob was pushed to this repository and has the size that is said; every child of an index is
   readable here.
5. Read: the blobs are what their digests name, the layers what the config names; packages, secrets, models and
   privileged files are found in the bytes.
6. Verify: signed evidence about the image counts when a trusted key signed it.
7. Compare: the claimed SBOM is held against what was found in the bytes.
8. Evaluate: the policies are asked.
9. Record: the decision is on disk, with all that is needed to reach it again.
10. Publish: the registry behind the gate keeps the manifest, and then readers see it, its blobs and its tag.
11. Attest: that it was admitted is signed, and attached to it (`gate.summaries`).

A failure at any step admits nothing. There is no way around a step.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from compliance.attest.statement import Statement
from compliance.errors import InvalidInput, Unavailable
from compliance.evidence import Absent, Evidence, Subject
from compliance.models import LayerMemory
from compliance.oci.digest import Digest
from compliance.oci.manifest import Index, Manifest
from compliance.oci.registry import RegistryClient
from compliance.policy.decision import Decision, Mode, Verdict, Violation
from compliance.policy.evaluate import evaluate
from gate import own_rules
from gate.arrival import LAYER_TYPES, Push, is_evidence, why_no_image
from gate.audit.entry import Action
from gate.audit.entry import decided as told
from gate.blob_cache import BlobCache
from gate.decision_record import record_of
from gate.errors import Code, Fault
from gate.examination import Examination, examine_bundle, resolve
from gate.publication import Publication, Ruling, digests, reaching
from gate.rulebook import Rulebook, Rules
from gate.schema import Kind, StoredDecision, StoredStatement
from gate.store import Store

REPEATED_FOR: Final = timedelta(hours=1)
"""How long a decision answers for another push of the same image, while nothing it depends on has changed."""

log = logging.getLogger(__name__)


class Admission:
    """Judges and publishes. All methods block; they may be called from several threads."""

    def __init__(
        self,
        store: Store,
        rulebook: Rulebook,
        blobs: BlobCache,
        client: Callable[[], RegistryClient],
        publication: Publication,
        *,
        layers: LayerMemory,
        image_bytes: int,
        now: Callable[[], datetime],
    ) -> None:
        self._store = store
        self._rulebook = rulebook
        self._blobs = blobs
        self._client = client
        self._layers = layers
        self._image_bytes = image_bytes
        self._now = now
        self._publication = publication

    def problems(self) -> tuple[str, ...]:
        """What keeps the gate from deciding now."""
        try:
            scanner = self._rulebook.current().scanner
        except InvalidInput as error:
            return (error.message,)
        if isinstance(scanner, Unavailable):
            return (scanner.message,)
        return () if scanner.databases else ("there is no vulnerability database", *scanner.notes)

    def out_of_date(self) -> tuple[str, ...]:
        """Which rules cannot be read as they are now, so that what was read before decides."""
        try:
            return self._rulebook.problems()
        except InvalidInput as error:
            return (error.message,)

    def judge(self, push: Push) -> Ruling:
        """Steps 4 to 9. Raises the answer for a push that cannot be judged at all."""
        try:
            rules = self._rulebook.current()
        except InvalidInput as error:
            problem = f"could not decide: the gate cannot read its own rules: {error.message}"
            raise Fault(403, Code.DENIED, problem) from error
        try:
            with reaching(self._client) as client:
                return self._judge(push, rules, client)
        except own_rules.Broken as broken:
            subject = Subject(push.repository, digest=push.digest)
            decided = own_rules.refuse(broken, subject, self._now(), rules.policies)
            return _ruling(push, self._record(push, _digest_of(rules.inputs), *decided))

    def publish(self, push: Push, ruling: Ruling) -> None:
        """Step 10. Only after this may anybody read the manifest."""
        self._publication.publish(push, ruling)

    def retract(self, repository: str, digest: Digest, by: str) -> bool:
        """Make a manifest unreadable again, with all its tags; False when it was not readable."""
        return self._publication.retract(repository, digest, by)

    def audits(self, repository: str) -> bool:
        """Whether nothing is blocked in a repository as the policies are now; no, where they cannot be read."""
        try:
            return self._rulebook.policies().mode(Subject(repository)) is Mode.AUDIT
        except InvalidInput:
            return False

    def _judge(self, push: Push, rules: Rules, client: RegistryClient) -> Ruling:
        document = push.document
        if isinstance(document, Index):
            return self._judge_index(push, document, rules)
        resolve(push, client, self._store.blobs.all_stored_as(push.repository, digests(push.blobs)))
        if is_evidence(document):
            raw, statement = examine_bundle(push, document, rules.keys, client)
            return Ruling(Kind.EVIDENCE, None, tuple(self._statements(raw, statement)))
        if not document.is_image:
            return self._judge_artifact(push, document, rules)
        reason = why_no_image(document)
        if reason is not None:
            raise own_rules.Broken(own_rules.READABLE, Violation(push.digest, push.digest, reason))
        return self._judge_image(push, document, rules, client)

    def _judge_index(self, push: Push, index: Index, rules: Rules) -> Ruling:
        if not index.manifests:
            nothing = "the index names no manifest, so there is nothing to judge"
            raise own_rules.Broken(own_rules.CHILDREN, Violation(push.digest, push.digest, nothing))
        audits = rules.policies.mode(Subject(push.repository)) is Mode.AUDIT
        known = self._store.kept(push.repository, digests(index.manifests), audited=audits)
        for child in index.manifests:
            if child.digest not in known:
                refused = self._store.latest_refusal(push.repository, child.digest)
                why = refused.line if refused else f"nothing with the digest {child.digest} was admitted here"
                raise own_rules.Broken(own_rules.CHILDREN, Violation(child.digest, child.digest, why))
        standing = None if audits else self._store.standings.worst(push.repository, digests(index.manifests))
        if standing is not None:
            raise own_rules.Broken(own_rules.CHILDREN, Violation(push.digest, push.digest, standing.line))
        subject = Subject(push.repository, digest=push.digest)
        decided = own_rules.admit(own_rules.CHILDREN, subject, self._now(), rules.policies)
        return _ruling(push, self._record(push, _digest_of(rules.inputs), *decided))

    def _judge_artifact(self, push: Push, artifact: Manifest, rules: Rules) -> Ruling:
        """What is no image is let in by a rule about its type, and never when a runtime might run it."""
        kind = artifact.artifact_type or artifact.config.media_type
        if any(layer.media_type in LAYER_TYPES for layer in artifact.layers):
            reason = f"it is an artifact of type {kind!r} made of image layers, which a runtime might run"
            raise own_rules.Broken(own_rules.READABLE, Violation(push.digest, push.digest, reason))
        unread = Absent("an artifact is not looked into")
        evidence = own_rules.unexamined(Subject(push.repository, digest=push.digest), unread, kind)
        decision = evaluate(rules.policies, evidence, self._now())
        return _ruling(push, self._record(push, _digest_of(rules.inputs), decision, evidence))

    def _judge_image(self, push: Push, manifest: Manifest, rules: Rules, client: RegistryClient) -> Ruling:
        bundles = self._bundles({push.digest, manifest.config.digest})
        inputs = _digest_of((*rules.inputs, *(f"evidence {Digest.of(bundle)}" for bundle in bundles)))
        decision = self._repeatable(push, inputs)
        if decision is None:
            examination = Examination(push, manifest, rules, bundles, self._layers, self._image_bytes)
            decided = examination.run(client, self._blobs, self._now())
            decision = self._record(push, inputs, *decided)
        else:
            self._store.audit.record(replace(told(decision), action=Action.DECIDED_AGAIN, actor=push.user))
        return _ruling(push, decision)

    def _bundles(self, about: set[Digest]) -> tuple[bytes, ...]:
        """The evidence about any of these digests, each bundle once, newest first."""
        return tuple({row.bundle_digest: row.bundle for row in self._store.statements(about)}.values())

    def _repeatable(self, push: Push, inputs: Digest) -> StoredDecision | None:
        """The decision already taken on this image, while all that it depends on is the same."""
        found = self._store.latest_decision(push.repository, push.digest)
        now = self._now()
        if (
            found is None
            or found.inputs != inputs
            or found.verdict is Verdict.UNDECIDABLE
            or not timedelta() <= now - found.at < REPEATED_FOR
            or now.date() != found.at.date()
        ):
            return None
        return found

    def _record(self, push: Push, inputs: Digest, decision: Decision, evidence: Evidence) -> StoredDecision:
        """Step 9."""
        name = push.repository, push.digest
        stored = record_of(name, decision, evidence, inputs, user=push.user, tag=push.tag)
        self._store.record(stored)
        log.info(
            "decision %s on %s@%s, pushed by %s: %s",
            stored.id,
            push.repository,
            push.digest,
            push.user,
            stored.line,
        )
        return stored

    def _statements(self, raw: bytes, statement: Statement) -> Iterable[StoredStatement]:
        now = self._now()
        for subject in statement.subjects:
            if subject.sha256 is not None:
                yield StoredStatement(
                    subject=subject.sha256,
                    bundle_digest=Digest.of(raw),
                    predicate_type=statement.predicate_type,
                    bundle=raw,
                    at=now,
                )


def _ruling(push: Push, decision: StoredDecision) -> Ruling:
    """What becomes of a push by a decision: refused, or let in as what it is."""
    if not decision.lets_in:
        return Ruling(None, decision)
    if isinstance(push.document, Index):
        return Ruling(Kind.INDEX, decision)
    return Ruling(Kind.IMAGE if push.document.is_image else Kind.ARTIFACT, decision)


def _digest_of(inputs: Iterable[str]) -> Digest:
    return Digest.of("\n".join(inputs).encode())
