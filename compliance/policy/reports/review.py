"""What a change of policies does, for those who review it: one Markdown text, for one comment."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from compliance.policy.difference import Change
from compliance.policy.reports.groups import headline, name
from compliance.policy.reports.markdown import plain
from compliance.policy.verdict_change import VerdictChange
from compliance.policy.wording import count

MOST_IMAGES: Final = 50
MOST_CHANGES: Final = 200


@dataclass(frozen=True, slots=True)
class Impact:
    """How many images were judged again, and whose verdict changes."""

    judged: int
    changes: tuple[VerdictChange, ...]

    @property
    def lost(self) -> tuple[VerdictChange, ...]:
        """Those that are let in now and would not be any more."""
        return tuple(change for change in self.changes if change.is_lost)


@dataclass(frozen=True, slots=True)
class PolicyReview:
    """What is known of a change. `remarks` are lint's, `failed` the cases that came out otherwise than they say.

    `impact` is None where there was no evidence to judge again.
    """

    changes: tuple[Change, ...]
    remarks: tuple[str, ...]
    cases: int
    failed: tuple[str, ...]
    impact: Impact | None


def review_to_markdown(review: PolicyReview) -> str:
    """The review as GitHub-flavoured Markdown, ending in a line break. Text from outside cannot add markup."""
    return "\n".join(_lines(review)) + "\n"


def _lines(review: PolicyReview) -> Iterator[str]:
    yield "## What this does to the policies"
    yield ""
    yield f"{_tests(review)}; {count(len(review.remarks), 'remark')} by lint.  "
    yield _impact(review.impact)
    yield from _listed("Tests that fail", review.failed)
    yield from _listed("Remarks", review.remarks)
    yield from _differences(review.changes)
    if review.impact is not None and review.impact.changes:
        yield from _images(review.impact)


def _tests(review: PolicyReview) -> str:
    if review.cases == 0:
        return "There are no policy tests"
    return f"{review.cases - len(review.failed)} of {count(review.cases, 'policy test')} passed"


def _impact(impact: Impact | None) -> str:
    if impact is None:
        return "No images were judged again: no evidence was given."
    if impact.judged == 0:
        return "There is no image to judge again: no verdict would change."
    changed = f"{len(impact.changes)} of {count(impact.judged, 'image')} would change verdict"
    return f"{changed}, **{len(impact.lost)} would no longer be let in**."


def _listed(title: str, texts: tuple[str, ...]) -> Iterator[str]:
    if texts:
        yield from ("", f"### {title}", "")
        yield from (f"- {plain(text)}" for text in texts)


def _differences(changes: tuple[Change, ...]) -> Iterator[str]:
    yield from ("", "### Rules and waivers", "")
    if not changes:
        yield "No rule and no waiver changed."
        return
    yield "| | Policy | Rule | What |"
    yield "|---|---|---|---|"
    for change in changes[:MOST_CHANGES]:
        cells = (change.tone, change.policy, change.rule or "", change.text)
        yield f"| {' | '.join(plain(cell) for cell in cells)} |"
    if len(changes) > MOST_CHANGES:
        yield from ("", f"and {len(changes) - MOST_CHANGES} more.")


def _images(impact: Impact) -> Iterator[str]:
    yield from ("", "### Images", "")
    yield "| Image | Was | Would be | From | Owner | Why | Do |"
    yield "|---|---|---|---|---|---|---|"
    ordered = sorted(impact.changes, key=lambda change: not change.is_lost)
    for change in ordered[:MOST_IMAGES]:
        why = "<br>".join(plain(f"{reason.rule}: {reason.text}") for reason in change.reasons)
        remedies = "<br>".join(plain(reason.remedy) for reason in change.reasons) if change.is_lost else ""
        cells = (
            plain(name(change.subject)),
            plain(headline(change.before, change.mode_before).lower()),
            plain(headline(change.after, change.mode_after)),
            str(change.since) if change.since else "at once",
            plain(change.owner or "not known"),
            why,
            remedies,
        )
        yield f"| {' | '.join(cells)} |"
    if len(ordered) > MOST_IMAGES:
        yield from ("", f"and {len(ordered) - MOST_IMAGES} more; `mlbuild policy impact` lists them all.")
