"""What every command shares: where it writes, how it fails, and the tools it works with."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn, ParamSpec, TypeVar

import click
from rich.console import Console
from rich.markup import escape

from builder.progress import Progress, Quiet, Shown
from compliance.errors import ComplianceError, InvalidInput

if TYPE_CHECKING:
    from builder.cli.github import Workflow

DONE: Final = 0
REFUSED: Final = 1
INVALID: Final = 2
UNDECIDED: Final = 3

P = ParamSpec("P")
R = TypeVar("R")


class Session:
    """One run of the command line: results go to standard output, everything else to standard error."""

    def __init__(self, project: Path, *, as_json: bool = False, quiet: bool = False) -> None:
        self.project = project
        self.as_json = as_json
        self.workflow: Workflow | None = None
        self.out = Console(highlight=False, soft_wrap=False)
        self.err = Console(stderr=True, highlight=False)
        self.progress: Progress = Quiet() if quiet else Shown(self.err)
        from builder.settings import read_settings  # imported here, since --help and --version need neither
        from builder.workshop import Workshop

        self.workshop = Workshop(read_settings(), self.progress, now=datetime.now(UTC))

    def judge_as_of(self, at: datetime | None) -> None:
        """Judge as of `at` from here on, where it is given."""
        if at is not None:
            self.workshop.at = at

    def policies_in(self, named: Path | None) -> Path:
        """The directory of policies that was named, else the one in use."""
        return named if named is not None else self.workshop.settings.policies

    def forbid_sdists(self) -> None:
        """Build no package from source from here on."""
        self.workshop.settings = self.workshop.settings.model_copy(update={"sdist": False})

    def emit(self, data: dict[str, Any]) -> None:
        """Print a result for machines."""
        sys.stdout.write(json.dumps(data, indent=2, ensure_ascii=False) + "\n")


def _answer_in_json(context: click.Context, parameter: click.Parameter, value: bool) -> None:  # noqa: ARG001
    if value:
        context.ensure_object(Session).as_json = True


json_option: Final = click.option(
    "--json",
    is_flag=True,
    expose_value=False,
    callback=_answer_in_json,
    help="Print the result as JSON on standard output.",
)
"""`--json` after a command, with the same meaning as before it."""


def _forbid_sdists(context: click.Context, parameter: click.Parameter, value: bool) -> None:  # noqa: ARG001
    if value:
        context.ensure_object(Session).forbid_sdists()


no_sdist_option: Final = click.option(
    "--no-sdist",
    is_flag=True,
    expose_value=False,
    callback=_forbid_sdists,
    help="Fail rather than build a package without a wheel from its source.",
)
"""`--no-sdist`, for commands that lock or build; MLBUILD_SDIST=false says the same for all of them."""


DIRECTORY: Final = click.Path(exists=True, file_okay=False, path_type=Path)
"""A directory that is there."""


class Day(click.ParamType[datetime]):
    """A date, or a date with a time, as ISO 8601 writes them; in UTC where no zone is given."""

    name = "date"

    def convert(self, value: str | datetime, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        if isinstance(value, datetime):
            return value
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            self.fail(f"{value!r} is not a date: write it as 2027-01-15", param, ctx)
        return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def failing_well(function: Callable[P, R]) -> Callable[P, R]:
    """Turn expected errors into a message with the next step and an exit code, as `fail` does."""

    @wraps(function)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return function(*args, **kwargs)
        except ComplianceError as error:
            fail(error)

    return wrapped


def fail(error: ComplianceError) -> NoReturn:
    """End with what went wrong, and the exit code for it: INVALID for wrong input, else UNDECIDED."""
    describe(error)
    raise click.exceptions.Exit(INVALID if isinstance(error, InvalidInput) else UNDECIDED)


def describe(error: ComplianceError) -> None:
    """Say what went wrong and what to do next, in a workflow as an annotation too."""
    console = Console(stderr=True, highlight=False)
    console.print(f"[bold red]error:[/] {escape(error.message)}", soft_wrap=True)
    if error.remedy:
        console.print(f"[bold]next:[/]  {escape(error.remedy)}", soft_wrap=True)
    context = click.get_current_context(silent=True)
    session = context.find_object(Session) if context is not None else None
    if session is not None and session.workflow is not None:
        session.workflow.error(error)
