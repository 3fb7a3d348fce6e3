"""What must be, may be, and must not be readable, by what the gate has said so far."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from compliance.oci.digest import Digest
from tests.crash.content import Item

Place = tuple[str, Digest]


class Answer(StrEnum):
    """What a client was told. `LOST` is no answer, or one that leaves open what happened."""

    DONE = "done"
    REFUSED = "refused"
    ABSENT = "absent"
    LOST = "lost"


@dataclass(frozen=True)
class Told:
    """One request about a manifest, and its answer. A deletion has no item."""

    repository: str
    digest: Digest
    answer: Answer
    item: Item | None = None
    tag: str | None = None


@dataclass
class Model:
    """`sure` must be readable and `open` may be, everything else must not; tags have one of several targets."""

    items: dict[Place, Item] = field(default_factory=dict)
    sure: set[Place] = field(default_factory=set)
    open: set[Place] = field(default_factory=set)
    tags: dict[tuple[str, str], set[Digest | None]] = field(default_factory=dict)
    blobs: set[Place] = field(default_factory=set)
    denied_later: set[Place] = field(default_factory=set)

    def told(self, together: Collection[Told]) -> None:
        """Take in the answers to requests that were made at the same time."""
        deletions = [one for one in together if one.item is None and one.answer != Answer.ABSENT]
        gone = {(one.repository, one.digest) for one in deletions}
        come = set()
        for one in together:
            if one.item is not None:
                self.items[one.repository, one.digest] = one.item
                if one.answer in {Answer.DONE, Answer.LOST}:
                    come.add((one.repository, one.digest))
        for one in together:
            place = (one.repository, one.digest)
            if place in gone & come:
                self.sure.discard(place)
                self.open.add(place)
            elif one.item is None:
                self._deleted(place, one)
            elif place in come:
                self._pushed(place, one)
        self._tag(together, gone)

    def seen(self, readable: Mapping[Place, bool], tags: Mapping[tuple[str, str], Digest | None]) -> None:
        """What was open is what was found, while nothing is under way."""
        self.sure |= {place for place in self.open if readable[place]}
        self.open.clear()
        self.tags = {name: {target} for name, target in tags.items()}

    def _pushed(self, place: Place, one: Told) -> None:
        if one.answer is Answer.DONE:
            self.sure.add(place)
            self.open.discard(place)
        elif place not in self.sure:
            self.open.add(place)

    def _deleted(self, place: Place, one: Told) -> None:
        if one.answer is Answer.ABSENT:
            return
        was = place in self.sure or place in self.open
        self.sure.discard(place)
        self.open.discard(place)
        if one.answer is Answer.LOST and was:
            self.open.add(place)

    def _tag(self, together: Collection[Told], gone: set[Place]) -> None:
        pushes = [
            (one.repository, one.tag, one) for one in together if one.item is not None and one.tag is not None
        ]
        for name in {(repository, tag) for repository, tag, _ in pushes}:
            to = [one for repository, tag, one in pushes if (repository, tag) == name]
            done = {one.digest for one in to if one.answer is Answer.DONE}
            lost = {one.digest for one in to if one.answer is Answer.LOST}
            before: set[Digest | None] = set() if done else self.tags.get(name, {None})
            self.tags[name] = {*done, *lost, *before}
        for repository, digest in gone:
            for name, targets in self.tags.items():
                if name[0] == repository and digest in targets:
                    targets.add(None)
