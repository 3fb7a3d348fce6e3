"""`mlbuild login`: who one is at a gate or registry."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from builder.cli.context import Session, failing_well
from builder.identity_token import identity_token
from compliance.errors import InvalidInput
from compliance.oci.credentials import Credentials, remember
from compliance.oci.login import open_session, require_accepted

OIDC_USER = "oidc"
"""The user name under which a gate takes the token of a CI as password."""


@click.command()
@click.argument("host", required=False)
@click.option("--username", "-u", help="Who you are there.")
@click.option("--password-stdin", is_flag=True, help="Read the password from standard input.")
@click.option("--oidc", is_flag=True, help="By the identity token of the CI job that this runs in.")
@click.option("--audience", metavar="URL", help="Whom the token is for, with --oidc; https://HOST by default.")
@click.option(
    "--token-file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="With --oidc: where the token is, such as a projected service account token.",
)
@click.pass_obj
@failing_well
def login(
    session: Session,
    host: str | None,
    username: str | None,
    password_stdin: bool,
    oidc: bool,
    audience: str | None,
    token_file: Path | None,
) -> None:
    """Log in to a gate or registry, and remember it where docker does; HOST is MLBUILD_GATE by default.

    With --oidc nothing secret is stored in the CI: the token is MLBUILD_ID_TOKEN where that is set, or GitHub
    Actions is asked for it. What is remembered is the session that the gate gives for it, good for an hour.

    \b
    Examples:
      mlbuild login gate.example.com
      echo "$TOKEN" | mlbuild login gate.example.com --username ci --password-stdin
      mlbuild login gate.example.com --oidc
      mlbuild login gate.example.com --oidc --token-file /var/run/secrets/tokens/gate
    """
    host = host or session.workshop.settings.gate
    if host is None:
        raise InvalidInput("log in where?", remedy="Name it: `mlbuild login HOST:PORT`, or set MLBUILD_GATE.")
    if oidc:
        if username or password_stdin:
            raise InvalidInput("--oidc is a login of its own", remedy="Leave --username and --password-stdin out.")
        token = identity_token(audience or f"https://{host}", os.environ, token_file)
        credentials = open_session(host, Credentials(OIDC_USER, token))
    elif audience or token_file:
        raise InvalidInput("--audience and --token-file go with --oidc", remedy="Add --oidc.")
    else:
        credentials = _asked(username, from_stdin=password_stdin)
    require_accepted(host, credentials)
    path = remember(host, credentials)
    who = "this CI job" if oidc else credentials.username
    session.out.print(f"logged in to {host} as {who} (kept in {path})", soft_wrap=True)


def _asked(username: str | None, *, from_stdin: bool) -> Credentials:
    name = username or click.prompt("Username")
    password = sys.stdin.readline().rstrip("\r\n") if from_stdin else click.prompt("Password", hide_input=True)
    return Credentials(name, password)
