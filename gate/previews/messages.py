"""What a gate and the process that tries policies out say to each other: JSON, a line each.

The gate writes a `Job` and, once that is answered with `Accepted`, evidence as `GET /api/evidence` has it. The
process answers with `Changed` and `Judged` meanwhile and with `Done` at the end of it, or with `Refused`.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from compliance.policy.decision import Verdict
from compliance.policy.strictness import Tone

MOST_TEXT: Final = 500
"""Characters of a text; what is longer is cut."""

_FROZEN: Final = ConfigDict(frozen=True, extra="forbid")


class Uploaded(BaseModel):
    """A file as it was called where it came from, and what it is called here."""

    model_config = _FROZEN

    name: str
    stored: str


class Job(BaseModel):
    """What to try out, and as of when."""

    model_config = _FROZEN

    at: datetime
    files: tuple[Uploaded, ...]


class Problem(BaseModel):
    """Something wrong with what was uploaded: with the place of it, and what to do."""

    model_config = _FROZEN

    text: str
    remedy: str | None = None


class Difference(BaseModel):
    """Something that is stricter or looser than in force."""

    model_config = _FROZEN

    tone: Tone
    policy: str
    rule: str | None
    text: str


class Why(BaseModel):
    """A rule that makes the difference to an image."""

    model_config = _FROZEN

    rule: str
    policy: str
    text: str
    remedy: str


class Accepted(BaseModel):
    """The policies can be read. `differences` are the first of `all_differences`."""

    model_config = _FROZEN

    kind: Literal["accepted"] = "accepted"
    policies: int
    waivers: int
    differences: tuple[Difference, ...]
    all_differences: int
    remarks: tuple[str, ...]


class Refused(BaseModel):
    """The policies cannot be read, or tried out."""

    model_config = _FROZEN

    kind: Literal["refused"] = "refused"
    problems: tuple[Problem, ...]


class Changed(BaseModel):
    """An image that would be judged otherwise, `since` a day (ISO 8601) or at once."""

    model_config = _FROZEN

    kind: Literal["changed"] = "changed"
    repository: str
    digest: str
    owner: str | None
    before: Verdict
    after: Verdict
    told_only_before: bool
    told_only_after: bool
    lost: bool
    since: str | None
    reasons: tuple[Why, ...]


class Judged(BaseModel):
    """How many images were judged so far."""

    model_config = _FROZEN

    kind: Literal["judged"] = "judged"
    count: int


class Done(BaseModel):
    """Everything was judged. `unreadable` is how many could not be, for what is stored of them cannot be read."""

    model_config = _FROZEN

    kind: Literal["done"] = "done"
    judged: int
    unreadable: int


Answer = Accepted | Refused | Changed | Judged | Done
ANSWER: Final[TypeAdapter[Answer]] = TypeAdapter(Annotated[Answer, Field(discriminator="kind")])


def cut(text: str) -> str:
    return text if len(text) <= MOST_TEXT else f"{text[: MOST_TEXT - 1]}…"
