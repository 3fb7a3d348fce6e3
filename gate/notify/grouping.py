"""From things about single images to one message a cause. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict, Field

from compliance.oci.digest import Digest
from gate.notify.events import LISTED, AffectedImage, Cause, ImagesData


class Found(BaseModel):
    """A cause in one image, and what in it that is."""

    model_config = ConfigDict(frozen=True)

    cause: Cause
    culprit: str


class Notice(BaseModel):
    """What is to be told of one image. All that was found is listed, and one cause will stand for it."""

    model_config = ConfigDict(frozen=True)

    image: AffectedImage
    found: tuple[Found, ...] = Field(min_length=1)

    @property
    def name(self) -> tuple[str, Digest]:
        return self.image.repository, self.image.digest

    def has(self, identity: tuple[str, str]) -> Found | None:
        return next((one for one in self.found if one.cause.identity == identity), None)

    def and_before(self, other: Notice) -> Notice:
        """What is to be told of the same image, which was to be told something before."""
        more = tuple(found for found in other.found if self.has(found.cause.identity) is None)
        return self.model_copy(update={"found": (*self.found, *more)})


@dataclass(frozen=True, slots=True)
class Group:
    """Images that one message tells of."""

    cause: Cause
    images: tuple[AffectedImage, ...]

    def data(self, owner: str | None) -> ImagesData:
        return ImagesData(owner=owner, cause=self.cause, images=self.images[:LISTED], total=len(self.images))


def by_cause(notices: Iterable[Notice]) -> Sequence[Group]:
    """Each image once, under a cause it has: the one that most images share comes first, and takes them all."""
    left: dict[tuple[str, Digest], Notice] = {}
    for one in notices:
        left[one.name] = one if one.name not in left else one.and_before(left[one.name])
    groups: list[Group] = []
    while left:
        counts = Counter(
            identity
            for one in left.values()
            for identity in dict.fromkeys(found.cause.identity for found in one.found)
        )
        # Of those that as many share the first that was found, which is the same on every gate.
        identity, _ = counts.most_common(1)[0]
        taken = {name: found for name, one in left.items() if (found := one.has(identity)) is not None}
        images = [
            left.pop(name).image.model_copy(update={"culprit": found.culprit}) for name, found in taken.items()
        ]
        cause = next(iter(taken.values())).cause
        groups.append(Group(cause, tuple(sorted(images, key=lambda one: (one.repository, one.digest)))))
    return groups
