"""`mlbuild spec`: whether specs can be read, for editors and commit hooks."""

from __future__ import annotations

from pathlib import Path

import click

from builder.cli.context import INVALID, Session, describe, failing_well
from builder.requirement_files import read_inputs
from builder.spec import SPEC_NAME, read_spec
from compliance.errors import InvalidInput


@click.command()
@click.argument("files", nargs=-1, type=click.Path(dir_okay=False, path_type=Path))
@click.pass_obj
@failing_well
def spec(session: Session, files: tuple[Path, ...]) -> None:
    """Check that specs can be read, and the requirement files that they name; the project's own by default.

    Nothing is resolved, judged or fetched, so it is quick enough for every commit.

    \b
    Examples:
      mlbuild spec
      mlbuild spec teams/*/mlbuild.yaml
    """
    wrong = [error for path in files or (session.project / SPEC_NAME,) if (error := _problem(path)) is not None]
    for error in wrong:
        describe(error)
    if wrong:
        raise click.exceptions.Exit(INVALID)


def _problem(path: Path) -> InvalidInput | None:
    try:
        read_inputs(read_spec(path), path)
    except InvalidInput as error:
        return error
    return None
