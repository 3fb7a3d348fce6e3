"""From an admitting verdict to a manifest that readers see."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

from compliance.errors import ComplianceError
from compliance.oci.digest import Digest
from compliance.oci.manifest import Descriptor, Index
from compliance.oci.registry import RegistryClient, RegistryError
from compliance.policy.decision import Verdict
from gate.arrival import Push, receive
from gate.errors import malformed, upstream_down
from gate.intents import Intents, Work
from gate.keeping import keep
from gate.schema import Kind, StoredDecision, StoredManifest, StoredStatement
from gate.store import Store
from gate.turns import Turns

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Ruling:
    """What became of a push. What is refused has no kind; accepted evidence has no decision of its own."""

    kind: Kind | None
    decision: StoredDecision | None = None
    statements: tuple[StoredStatement, ...] = ()


class Publication:
    """Publishes, and takes back. All methods block; they may be called from several threads."""

    def __init__(
        self, store: Store, intents: Intents, client: Callable[[], RegistryClient], now: Callable[[], datetime]
    ) -> None:
        self._store = store
        self._intents = intents
        self._client = client
        self._now = now
        self._turns = Turns()

    def publish(self, push: Push, ruling: Ruling) -> None:
        """Make a manifest readable. Raises ValueError for what was refused."""
        if ruling.kind is None:
            raise ValueError("what was refused is not published")
        # In turns, so that of two pushes to one tag the same one is last here and in the registry.
        with self.turn(push.repository):
            self._publish(push, ruling, ruling.kind)
        name = f"{push.repository}@{push.digest}"
        log.info("%s %s published%s", ruling.kind, name, f" as {push.tag}" if push.tag else "")

    def retract(self, repository: str, digest: Digest, by: str) -> bool:
        """Make a manifest unreadable, and let the registry behind the gate forget it, which may keep what it will.

        `by` is who wants that. False when it was not readable.
        """
        with self.turn(repository), self._intents.work() as work:
            found = self._store.manifest(repository, digest)
            if found is not None and found.kept_as is not None:
                work.begin(repository, found.kept_as)
            if self._store.unpublish(repository, digest, by=by) is None:
                work.end()
                return False
            try:
                self._forget(repository, None if found is None else found.kept_as)
            except ComplianceError as error:
                log.warning("the registry keeps the deleted %s of %s for now: %s", digest, repository, error)
            else:
                work.end()
            return True

    @contextmanager
    def turn(self, repository: str) -> Iterator[None]:
        """Keep everybody else, at any gate, from changing what is published in a repository."""
        with self._turns.of(repository), self._store.turn(repository):
            yield

    def restore(self, manifest: StoredManifest, client: RegistryClient) -> None:
        """Put a readable manifest into the registry behind the gate once more, where it got lost."""
        push = receive(manifest.repository, manifest.digest, "", manifest.raw, manifest.media_type)
        with self._intents.work() as work:
            keep(push, client, self._stored(push), work)
            work.end()

    def _forget(self, repository: str, kept_as: Digest | None) -> None:
        if kept_as is not None:
            with self._client() as client:
                client.delete_manifest(repository, kept_as)

    def _publish(self, push: Push, ruling: Ruling, kind: Kind) -> None:
        with self._intents.work() as work:
            self._publish_as(push, ruling, kind, work)

    def _publish_as(self, push: Push, ruling: Ruling, kind: Kind, work: Work) -> None:
        with reaching(self._client) as client:
            kept_as = keep(push, client, self._stored(push), work)
        subject = push.document.subject
        manifest = StoredManifest(
            repository=push.repository,
            digest=push.digest,
            media_type=push.document.media_type,
            kind=kind,
            raw=push.raw,
            subject=None if subject is None else subject.digest,
            decision=None if ruling.decision is None else ruling.decision.id,
            at=self._now(),
            kept_as=kept_as,
            audited=self._is_audited(push, ruling.decision),
        )
        fulfils = (self._intents.gate, work.ids)
        self._store.publish(
            manifest, digests(push.blobs), push.tag, ruling.statements, by=push.user, fulfils=fulfils
        )

    def _is_audited(self, push: Push, decision: StoredDecision | None) -> bool:
        """Whether it, or anything it names, would have been refused if anything were where it is."""
        if decision is not None and decision.verdict is not Verdict.ADMITTED and not decision.later:
            return True
        if not isinstance(push.document, Index):
            return False
        named = digests(push.document.manifests)
        return set(self._store.kept(push.repository, named, audited=False)) != set(named)

    def _stored(self, push: Push) -> Mapping[Digest, Digest | None]:
        """What the registry calls the blobs or children of a manifest, as far as it has them."""
        if isinstance(push.document, Index):
            return self._store.kept(push.repository, digests(push.document.manifests), audited=True)
        return dict(self._store.blobs.all_stored_as(push.repository, digests(push.blobs)))


@contextmanager
def reaching(client: Callable[[], RegistryClient]) -> Iterator[RegistryClient]:
    """A client of the registry behind the gate, whose failures are answers."""
    try:
        with client() as open_:
            yield open_
    except RegistryError as error:
        if error.status >= 500 or error.status in {401, 403, 429}:
            raise upstream_down() from error
        raise malformed(f"the registry behind the gate does not take it: {error.reason}") from error


def digests(descriptors: Iterable[Descriptor]) -> tuple[Digest, ...]:
    """The digests that descriptors name, in order."""
    return tuple(descriptor.digest for descriptor in descriptors)
