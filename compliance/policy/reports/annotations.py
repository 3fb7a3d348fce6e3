"""A decision as workflow commands of GitHub Actions, which show it at the lines of a change.

One annotation a line of the project and level, since a code host shows few of them and a requirement may bring
many findings. Format: https://docs.github.com/actions/reference/workflow-commands-for-github-actions
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum

from compliance.policy.decision import Decision, Effect, Mode, RuleOutcome, Status
from compliance.policy.reports.groups import Told, groups, headline_of, name, told
from compliance.policy.reports.places import Place, PlacesOf, nowhere
from compliance.policy.wording import printable


class Level(StrEnum):
    """How an annotation is shown. Neither fails a job: an exit code does."""

    ERROR = "error"
    WARNING = "warning"


def annotation(level: Level, message: str, *, title: str | None = None, place: Place | None = None) -> str:
    """One workflow command, without a line break. Text from an image can neither end it nor begin another."""
    properties = {
        "file": None if place is None else place.path,
        "line": None if place is None or place.line is None else str(place.line),
        "title": title,
    }
    given = ",".join(f"{key}={_property(value)}" for key, value in properties.items() if value is not None)
    return f"::{level}{' ' if given else ''}{given}::{_data(message)}"


def to_annotations(decision: Decision, places: PlacesOf = nowhere) -> str:
    """What refuses and warns, at the lines that brought it: a command a line. Empty where all is well."""
    gathered: dict[tuple[Level, Place | None], list[str]] = {}
    for level, place, text in _findings(decision, places):
        gathered.setdefault((level, place), []).append(text)
    title = f"{headline_of(decision)} {printable(name(decision.subject))}"
    ordered = sorted(gathered.items(), key=lambda entry: entry[0][0])  # errors first, for who shows only some
    return "".join(
        annotation(level, "\n".join(texts), title=title, place=place) + "\n" for (level, place), texts in ordered
    )


def _findings(decision: Decision, places: PlacesOf) -> Iterator[tuple[Level, Place | None, str]]:
    for one in told(decision):
        yield from _of_rule(one, _level(decision, one.outcome), places)
    for outcome in decision.with_status(Status.UNDECIDED):
        reason = printable(outcome.reason or "no reason is known")
        text = f"{outcome.rule} could not be decided: {reason}"
        yield _level(decision, outcome), _first(places(outcome, None)), text


def _of_rule(one: Told, level: Level, places: PlacesOf) -> Iterator[tuple[Level, Place | None, str]]:
    for group in groups(one.violations):
        found = "; ".join(printable(text) for text in group.texts)
        remedy = "; ".join(printable(text) for text in group.remedies or (one.outcome.fix,))
        named = "" if found.startswith(group.title) else f"{printable(group.title)}: "
        text = f"{one.outcome.rule}: {named}{found}\n  -> {remedy}"
        yield level, _first(places(one.outcome, group.violations[0])), text


def _level(decision: Decision, outcome: RuleOutcome) -> Level:
    refuses = outcome.status is not Status.WARNED and outcome.effect is Effect.DENY
    return Level.ERROR if refuses and decision.mode is Mode.ENFORCE else Level.WARNING


def _first(found: tuple[Place, ...]) -> Place | None:
    return found[0] if found else None


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
