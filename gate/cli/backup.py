"""`mlgate backup` and `mlgate restore`."""

from __future__ import annotations

from pathlib import Path

import click

from gate.backup import back_up
from gate.backup import restore as bring_back
from gate.cli.database import data_option
from gate.settings import read_settings


@click.command()
@click.argument("directory", type=click.Path(path_type=Path))
@data_option
def backup(directory: Path, data: Path | None) -> None:
    """Write a backup to a new DIRECTORY, while the gate runs or not.

    It holds the database as it is at one moment, the gate's key, who may do what (the users and access files), who
    is told of what (the notify file), and checkpoints of the audit log. Whoever has it can sign as the gate. What
    it does not hold: the bytes of images, which are in the registry behind the gate (back that up afterwards);
    files with secrets that the access and notify files name; and your settings, cluster file, certificates,
    policies, bases and trusted keys.

    \b
    Examples:
      mlgate backup /var/backups/mlgate/2026-11-22
      MLGATE_DATABASE=postgresql://gate@db.internal/gate mlgate backup /var/backups/mlgate/2026-11-22
    """
    settings = read_settings(data=data)
    back_up(settings, directory)
    click.echo(f"{directory}: {', '.join(sorted(path.name for path in directory.iterdir()))}")
    storage = (
        settings.data / "registry" / "storage" if settings.upstream is None else "storage of " + settings.upstream
    )
    click.echo(f"now back up the bytes of the images: {storage}")


@click.command()
@click.argument("directory", type=click.Path(path_type=Path, exists=True, file_okay=False))
@data_option
def restore(directory: Path, data: Path | None) -> None:
    """Bring the backup in DIRECTORY back, to an empty data directory and database.

    What happened after the backup was made is lost, and `mlgate audit verify` says so when it is given a
    checkpoint from after it.

    \b
    Examples:
      mlgate restore /var/backups/mlgate/2026-11-22 --data /var/lib/mlgate && mlgate audit verify
    """
    settings = read_settings(data=data)
    bring_back(settings, directory)
    click.echo(f"restored {settings.database_url} and {settings.data}")
