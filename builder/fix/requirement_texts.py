"""Changing requirements in the files that people wrote, and nothing else in them: comments and order stay."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from packaging.requirements import Requirement
from packaging.specifiers import Specifier

_SPECIFIER: Final = r"(?:===|==|~=|!=|<=|>=|<|>)[ \t]*[^\s,;#\"')\]]+"
_SPECIFIERS: Final = rf"(?:{_SPECIFIER}(?:[ \t]*,[ \t]*{_SPECIFIER})*)?"
_HASHES: Final = re.compile(r"(?:[ \t]*(?:\\\r?\n)?[ \t]*--hash[= ]\S+)+")
_DEPENDENCIES: Final = re.compile(r"^dependencies[ \t]*:", re.MULTILINE)
_BEFORE: Final = re.compile(r"(?:^|[\"'\[,]|-[ \t]|\[[ \t]|,[ \t])[ \t]*$")
_END_OF_LINE: Final = re.compile(r"\r?\n")


@dataclass(frozen=True, slots=True)
class Bound:
    """What a package must be: not older than a version (`>=`), or another release than it (`!=`)."""

    operator: str
    version: str

    @property
    def text(self) -> str:
        return f"{self.operator}{self.version}"


def pinned_version(requirement: Requirement) -> str | None:
    """The one version that a requirement allows, where it is written as one: `==1.2`."""
    specifiers = list(requirement.specifier)
    if len(specifiers) != 1 or specifiers[0].operator not in {"==", "==="}:
        return None
    version = specifiers[0].version
    return None if version.endswith(".*") else version


def bounded(requirement: Requirement, bound: Bound) -> str:
    """The specifiers with `bound` in place of the lower bounds there were; all others stay."""
    kept = [one for one in _as_written(requirement) if bound.operator != ">=" or one.operator not in {">", ">="}]
    first = [bound.text] if bound.operator != "!=" else []
    last = [bound.text] if bound.operator == "!=" else []
    return ",".join([*first, *(str(one) for one in kept), *last])


def _as_written(requirement: Requirement) -> Iterator[Specifier]:
    """Lower bounds first, as people write ranges: a set of specifiers has no order of its own."""
    return iter(sorted(requirement.specifier, key=lambda one: (one.operator[0] not in ">~=", str(one))))


def with_specifiers(text: str, line: int | None, requirement: Requirement, specifiers: str) -> str | None:
    """The file's text with other specifiers for one requirement, or None where it is not found as text.

    `line` is where it starts, if that is known. Hashes that it had were of other files, and go.
    """
    start = _offset(text, line)
    match = _find(text, start, requirement.name, requirement)
    if match is None:
        return None
    changed = text[: match.start("specifiers")] + specifiers
    rest = text[match.end("specifiers") :]
    end = _logical_end(rest)
    return changed + _HASHES.sub("", rest[:end]) + rest[end:]


def without_requirement(text: str, line: int | None, requirement: Requirement) -> str | None:
    """The file's text without a requirement that has lines to itself; None where it shares its line."""
    match = _find(text, _offset(text, line), requirement.name, requirement)
    if match is None:
        return None
    start = text.rfind("\n", 0, match.start()) + 1
    end = match.end() + _logical_end(text[match.end() :])
    after = re.match(r"\s*(?:;[^\n#\"']*)?[\"']?\s*,?\s*(?:--\S+\s*|\\\s*)*(?:#[^\n]*)?", text[match.end() : end])
    if text[start : match.start()].strip(" \t\"'-") or after is None or after.end() < end - match.end():
        return None
    newline = _END_OF_LINE.match(text, end)
    return text[:start] + text[newline.end() if newline else end :]


def with_item_after(text: str, name: str, item: str) -> str | None:
    """The text of a TOML or YAML list with `item` after the one that requires `name`, in the same style."""
    match = _find(text, _offset(text, None), name)
    if match is None:
        return None
    start = text.rfind("\n", 0, match.start()) + 1
    end = match.end() + _logical_end(text[match.end() :])
    before = text[start : match.start()]
    if before.strip(" \t\"'") == "-":
        indent = before[: before.index("-")]
        return f'{text[:end]}\n{indent}- "{item}"{text[end:]}'
    quote = text[match.start() - 1]
    if quote not in "\"'":
        return None
    close = text.find(quote, match.end())
    if close < 0:
        return None
    gap = f"\n{before[:-1]}" if not before[:-1].strip() else " "
    return f'{text[: close + 1]},{gap}"{item}"{text[close + 1 :]}'


def _find(text: str, start: int, name: str, requirement: Requirement | None = None) -> re.Match[str] | None:
    """The first place from `start` where `name` is required, in the way of `requirement` where that is given."""
    pattern = re.compile(
        rf"(?<![\w.-]){re.escape(name)}(?![\w.-])[ \t]*(?:\[[^\]]*\])?[ \t]*"
        rf"(?P<specifiers>{_SPECIFIERS})"
    )
    wanted = {str(one) for one in requirement.specifier} if requirement is not None else None
    for match in pattern.finditer(text, start):
        before = text[text.rfind("\n", 0, match.start()) + 1 : match.start()]
        written = {re.sub(r"\s", "", one) for one in match["specifiers"].split(",") if one.strip()}
        if _BEFORE.search(before) and "#" not in before and wanted in (None, written):
            return match
    return None


def _offset(text: str, line: int | None) -> int:
    """Where a line starts, counted from 1; without one, where the spec's own list of dependencies does."""
    if line is None:
        listed = _DEPENDENCIES.search(text)
        return listed.start() if listed is not None else 0
    return sum(len(one) for one in text.splitlines(keepends=True)[: line - 1])


def _logical_end(rest: str) -> int:
    """Where the logical line ends: lines that end in a backslash go on."""
    end = 0
    for one in rest.splitlines(keepends=True):
        body = one.rstrip("\r\n")
        if not body.endswith("\\"):
            return end + len(body)
        end += len(one)
    return end
