"""Holds what a command printed against what a page shows.

What differs from run to run is of a named kind: a page's digest stands for any digest, but for the same one
wherever the page shows it again. `...` on a line of its own stands for any lines, `…` within a line for any text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

_KINDS: Final = {
    # Same on a page, same in a run.
    "digest": r"(?:sha256|sha512):[0-9a-f]{64,128}",
    "hex": r"\b(?:[0-9a-f]{64}|[0-9a-f]{40}|[0-9a-f]{32}|[0-9a-f]{16})\b",
    "uuid": r"\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b",
    "address": r"(?:127\.0\.0\.1|localhost):\d{2,5}\b",
    "secret": r"\bmlg[a-z]_[\w-]{20,}",
    "base64": r"[A-Za-z0-9+/]{43,}={0,2}",
    # Another one at any place.
    "time": r"\b\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:Z|[+-]\d\d:\d\d| UTC)?",
    "http_date": r"\b(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d\d \w{3} \d{4} [\d:]{8} GMT",
    "date": r"\b\d{4}-\d\d-\d\d\b",
    "duration": r"\b\d+(?:\.\d+)? ?(?:ms|s|seconds?|minutes?)\b",
    "age": r"\bless than a day old|\b\d+ days? old",
}
_LASTING: Final = ("digest", "hex", "uuid", "address", "secret", "base64")

_VARYING: Final = re.compile("|".join(f"(?P<{kind}>{pattern})" for kind, pattern in _KINDS.items()))
_ELIDED_LINES: Final = frozenset({"...", "…"})
_SPACES: Final = re.compile(r" +")

_PROGRESS: Final = "· "
_CACHED: Final = re.compile(
    r"· (?:Downloading|Extract|Making|Building|Running|resolving|reading|looking|not all)", re.I
)
_NUMBER: Final = re.compile(r"\d+(?:\.\d+)?(?: ?(?:[kMGT]?B|s))?")


@dataclass(slots=True)
class Values:
    """What the values shown on a page are in this run."""

    of_page: dict[str, str] = field(default_factory=dict)

    def learn(self, pairs: Sequence[tuple[str, str]]) -> str | None:
        """Take over `pairs` of shown and printed values, or say which contradicts what was seen before."""
        known = dict(self.of_page)
        back = {printed: shown for shown, printed in known.items()}
        for shown, printed in pairs:
            if known.setdefault(shown, printed) != printed:
                return f"the page shows {shown} again, which was {known[shown]} and is {printed} now"
            if back.setdefault(printed, shown) != shown:
                return f"{printed} is printed, which the page shows as {back[printed]} and as {shown}"
        self.of_page = known
        return None

    def put_into(self, text: str) -> str:
        """`text` of the page with the values of this run."""
        return _VARYING.sub(lambda found: self.of_page.get(found[0], found[0]), text)


def difference(shown: str, printed: str, values: Values) -> str | None:
    """Why `printed` is not what `shown` says it is, or None. Learns the values of this run."""
    progress, expected = _apart(shown)
    made, actual = _apart(printed)
    patterns = [None if line.strip() in _ELIDED_LINES else _pattern(line) for line in expected]
    pairs = _aligned(patterns, actual)
    if pairs is None:
        return "it prints something else"
    if wrong := _unheard_of(progress, made):
        return f"it does not print {wrong!r}"
    return values.learn(pairs)


def _apart(text: str) -> tuple[list[str], list[str]]:
    """The lines of progress, and the others without trailing space and empty lines at either end."""
    lines = [line.rstrip() for line in text.strip("\n").splitlines()]
    others = [line for line in lines if not line.startswith(_PROGRESS)]
    return [line for line in lines if line.startswith(_PROGRESS)], "\n".join(others).strip("\n").splitlines()


def _unheard_of(shown: Sequence[str], printed: Sequence[str]) -> str | None:
    """A line of progress that was not printed, but for those of work that a cache saves. Numbers do not count."""
    said = {_NUMBER.sub("N", line) for line in printed}
    return next((line for line in shown if not _CACHED.match(line) and _NUMBER.sub("N", line) not in said), None)


@dataclass(frozen=True, slots=True)
class _Line:
    pattern: re.Pattern[str]
    values: tuple[str, ...]
    """What the page shows in the place of each group of the pattern; "" for what may differ everywhere."""


def _pattern(line: str) -> _Line:
    pieces: list[str] = []
    values: list[str] = []
    at = 0
    for found in _VARYING.finditer(line):
        pieces.append(_literal(line[at : found.start()]))
        kind = found.lastgroup or ""
        pieces.append(f"({_KINDS[kind]})")
        values.append(found[0] if kind in _LASTING else "")
        at = found.end()
    pieces.append(_literal(line[at:]))
    return _Line(re.compile("".join(pieces)), tuple(values))


def _literal(text: str) -> str:
    words = (".*".join(re.escape(part) for part in word.split("…")) for word in _SPACES.split(text))
    return " +".join(words)


def _aligned(shown: Sequence[_Line | None], printed: Sequence[str]) -> list[tuple[str, str]] | None:
    """The values in lines that fit, where None in `shown` is any lines. The first place that fits will do."""
    pairs: list[tuple[str, str]] = []
    at = 0
    runs = list(_runs(shown))
    for place, run in enumerate(runs):
        starts: Sequence[int] = range(at, len(printed) - len(run) + 1)
        if place == 0:
            starts = starts[:1]
        if place == len(runs) - 1:
            starts = starts[-1:] if place else starts if len(printed) == len(run) else ()
        for start in starts:
            if (found := _fit(run, printed[start : start + len(run)])) is not None:
                pairs += found
                at = start + len(run)
                break
        else:
            return None
    return pairs


def _runs(shown: Sequence[_Line | None]) -> Iterator[list[_Line]]:
    """The lines between those that are elided."""
    run: list[_Line] = []
    for line in shown:
        if line is None:
            yield run
            run = []
        else:
            run.append(line)
    yield run


def _fit(run: Sequence[_Line], printed: Sequence[str]) -> list[tuple[str, str]] | None:
    pairs: list[tuple[str, str]] = []
    for line, text in zip(run, printed, strict=True):
        found = line.pattern.fullmatch(text)
        if found is None:
            return None
        pairs += [(value, group) for value, group in zip(line.values, found.groups(), strict=True) if value]
    return pairs
