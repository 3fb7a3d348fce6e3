"""The notify file: who is told of what, and where, in YAML.

owners:                          # whose repositories these are; left out: whom the labels of an image name
  - owner: vision@example.com
    repositories: [vision/**]
sinks:
  - name: security
    url: https://events.example.com/mlbuild
    secrets: [{file: security.secret}, {env: SECURITY_SECRET}]
  - name: vision-chat
    url-file: vision-chat.url    # the address is a secret itself
    format: markdown-chat
    owner: vision@example.com
    events: [image.deadline, image.denied]
    digest: weekly
"""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    field_validator,
    model_validator,
)

from compliance.document import read_model
from compliance.errors import InvalidInput
from compliance.policy.pattern import matches
from gate.identity.permissions import RepositoryPattern
from gate.identity.watched import Watched
from gate.notify.destination import check_url, read_secret, read_url
from gate.notify.events import ALWAYS, Topic

Owner = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=255)]


class Format(StrEnum):
    """The form of a message: a CloudEvent, or `{"text": …}` in Markdown as incoming webhooks of chats take it."""

    CLOUDEVENTS = "cloudevents"
    MARKDOWN_CHAT = "markdown-chat"


class Every(StrEnum):
    """How often a digest is sent."""

    DAILY = "daily"
    WEEKLY = "weekly"


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Secret(_Part):
    """Where a secret is kept: a file, or a variable of the gate's environment."""

    file: Path | None = None
    env: Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")] | None = None

    @model_validator(mode="after")
    def _is_somewhere(self) -> Self:
        if (self.file is None) == (self.env is None):
            raise ValueError("write either `file: NAME` or `env: NAME`")
        return self


class Ownership(_Part):
    """Whose repositories these are."""

    owner: Owner
    repositories: tuple[RepositoryPattern, ...] = Field(min_length=1)


class Sink(_Part):
    """Somebody who is told: where, and of what. Without `repositories` and `owner`: of everything."""

    name: Annotated[str, StringConstraints(pattern=r"^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$")]
    url: Annotated[str, AfterValidator(check_url)] | None = Field(default=None, repr=False)
    url_file: Path | None = Field(default=None, alias="url-file")
    secrets: tuple[Secret, ...] = ()
    format: Format = Format.CLOUDEVENTS
    events: tuple[Topic, ...] = Field(default=ALWAYS, min_length=1)
    repositories: tuple[RepositoryPattern, ...] = ()
    owner: Owner | None = None
    window: int = Field(default=60, ge=1, le=3600)
    digest: Every | None = None

    @field_validator("events")
    @classmethod
    def _happen(cls, events: tuple[Topic, ...]) -> tuple[Topic, ...]:
        other = next((one for one in events if one not in ALWAYS), None)
        if other is not None:
            raise ValueError(f"{other.value!r} is no event; choose of: {', '.join(ALWAYS)}")
        return events

    @model_validator(mode="after")
    def _can_be_sent_to(self) -> Self:
        if (self.url is None) == (self.url_file is None):
            raise ValueError("write either `url: ADDRESS` or `url-file: NAME`")
        if self.format is Format.CLOUDEVENTS and not self.secrets:
            raise ValueError("a receiver of events cannot tell them from others' without one of `secrets`")
        return self

    def covers(self, repository: str) -> bool:
        return not self.repositories or any(matches(one, repository) for one in self.repositories)

    def wants(self, topic: Topic, owner: str | None) -> bool:
        """Whether it is told of this, where that belongs to `owner`."""
        return topic in self.events and self.is_for(owner)

    def is_for(self, owner: str | None) -> bool:
        return self.owner is None or (owner is not None and owner.casefold() == self.owner.casefold())

    def address(self) -> str:
        """The URL as it is now. Raises InvalidInput when its file cannot be read."""
        if self.url is not None:
            return self.url
        assert self.url_file is not None  # noqa: S101 - one of the two is set
        return read_url(self.url_file)

    def signing_keys(self) -> tuple[bytes, ...]:
        """The secrets as they are now. Raises InvalidInput when one cannot be read."""
        return tuple(read_secret(one.file, one.env) for one in self.secrets)


class NotifyFile(_Part):
    """All that the file says. An empty one tells nobody."""

    owners: tuple[Ownership, ...] = ()
    sinks: tuple[Sink, ...] = ()

    @field_validator("sinks")
    @classmethod
    def _are_told_apart(cls, sinks: tuple[Sink, ...]) -> tuple[Sink, ...]:
        names = [one.name for one in sinks]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise ValueError(f"two sinks have the name {twice}")
        return sinks

    def owner_of(self, repository: str, labelled: str | None) -> str | None:
        """Whose a repository is: as the first fitting line here says, else whom the image's labels name."""
        for one in self.owners:
            if any(matches(pattern, repository) for pattern in one.repositories):
                return one.owner
        return labelled

    def sink(self, name: str) -> Sink | None:
        return next((one for one in self.sinks if one.name == name), None)


def read_notify(path: Path) -> NotifyFile:
    """Read a notify file, and look at the files it names.

    Raises InvalidInput, with the line, when it, an address or a secret cannot be accepted.
    """
    file, document = read_model(path, NotifyFile)
    file = file.model_copy(update={"sinks": tuple(_beside(path, sink) for sink in file.sinks)})
    for number, sink in enumerate(file.sinks):
        try:
            sink.address()
            sink.signing_keys()
        except InvalidInput as error:
            at = document.where(("sinks", number))
            raise InvalidInput(f"sink {sink.name}: {error.message}", at=at, remedy=error.remedy) from error
    return file


def _beside(path: Path, sink: Sink) -> Sink:
    here = path.absolute().parent
    secrets = tuple(
        one if one.file is None else one.model_copy(update={"file": here / one.file}) for one in sink.secrets
    )
    url_file = None if sink.url_file is None else here / sink.url_file
    return sink.model_copy(update={"secrets": secrets, "url_file": url_file})


def watch_notify(path: Path) -> Watched[NotifyFile]:
    """The file as it is now; one that is not there, or is broken, tells nobody until it is mended."""
    return Watched(path, read_notify, NotifyFile())
