"""The patterns that policies and waivers name repositories, paths and packages with."""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Final

from packageurl import PackageURL

_DASHES: Final = re.compile(r"-{2,}")
_WILD: Final = re.compile(r"[*?\[]")


@functools.lru_cache(maxsize=1 << 16)
def matches(pattern: str, text: str) -> bool:
    """Whether `text`, parts separated by `/`, fits `pattern`.

    `*` and `?` stand for characters within one part, `[abc]` for one of several, and a part `**` for any
    number of parts; at the end of a pattern for at least one, so that `serving/**` is everything below
    `serving` but not `serving` itself.

    >>> matches("serving/**", "serving/vision/iris"), matches("serving/*", "serving/vision/iris")
    (True, False)
    """
    return _parts_match(tuple(pattern.split("/")), tuple(text.split("/")))


def _parts_match(pattern: Sequence[str], parts: Sequence[str]) -> bool:
    """By dynamic programming, so that no pattern is slow: row i holds what the first i pattern parts can reach."""
    reached = [True, *([False] * len(parts))]
    for place, wanted in enumerate(pattern):
        if wanted == "**":
            least = 1 if place == len(pattern) - 1 else 0
            fresh = [any(reached[: max(0, end + 1 - least)]) for end in range(len(parts) + 1)]
        else:
            fresh = [False] + [reached[end] and fnmatchcase(part, wanted) for end, part in enumerate(parts)]
        reached = fresh
    return reached[len(parts)]


def is_literal_enough(pattern: str) -> bool:
    """Whether `pattern` names something: a letter or a digit outside its wildcards."""
    return any(character.isalnum() for character in re.sub(r"\[[^\]]*\]?", "", pattern))


@dataclass(frozen=True, slots=True)
class PackagePattern:
    """A package as a waiver names it: `pillow`, `pkg:pypi/pillow`, `pkg:pypi/pillow@9.4.0`, `pkg:pypi/pillow@9.*`.

    Only the version may hold wildcards. `type` is None where only a name was given.
    """

    type: str | None
    namespace: str | None
    name: str
    version: str | None

    @classmethod
    def parse(cls, text: str) -> PackagePattern:
        """Raises ValueError when `text` is neither a package name nor a purl, or names no one package."""
        if not text.startswith("pkg:"):
            if _WILD.search(text) or not text or "/" in text or "@" in text:
                raise ValueError(f"{text!r} is not a package: write its name, or a purl as pkg:pypi/pillow@9.*")
            return cls(None, None, folded(text), None)
        purl = PackageURL.from_string(text)
        if _WILD.search(purl.name) or _WILD.search(purl.namespace or "") or _WILD.search(purl.type):
            raise ValueError(f"{text!r}: only the version may hold wildcards")
        return cls(purl.type, purl.namespace, folded(purl.name), purl.version)

    def covers(self, purl: str) -> bool:
        """Whether the package with this purl is meant. A namespace or version left out fits any."""
        other = _parsed(purl)
        return (
            other is not None
            and self.name == folded(other.name)
            and self.type in (None, other.type)
            and self.namespace in (None, other.namespace)
            and (self.version is None or fnmatchcase(other.version or "", self.version))
        )


@functools.lru_cache(maxsize=1 << 16)
def _parsed(purl: str) -> PackageURL | None:
    try:
        return PackageURL.from_string(purl)
    except ValueError:
        return None


def folded(name: str) -> str:
    """A package's name as patterns compare it: letter case, and runs of `-`, `_` and `.`, make no difference."""
    plain = name.replace("_", "-").replace(".", "-").lower()
    return plain if "--" not in plain else _DASHES.sub("-", plain)


@functools.lru_cache(maxsize=1 << 12)
def package_pattern(text: str) -> PackagePattern:
    """As PackagePattern.parse, for texts that are met again and again."""
    return PackagePattern.parse(text)
