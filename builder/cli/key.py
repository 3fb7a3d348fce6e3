"""`mlbuild key`: the key that signs evidence."""

from __future__ import annotations

import sys

import click

from builder.cli.context import Session, failing_well
from builder.evidence import make_signing_key, take_signing_key


@click.group(name="key")
def group() -> None:
    """The key that signs an image's evidence."""


@group.command()
@click.pass_obj
@failing_well
def new(session: Session) -> None:
    """Make a signing key, and trust it on this machine.

    The private key is readable by you only. Send the public key to whoever runs the gate: images count as
    yours there once it is among the gate's trusted keys.

    \b
    Examples:
      mlbuild key new
      MLBUILD_KEY=ci.pem mlbuild key new   into another file
    """
    settings = session.workshop.settings
    public = make_signing_key(settings.key, settings.trusted_keys)
    session.out.print(f"private key  {settings.key}\npublic key   {public}", soft_wrap=True)


@group.command(name="import")
@click.pass_obj
@failing_well
def import_command(session: Session) -> None:
    """Take a signing key from standard input (PEM), for a CI that keeps it as a secret.

    \b
    Examples:
      mlbuild key import <<< "$SIGNING_KEY"
    """
    settings = session.workshop.settings
    public = take_signing_key(sys.stdin.buffer.read(1 << 16), settings.key, settings.trusted_keys)
    session.out.print(f"private key  {settings.key}\npublic key   {public}", soft_wrap=True)
