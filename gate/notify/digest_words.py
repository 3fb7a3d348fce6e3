"""A digest in Markdown, for chats and mail."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Final

from compliance.policy.wording import count
from gate.notify.digest import AUDITED, DigestReport, Ending
from gate.notify.markdown import code

SHOWN: Final = 10
"""Lines of each part."""

_TOLD: Final = {AUDITED: "let in by audit only"}


def digest_in_markdown(report: DigestReport, root: str) -> str:
    """The whole text. `root` is where pages are read."""
    return "\n".join(_lines(report, root)) + "\n"


def _lines(report: DigestReport, root: str) -> Iterator[str]:
    yield f"**Images from {_day(report.since)} to {_day(report.until)}**"
    told = ", ".join(f"{number} {_TOLD.get(kind, kind)}" for kind, number in report.pushes.items() if number)
    total = sum(report.pushes.values())
    yield f"{total} {'push' if total == 1 else 'pushes'} judged" + (f": {told}" if told else "")
    yield from _part(
        "Refused",
        [
            f"{code(one.repository)}, {count(one.total, 'time')}: {code(one.line)} {root}/decisions/{one.decision}"
            for one in report.refused
        ],
    )
    yield from _part("May be pulled no more", [_ending(one, root) for one in report.denied])
    yield from _part("May be pulled only until", [_ending(one, root) for one in report.ending])
    yield from _part(
        "Waivers that expire",
        [f"{one.expires}: {code(one.waiver)} of {code(one.owner)}" for one in report.waivers],
    )
    yield from _part(
        "Bases near their end of life",
        [f"{one.end_of_life}: {code(one.base)} of {code(one.owner)}" for one in report.bases],
    )


def _part(title: str, lines: Sequence[str]) -> Iterator[str]:
    if not lines:
        return
    yield ""
    yield f"**{title}** ({len(lines)})"
    yield from (f"- {line}" for line in lines[:SHOWN])
    if len(lines) > SHOWN:
        yield f"- and {len(lines) - SHOWN} more"


def _ending(one: Ending, root: str) -> str:
    name = code(f"{one.repository}@{one.digest[:19]}")
    return f"{one.until:%Y-%m-%d %H:%M} UTC: {name} {code(one.line)} {root}/decisions/{one.decision}"


def _day(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
