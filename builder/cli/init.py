"""`mlbuild init`: a first spec for what is in a directory."""

from __future__ import annotations

import click

from builder.cli.context import Session, failing_well
from builder.discover import discover
from builder.spec import SPEC_NAME
from compliance.errors import InvalidInput, Location


@click.command()
@click.pass_obj
@failing_well
def init(session: Session) -> None:
    """Write mlbuild.yaml from what is in this directory.

    Requirement files, pyproject.toml and the imports of scripts and notebooks say what is needed. Nothing
    that exists is overwritten; what was guessed is said.

    \b
    Examples:
      mlbuild init && mlbuild      from a directory of code to an approved image
      mlbuild -C serving init      in another directory
    """
    path = session.project / SPEC_NAME
    if path.exists():
        raise InvalidInput("exists already", at=Location(path), remedy="Edit it, or move it away first.")
    found = discover(session.project)
    path.write_text(found.text, encoding="utf-8")
    session.out.print(f"wrote {path}", soft_wrap=True)
    for note in found.notes:
        session.out.print(f"  {note}", soft_wrap=True)
    session.out.print("next: read it, then run `mlbuild`")
