"""Image references: `registry/repository:tag@digest`, by the grammar of the distribution specification."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Final

from compliance.errors import InvalidInput
from compliance.oci.digest import Digest

_COMPONENT: Final = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_REPOSITORY: Final = re.compile(rf"{_COMPONENT}(?:/{_COMPONENT})*")
_TAG: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
_LABEL: Final = r"[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?"
_HOST: Final = re.compile(rf"(?:{_LABEL}(?:\.{_LABEL})*|\[[0-9A-Fa-f:]+\])(?::[0-9]{{1,5}})?")


@dataclass(frozen=True, slots=True)
class Reference:
    """A name for an image. `registry` is `host[:port]`, or empty where the context supplies it."""

    registry: str
    repository: str
    tag: str | None = None
    digest: Digest | None = None

    @classmethod
    def parse(cls, text: str) -> Reference:
        """Read a reference. The first part is a registry when it holds a dot or a colon or is `localhost`.

        Raises InvalidInput when `text` is not one.
        """
        name, _, digest = text.partition("@")
        head, _, rest = name.partition("/")
        registry = head if rest and (head == "localhost" or any(mark in head for mark in ".:")) else ""
        path = rest if registry else name
        repository, _, tag = path.partition(":")
        if (
            (registry and not _HOST.fullmatch(registry))
            or not is_repository(repository)
            or (":" in path and not is_tag(tag))
        ):
            raise InvalidInput(
                f"not an image reference: {text!r}", remedy="Write registry/repository:tag, in lower case."
            )
        return cls(registry, repository, tag or None, Digest(digest) if "@" in text else None)

    def at(self, digest: Digest) -> Reference:
        """The same name, pinned to `digest`."""
        return replace(self, tag=None, digest=digest)

    @property
    def target(self) -> str:
        """What a registry is asked for: the digest where there is one, else the tag, else `latest`."""
        return self.digest or self.tag or "latest"

    def __str__(self) -> str:
        name = f"{self.registry}/{self.repository}" if self.registry else self.repository
        return name + (f":{self.tag}" if self.tag else "") + (f"@{self.digest}" if self.digest else "")


def is_host(text: str) -> bool:
    """Whether `text` is `host[:port]`, of at most 255 characters."""
    return len(text) <= 255 and _HOST.fullmatch(text) is not None


def is_repository(text: str) -> bool:
    """Whether `text` is a repository name of the distribution specification, at most 255 characters."""
    return len(text) <= 255 and _REPOSITORY.fullmatch(text) is not None


def is_tag(text: str) -> bool:
    """Whether `text` is a tag of the distribution specification."""
    return _TAG.fullmatch(text) is not None
