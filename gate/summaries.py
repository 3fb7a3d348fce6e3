"""The last step of an admission: a signed verification summary, attached to the image.

11. Attest: what the gate admitted, by which policies and on what evidence, is signed with the gate's key and
    published as a referrer of the image.

When an image stands otherwise than before, another summary says so: it passes until the deadline, and fails after.
It follows when the decision is on disk and the image is published; a gate that is killed before it was written
writes it at the next start. What is only audited gets none: its repository is a plain registry.
"""

from __future__ import annotations

import io
import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from datetime import datetime
from functools import partial
from typing import Final
from urllib.parse import urlsplit

from packageurl import PackageURL
from securesystemslib.signer import CryptoSigner

from compliance.attest.bundle import sign_statement
from compliance.attest.referrer import as_referrer
from compliance.attest.statement import Statement, subjects_for
from compliance.attest.summary import (
    NO_PROVENANCE,
    PROVENANCE_VERIFIED,
    InputAttestation,
    VerificationSummary,
    summary_statement,
)
from compliance.errors import ComplianceError, Unavailable
from compliance.evidence import Evidence, Provenance
from compliance.oci.digest import Digest
from compliance.oci.manifest import Manifest
from compliance.oci.registry import RegistryClient, RegistryError
from compliance.policy.canonical import from_canonical_json
from compliance.policy.decision import Mode, Verdict
from compliance.policy.reports import from_json
from gate.admission import Admission
from gate.arrival import Push, receive
from gate.audit.entry import GATE
from gate.errors import Fault
from gate.publication import Ruling
from gate.rounds import Rounds
from gate.schema import Kind, StoredDecision
from gate.store import Store

NAMELESS: Final = "urn:mlbuild:gate:local"
"""Who verified, where the gate was not told under which URL it is reached."""

log = logging.getLogger(__name__)


class Summaries:
    """Writes summaries. All methods block; they may be called from several threads.

    `gate` is the URL under which people reach the gate, where it is known.
    """

    def __init__(
        self,
        admission: Admission,
        store: Store,
        client: Callable[[], RegistryClient],
        signer: CryptoSigner,
        *,
        gate: str | None,
    ) -> None:
        self._admission = admission
        self._store = store
        self._client = client
        self._signer = signer
        self._gate = gate
        self._writing = threading.Lock()
        self._rounds = Rounds("writing summaries")

    def publish(self, push: Push, ruling: Ruling) -> None:
        """Steps 10 and 11. That the summary cannot be written now does not take back what was published."""
        self._admission.publish(push, ruling)
        if ruling.kind is not Kind.IMAGE or ruling.decision is None:
            return
        try:
            self._attest(push, ruling.decision)
        except ComplianceError as error:
            log.warning("the summary of %s@%s follows later: %s", push.repository, push.digest, error)
            self._rounds.soon()

    def catch_up_soon(self) -> None:
        """Say that there is a summary to be written, of what stands otherwise than before."""
        self._rounds.soon()

    def catching_up(self) -> AbstractContextManager[None]:
        """Write, while the block lasts, what a crash or a registry that was down has left unwritten."""
        return self._rounds.going(self._write_missing)

    def _write_missing(self) -> None:
        """Raises the failure of a registry or a database that is down, so that there is more to do."""
        proofs = self._store.proofs
        for attest, names in (
            (self._attest_stored, proofs.missing()),
            (self._attest_later, proofs.missing_later()),
        ):
            for repository, digest in names:
                if self._rounds.ending:
                    return
                try:
                    attest(repository, digest)
                except (ComplianceError, ValueError) as error:
                    if _is_outage(error):
                        raise
                    log.warning("there is no summary of %s@%s yet: %s", repository, digest, error)

    def _attest_later(self, repository: str, digest: Digest) -> None:
        found = self._store.proofs.later(repository, digest)
        if found is not None:
            image, standing, decision = found
            push = receive(repository, digest, decision.user, image.raw, image.media_type)
            ended = standing.until is not None and standing.until <= decision.at
            self._write(push, decision, passed=not ended, until=None if ended else standing.until)

    def _attest_stored(self, repository: str, digest: Digest) -> None:
        image = self._store.manifest(repository, digest)
        decision = None if image is None or image.decision is None else self._store.decision(image.decision)
        if image is not None and decision is not None:
            self._attest(receive(repository, digest, decision.user, image.raw, image.media_type), decision)

    def _attest(self, push: Push, decision: StoredDecision) -> None:
        if decision.verdict is Verdict.ADMITTED and decision.mode is Mode.ENFORCE:
            self._write(push, decision, passed=True, until=None)

    def _write(self, push: Push, decision: StoredDecision, *, passed: bool, until: datetime | None) -> None:
        with self._writing:
            if self._store.proofs.has(push.repository, push.digest, decision.id):
                return
            statement = self._statement(push, decision, passed=passed, until=until)
            bundle = sign_statement(statement, self._signer)
            manifest, blobs = as_referrer(bundle, push.descriptor)
            with self._client() as client:
                for blob, data in blobs:
                    client.push_blob(push.repository, blob.digest, blob.size, partial(io.BytesIO, data))
                    self._store.blobs.keep(push.repository, blob.digest, blob.digest)
            raw = manifest.to_json()
            summary = receive(push.repository, Digest.of(raw), GATE, raw, manifest.media_type)
            # It is no claim to be weighed, so it says nothing to the store but that the decision has its proof.
            self._admission.publish(summary, Ruling(Kind.EVIDENCE, decision))

    def _statement(
        self, push: Push, decision: StoredDecision, *, passed: bool, until: datetime | None
    ) -> Statement:
        document = push.document
        if not isinstance(document, Manifest):
            raise ValueError("only images have summaries")
        config = document.config.digest
        # The manifest may be named by another digest than sha256; statements go by that one.
        subjects = subjects_for(push.repository, Digest.of(push.raw), config)
        evidence = from_canonical_json(decision.evidence, Evidence)
        verified = isinstance(evidence.provenance, Provenance)
        summary = VerificationSummary(
            verifier=self._gate or NAMELESS,
            at=decision.at,
            resource=self._resource(push),
            policy="urn:mlbuild:policies:" + "+".join(from_json(decision.decision).policies),
            policy_digest=decision.policy_digest,
            levels=(PROVENANCE_VERIFIED if verified else NO_PROVENANCE,),
            inputs=tuple(self._inputs(push, config, decision)),
            passed=passed,
            pullable_until=until,
        )
        return summary_statement(subjects, summary)

    def _inputs(self, push: Push, config: Digest, decision: StoredDecision) -> Iterator[InputAttestation]:
        """All that was known when the decision was taken, and the bundles that had come until then."""
        api = None if self._gate is None else f"{self._gate}/api/decisions/{decision.id}/evidence"
        yield InputAttestation("evidence", decision.evidence_digest, api)
        known = {
            row.bundle_digest: row
            for row in self._store.statements({push.digest, config})
            if row.at <= decision.at
        }
        for digest, row in sorted(known.items()):
            at = None if self._gate is None else f"{self._gate}/v2/{push.repository}/blobs/{digest}"
            yield InputAttestation(row.predicate_type, digest, at)

    def _resource(self, push: Push) -> str:
        place = push.repository if self._gate is None else f"{urlsplit(self._gate).netloc}/{push.repository}"
        name = push.repository.rpartition("/")[2]
        return PackageURL("oci", None, name, push.digest, {"repository_url": place}).to_string()


def _is_outage(error: Exception) -> bool:
    return isinstance(error, Unavailable) or (isinstance(error, Fault | RegistryError) and error.status >= 500)
