"""`mlgate audit`: show, export and verify the audit log, and sign how far it has come."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import click
from sqlalchemy import select

from compliance.attest.keys import TrustedKeys
from compliance.errors import InvalidInput
from gate.audit.checkpoints import FILE, Checkpoint, read, read_lines, sign
from gate.audit.entry import Action, StoredEntry
from gate.audit.log import AuditLog
from gate.audit.verification import Problem, verify
from gate.cli.database import data_option, opened
from gate.clock import utc_now
from gate.own_key import FILE as KEY_FILE
from gate.own_key import existing_signer
from gate.settings import read_settings

FOUND: Final = 1
"""The exit code where something was changed."""

_FILE: Final = click.Path(path_type=Path, exists=True, dir_okay=False)


@click.group()
def audit() -> None:
    """The audit log: who did what, in a chain of hashes that shows every later change.

    It is in the gate's database: in the data directory, or where MLGATE_DATABASE says.
    """


@audit.command()
@click.option("--last", default=20, show_default=True, metavar="N", help="How many entries, the newest.")
@click.option("--action", type=click.Choice([each.value for each in Action]), help="Only entries of this kind.")
@click.option("--repository", metavar="NAME", help="Only entries about this repository.")
@click.option("--actor", metavar="NAME", help="Only what this user did.")
@data_option
def show(last: int, action: str | None, repository: str | None, actor: str | None, data: Path | None) -> None:
    """Show the newest entries, for people.

    \b
    Examples:
      mlgate audit show
      mlgate audit show --action deleted --repository serving/iris --last 5
    """
    query = select(StoredEntry).order_by(StoredEntry.sequence.desc()).limit(last)
    for column, wanted in (
        (StoredEntry.action, action),
        (StoredEntry.repository, repository),
        (StoredEntry.actor, actor),
    ):
        if wanted is not None:
            query = query.where(column == wanted)
    with opened(data) as database, database.reading() as session:
        for entry in reversed(session.scalars(query).all()):
            click.echo(_line(entry))


@audit.command()
@click.option("--after", default=0, metavar="N", help="Only entries with a higher number.")
@data_option
def export(after: int, data: Path | None) -> None:
    """Write entries as JSON lines, oldest first, with all that is hashed.

    \b
    Examples:
      mlgate audit export > audit.jsonl
      mlgate audit export --after 12000 >> audit.jsonl
    """
    query = select(StoredEntry).where(StoredEntry.sequence > after).order_by(StoredEntry.sequence)
    with opened(data) as database, database.reading() as session:
        for entry in session.scalars(query.execution_options(yield_per=1000)):
            click.echo(entry.to_json())


@audit.command()
@data_option
def checkpoint(data: Path | None) -> None:
    """Sign how far the log has come, and print that in one line. Keep it where nobody changes it.

    \b
    Examples:
      mlgate audit checkpoint >> /mnt/write-once/checkpoints.jsonl
    """
    with opened(data) as database:
        head = AuditLog(database, utc_now).head()
    if not head.sequence:
        raise InvalidInput("the audit log is empty, so there is nothing to sign")
    click.echo(sign(head, utc_now(), existing_signer(read_settings(data=data).data)))


@audit.command(name="verify")
@click.option(
    "--key", "keys", type=_FILE, multiple=True, metavar="PEM", help="A gate's public key; one for each gate."
)
@click.option(
    "--checkpoints", "files", type=_FILE, multiple=True, metavar="FILE", help="Checkpoints kept elsewhere."
)
@data_option
def verify_command(keys: Sequence[Path], files: Sequence[Path], data: Path | None) -> None:
    """Find every edit, removal and reordering, and say where; exit code 1 when there is one.

    Decisions, readable manifests and tags are held against the log as well. That the newest entries were taken
    away shows only against a checkpoint from before that; those in the data directory are always looked at.
    Without --key, the gate's own counts.

    \b
    Examples:
      mlgate audit verify
      mlgate audit verify --key gate.pem --checkpoints /mnt/write-once/checkpoints.jsonl
    """
    directory = read_settings(data=data).data
    own = directory / FILE
    problems: list[Problem] = []
    checkpoints = _checkpoints([*files, *([own] if own.exists() else [])], keys, directory, problems)
    with opened(data) as database:
        report = verify(database, checkpoints)
    problems += report.problems
    click.echo(f"{report.head.sequence} entries; the last has the hash {report.head.hash}")
    if report.covered:
        click.echo(f"checkpoints: {len(checkpoints)}; the last that holds is over entry {report.covered}")
    elif checkpoints:
        click.echo(f"checkpoints: {len(checkpoints)}; none holds")
    else:
        click.echo("checkpoints: none, so whether entries were taken off the end cannot be told")
    for problem in problems:
        click.echo(f"CHANGED: {problem}")
    if problems:
        click.get_current_context().exit(FOUND)
    click.echo("nothing was changed")


def _checkpoints(
    files: Sequence[Path], keys: Sequence[Path], data: Path, problems: list[Problem]
) -> Sequence[Checkpoint]:
    """Those of the files that a key signed; each line that is none is a problem."""
    if keys:
        trusted = TrustedKeys({hint: key for path in keys for hint, key in TrustedKeys.only(path).by_hint.items()})
    elif (data / KEY_FILE).exists():
        trusted = TrustedKeys.of("gate", existing_signer(data))
    elif files:
        raise InvalidInput(
            "there is no key to verify checkpoints with", remedy="Name the gate's public key: --key PEM"
        )
    found: list[Checkpoint] = []
    for file in files:
        for at, line in read_lines(file):
            try:
                found.append(read(line, trusted))
            except InvalidInput as error:
                problems.append(Problem(None, f"{at} is no checkpoint: {error.message}"))
    return found


def _line(entry: StoredEntry) -> str:
    detail = "".join(char if char.isprintable() else "?" for char in entry.detail)
    about = "@".join(part for part in (entry.repository, entry.digest) if part)
    parts = (f"{entry.at[:19]}Z", entry.action, entry.actor, about, detail)
    return f"{entry.sequence:>6} " + "  ".join(part for part in parts if part)
