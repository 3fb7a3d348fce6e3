"""`--github`: results as GitHub Actions reads them: annotations, the job's summary, a step's outputs."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import click

from builder.repository import path_in_repository
from compliance.errors import ComplianceError, InvalidInput, Location
from compliance.policy.decision import Decision
from compliance.policy.reports import Level, Place, PlacesOf, annotation, to_annotations, to_markdown


class Workflow:
    """The workflow that a command runs in. Annotations go to standard error, which GitHub reads as well."""

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        self._environment = environment

    def decision(self, decision: Decision, places: PlacesOf) -> None:
        """Annotate what a decision is about, and add it to the job's summary."""
        click.echo(to_annotations(decision, places), err=True, nl=False)
        self.summary(to_markdown(decision))

    def error(self, error: ComplianceError) -> None:
        """Annotate a failure, at its line where it has one."""
        at = error.at if isinstance(error, InvalidInput) else None
        text = error.message + (f"\n  -> {error.remedy}" if error.remedy else "")
        self.remark(Level.ERROR, text, at)

    def remark(self, level: Level, text: str, at: Location | None) -> None:
        """Annotate one thing."""
        place = None if at is None else Place(path_in_repository(at.path), at.line)
        click.echo(annotation(level, text, place=place), err=True)

    def summary(self, markdown: str) -> None:
        """Add to the job's summary."""
        self._append("GITHUB_STEP_SUMMARY", markdown + "\n")

    def output(self, name: str, value: str) -> None:
        """Set an output of the step. `value` is one line."""
        self._append("GITHUB_OUTPUT", f"{name}={value}\n")

    def _append(self, variable: str, text: str) -> None:
        named = self._environment.get(variable)
        if not named:
            return  # outside a workflow there is nobody to read it
        try:
            with Path(named).open("a", encoding="utf-8", errors="replace") as file:
                file.write(text)
        except OSError as error:
            raise InvalidInput(
                f"cannot be written: {error.strerror}", at=Location(Path(named)), remedy=f"Mend {variable}."
            ) from error
