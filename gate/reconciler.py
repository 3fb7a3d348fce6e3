"""Brings the registry behind the gate in line with the database, where a crash left them apart.

What was being done is known from the intents (`gate.intents`). What readers see is decided by the database alone,
so that wins: what is readable and missing in the registry is put there again, what was never published or is
deleted is taken out of it, a tag points where it does for readers, and an upload nobody goes on with is given up.

This gate's own intents are settled as soon as nobody in this process is at them. What another gate is at is left
alone for as long as it may still be at it; it cannot finish what was settled in its place.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Final

from compliance.errors import ComplianceError, Unavailable
from compliance.oci.digest import Digest
from compliance.oci.registry import RegistryClient, RegistryError
from gate.intents import Intents, StoredIntent
from gate.publication import Publication
from gate.rounds import Rounds
from gate.store import Store

OTHERS: Final = timedelta(minutes=30)
"""How long another gate may be at something: far longer than a registry is waited for."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Repair:
    """One thing that was put right, or would be. `failed` says why it could not be, and is tried again."""

    repository: str
    what: str
    failed: str | None = None

    def __str__(self) -> str:
        return f"{self.repository}: {self.what}" + (f": {self.failed}" if self.failed else "")


@dataclass(frozen=True, slots=True)
class _Step:
    what: str
    act: Callable[[], object]


class Reconciler:
    """All methods block. `uploads_kept` is how long an upload may be left unfinished."""

    def __init__(
        self,
        store: Store,
        intents: Intents,
        publication: Publication,
        client: Callable[[], RegistryClient],
        now: Callable[[], datetime],
        *,
        uploads_kept: timedelta,
    ) -> None:
        self._store = store
        self._intents = intents
        self._publication = publication
        self._client = client
        self._now = now
        self._uploads_kept = uploads_kept
        self._rounds = Rounds("putting right what was left half done")

    def run(self, *, dry: bool = False) -> tuple[Repair, ...]:
        """Settle what is left over; `dry` only tells what would be done. Raises Unavailable without a database."""
        repairs: list[Repair] = []
        with self._client() as client:
            for intent in self._intents.all():
                if self._rounds.ending:
                    break
                if self._is_left_over(intent):
                    repairs += self._settle(client, intent, dry=dry)
        return tuple(repairs)

    def compare(self, *, dry: bool = False) -> tuple[Repair, ...]:
        """Hold all that may be read against the registry, which takes a request or two for each.

        For when more than a crash has come over them, such as a copy of one that was put back without the other.
        What the registry has beyond that cannot be listed, and nobody can read it.
        """
        repairs: list[Repair] = []
        with self._client() as client:
            for repository, digest in self._store.published.kept():
                with self._publication.turn(repository):
                    repairs += _taken(repository, self._blob_steps(client, repository, digest), dry=dry)
                    repairs += _taken(repository, self._manifest_steps(client, repository, digest), dry=dry)
            for repository, tag in self._store.published.tags():
                with self._publication.turn(repository):
                    repairs += _taken(repository, self._tag_steps(client, repository, tag), dry=dry)
        return tuple(repairs)

    def repairing(self, every: float) -> AbstractContextManager[None]:
        """Settle what is left over now, and again every so many seconds, for as long as the block lasts."""
        return self._rounds.going(self._repair, every)

    def _repair(self) -> None:
        repairs = self.run()
        for repair in repairs:
            log.warning("left half done, %s: %s", "not yet" if repair.failed else "put right", repair)
        failed = sum(repair.failed is not None for repair in repairs)
        if failed:
            raise Unavailable(f"{failed} of {len(repairs)} could not be put right yet")

    def _is_left_over(self, intent: StoredIntent) -> bool:
        # A clock that was put back makes an age negative, which is as telling.
        age = abs(self._now() - intent.at)
        if intent.upload is not None:
            return age >= self._uploads_kept
        if intent.gate == self._intents.gate:
            return not self._intents.is_under_way(intent)
        return age >= OTHERS

    def _settle(self, client: RegistryClient, intent: StoredIntent, *, dry: bool) -> Iterator[Repair]:
        with self._publication.turn(intent.repository):
            if not dry and not self._intents.claim(intent):
                return  # it came to its end meanwhile, or somebody else settles it
            failed = False
            for repair in _taken(intent.repository, self._steps(client, intent), dry=dry):
                failed |= repair.failed is not None
                yield repair
            if not dry and not failed:
                self._intents.end(intent.id)

    def _steps(self, client: RegistryClient, intent: StoredIntent) -> Iterator[_Step]:
        """What is to be done; each is looked for when those before are done."""
        repository = intent.repository
        if intent.upload is not None:
            location = intent.upload
            yield _Step(
                "give up an upload that nobody went on with", lambda: client.cancel_upload(repository, location)
            )
        if intent.manifest is not None:
            yield from self._manifest_steps(client, repository, intent.manifest)
        if intent.tag is not None:
            yield from self._tag_steps(client, repository, intent.tag)

    def _manifest_steps(self, client: RegistryClient, repository: str, digest: Digest) -> Iterator[_Step]:
        published = self._store.published.kept_by(repository, digest)
        there = client.has_manifest(repository, digest)
        if published is not None and not there:
            yield _Step(
                f"put {published.digest} into the registry again",
                lambda: self._publication.restore(published, client),
            )
        if published is None and there:
            yield _Step(
                f"take {digest}, which nobody may read, out of the registry",
                lambda: client.delete_manifest(repository, digest),
            )

    def _tag_steps(self, client: RegistryClient, repository: str, tag: str) -> Iterator[_Step]:
        published = self._store.manifest(repository, tag)
        if published is None or published.kept_as != published.digest:
            return  # readers see no such tag, or the registry cannot have it
        if _behind(client, repository, tag) != published.digest:
            yield _Step(
                f"point {tag} in the registry at {published.digest} again",
                lambda: client.put_manifest(repository, tag, published.raw, published.media_type, refer=False),
            )

    def _blob_steps(self, client: RegistryClient, repository: str, digest: Digest) -> Iterator[_Step]:
        published = self._store.published.kept_by(repository, digest)
        for blob in () if published is None else self._store.published.blobs(published):
            if client.blob_size(repository, blob) is None:
                yield _Step(f"have {blob} of {digest} again", partial(_cannot_restore, repository))


def _taken(repository: str, steps: Iterator[_Step], *, dry: bool) -> Iterator[Repair]:
    """Take the steps one after the other, up to one that fails."""
    what = "find out what is wrong"
    try:
        for step in steps:
            what = step.what
            if not dry:
                step.act()
            yield Repair(repository, what)
    except ComplianceError as error:
        yield Repair(repository, what, error.message)


def _cannot_restore(repository: str) -> None:
    raise Unavailable(f"the registry lost it, and only who pushed it has it: push it to {repository} once more")


def _behind(client: RegistryClient, repository: str, tag: str) -> Digest | None:
    """What a tag points at in the registry."""
    try:
        return client.get_manifest(repository, tag).digest
    except RegistryError as error:
        if error.status == 404:
            return None
        raise
