"""A file that a lock names, and what is said when it cannot be had."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit, urlunsplit

from builder.errors import BuilderError
from compliance.oci.digest import Digest

_LOCK_AGAIN: Final = "Somebody replaced the file: run `mlbuild lock` again and look at what changed."


class FetchError(BuilderError):
    """A file could not be had, or was not what the lock says it is."""


@dataclass(frozen=True, slots=True)
class Artifact:
    """A file to fetch. `url` is http(s), file://, or a path. `size` is in bytes where the lock knows it.

    `when_changed` says what to do when the file is not the one that was locked.
    """

    url: str
    sha256: str
    size: int | None
    name: str
    when_changed: str = _LOCK_AGAIN

    def __post_init__(self) -> None:
        try:
            urlsplit(self.url)
        except ValueError as error:
            raise FetchError(f"{self.name} has a URL that cannot be read", remedy="Lock again.") from error

    @property
    def digest(self) -> Digest:
        return Digest(f"sha256:{self.sha256}")

    @property
    def local(self) -> Path | None:
        """Where the file is, when it is on this machine."""
        parts = urlsplit(self.url)
        return Path(unquote(parts.path)) if parts.scheme in {"", "file"} else None

    @property
    def shown_url(self) -> str:
        """The URL as it may be shown: without credentials, and without a query that may hold a token."""
        parts = urlsplit(self.url)
        return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))
