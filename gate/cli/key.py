"""`mlgate key`: what those need who check the gate's signatures."""

from __future__ import annotations

from pathlib import Path

import click

from gate.cli.database import data_option
from gate.own_key import public_key
from gate.settings import read_settings


@click.group()
def key() -> None:
    """The gate's own key, which signs a summary of every admission."""


@key.command(name="show")
@data_option
def show_key(data: Path | None) -> None:
    """Print the public key, for those who check what the gate has signed.

    \b
    Examples:
      mlgate key show > gate-public.pem
      mlgate key show --data /var/lib/mlgate
    """
    click.echo(public_key(read_settings(data=data).data), nl=False)
