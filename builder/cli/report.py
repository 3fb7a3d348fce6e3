"""`--report FILE`: a decision in the form that the file's ending asks for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Final

from compliance.errors import InvalidInput, Location
from compliance.policy.decision import Decision
from compliance.policy.reports import PlacesOf, to_html, to_json, to_junit, to_markdown, to_sarif

Form = Callable[[Decision, PlacesOf], bytes]

FORMS: Final[Mapping[str, Form]] = {
    ".json": lambda decision, places: to_json(decision),  # noqa: ARG005 - the table's signature
    ".md": lambda decision, places: to_markdown(decision).encode(errors="replace"),  # noqa: ARG005
    ".sarif": lambda decision, places: to_sarif(decision, places, version=version("mlbuild")),
    ".xml": lambda decision, places: to_junit(decision),  # noqa: ARG005
    ".html": lambda decision, places: to_html(decision),  # noqa: ARG005
}
"""The forms by the ending of a file: canonical JSON, Markdown, SARIF, JUnit XML, one HTML page."""


def form_of(path: Path) -> Form:
    """The form that the ending of `path` asks for. Raises InvalidInput when it asks for none."""
    form = FORMS.get(path.suffix.lower())
    if form is None:
        raise InvalidInput(
            "names no form of report by its ending",
            at=Location(path),
            remedy=f"End it in one of {', '.join(FORMS)}.",
        )
    return form


def write_report(decision: Decision, path: Path, form: Form, places: PlacesOf) -> None:
    """Write the decision to `path`. Raises InvalidInput when that cannot be."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(form(decision, places))
    except OSError as error:
        raise InvalidInput(f"cannot be written: {error.strerror}", at=Location(path)) from error
