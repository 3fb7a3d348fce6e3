"""What is told of, and what a message about it says: types of events, and the `data` of each."""

from __future__ import annotations

from datetime import date, datetime
from enum import StrEnum
from typing import Final

from pydantic import BaseModel, ConfigDict, Field

from compliance.oci.digest import Digest

PREFIX: Final = "io.mlbuild."

LISTED: Final = 50
"""How many images a message lists; `total` counts all of them."""


class Topic(StrEnum):
    """What a message is about. The CloudEvents type is `io.mlbuild.` and this."""

    PUSH_REFUSED = "push.refused"
    IMAGE_DEADLINE = "image.deadline"
    IMAGE_DENIED = "image.denied"
    IMAGE_COMPLIES = "image.complies"
    WAIVER_EXPIRING = "waiver.expiring"
    WAIVER_EXPIRED = "waiver.expired"
    BASE_ENDING = "base.ending"
    BASE_ENDED = "base.ended"
    DIGEST = "digest"
    TEST = "test"

    @property
    def type(self) -> str:
        """The `type` attribute of its events."""
        return PREFIX + self.value


ALWAYS: Final = tuple(one for one in Topic if one not in (Topic.DIGEST, Topic.TEST))
"""What a sink is told of that names no events."""


class _Data(BaseModel):
    model_config = ConfigDict(frozen=True)


class Cause(_Data):
    """What is wrong, as one rule says it. Two images have the same cause when check and key are the same."""

    rule: str = Field(description="The rule that is broken.")
    check: str = Field(description="The check that found it.")
    key: str = Field(description="What it is: a vulnerability, a setting, a package, as waivers name it.")
    message: str = Field(description="In words, of the first of the images.")
    fix: str = Field(description="What to do about it.")

    @property
    def identity(self) -> tuple[str, str]:
        return self.check, self.key


class AffectedImage(_Data):
    """An image that the cause is in."""

    repository: str = Field(description="The repository it is in.")
    digest: Digest = Field(description="The digest of its manifest.")
    tag: str | None = Field(default=None, description="The tag it was pushed to.")
    culprit: str = Field(description="What in the image it is: a purl, a path, a setting.")
    decision: str = Field(description="The id of the decision.")
    report: str = Field(description="The page of the decision.")
    pullable_until: datetime | None = Field(default=None, description="When pulls end, or ended.")
    pushed_by: str | None = Field(default=None, description="Who pushed it; of refused pushes only.")


class ImagesData(_Data):
    """`push.refused`, `image.deadline`, `image.denied`, `image.complies`: one cause, and the images it is in."""

    owner: str | None = Field(description="Whose images they are, where that is known.")
    cause: Cause = Field(description="Of `image.complies`: what was wrong before.")
    images: tuple[AffectedImage, ...] = Field(description=f"The first {LISTED} of them.")
    total: int = Field(description="How many images there are.")


class WaiverData(_Data):
    """`waiver.expiring`, `waiver.expired`."""

    waiver: str = Field(description="Its file, below the policies.")
    rule: str = Field(description="The rule that it is an exception to.")
    owner: str = Field(description="Who answers for it.")
    reason: str = Field(description="Why there is an exception.")
    expires: date = Field(description="The last day on which it counts, in UTC.")
    days_left: int = Field(description="Below 0: it has expired.")
    total: int = Field(description="How many images that may be pulled it excuses something in.")
    repositories: tuple[str, ...] = Field(description=f"The first {LISTED} repositories of those images.")


class BaseData(_Data):
    """`base.ending`, `base.ended`."""

    base: str = Field(description="Its name.")
    owner: str = Field(description="Who looks after it.")
    end_of_life: date = Field(description="The day from which nobody mends it.")
    days_left: int = Field(description="Below 1: it has ended.")


class DigestData(_Data):
    """`digest`: what happened in a while, and what comes up."""

    since: datetime = Field(description="From when on it tells of what happened.")
    until: datetime = Field(description="Until when.")
    markdown: str = Field(description="The text, as `mlgate digest` prints it.")


class TrialData(_Data):
    """`test`: sent by `mlgate notify test`."""

    message: str = Field(description="Which gate sent it, and to which sink.")


Data = ImagesData | WaiverData | BaseData | DigestData | TrialData

DATA_OF: Final[dict[Topic, type[BaseModel]]] = {
    Topic.PUSH_REFUSED: ImagesData,
    Topic.IMAGE_DEADLINE: ImagesData,
    Topic.IMAGE_DENIED: ImagesData,
    Topic.IMAGE_COMPLIES: ImagesData,
    Topic.WAIVER_EXPIRING: WaiverData,
    Topic.WAIVER_EXPIRED: WaiverData,
    Topic.BASE_ENDING: BaseData,
    Topic.BASE_ENDED: BaseData,
    Topic.DIGEST: DigestData,
    Topic.TEST: TrialData,
}


def subject_of(data: Data) -> str | None:
    """The `subject` attribute: what exactly it is about, and the cause where that is several repositories."""
    if isinstance(data, WaiverData):
        return data.waiver
    if isinstance(data, BaseData):
        return data.base
    if not isinstance(data, ImagesData):
        return None
    if data.total == 1:
        return f"{data.images[0].repository}@{data.images[0].digest}"
    repositories = {one.repository for one in data.images}
    return repositories.pop() if len(repositories) == 1 and data.total <= LISTED else data.cause.key
