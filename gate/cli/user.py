"""`mlgate user`: people, and programs with a password."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from gate.identity.permissions import EVERYWHERE, Role
from gate.identity.users import read_users, remove_user, set_user
from gate.settings import read_settings


@click.group()
def user() -> None:
    """Users of the gate: who may pull, push, or run it."""


_users_option = click.option(
    "--users",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="The users file; not given: MLGATE_USERS, else DATA/users.yaml.",
)


@user.command(name="add")
@click.argument("name")
@click.option(
    "--role",
    type=click.Choice([*(role.value for role in Role), "pull", "push"]),
    required=True,
    help="What the user may do; pull and push are short for puller and pusher.",
)
@click.option(
    "--password-stdin", is_flag=True, help="Read the password from standard input, without its line end."
)
@click.option(
    "--repository",
    "repositories",
    multiple=True,
    metavar="PATTERN",
    help="Where, such as team/**; may be given several times; not given: everywhere.",
)
@_users_option
def add_user(
    name: str, role: str, password_stdin: bool, repositories: tuple[str, ...], users: Path | None
) -> None:
    """Add a user, or give one a new password and role. A running gate knows at once.

    \b
    Examples:
      mlgate user add alice --role admin
      pass show gate/ci | mlgate user add ci --role pusher --repository 'team/**' --password-stdin
    """
    if password_stdin:
        password = sys.stdin.readline().rstrip("\r\n")
    else:
        password = click.prompt("Password", hide_input=True, confirmation_prompt=True)
    path = read_settings(users=users).users_file
    new = set_user(path, name, Role(role), password, repositories or EVERYWHERE)
    click.echo(f"{'added' if new else 'changed'} {name} ({Role(role)}) in {path}")


@user.command(name="list")
@_users_option
def list_users(users: Path | None) -> None:
    """Show the users, their roles, and where they have them.

    \b
    Examples:
      mlgate user list
      MLGATE_CONFIG=/etc/mlgate/mlgate.yaml mlgate user list
    """
    for name, account in sorted(read_users(read_settings(users=users).users_file).users.items()):
        click.echo(f"{name}\t{account.role}\t{' '.join(account.repositories)}")


@user.command(name="remove")
@click.argument("name")
@_users_option
def remove(name: str, users: Path | None) -> None:
    """Take a user away. A running gate knows at once.

    \b
    Examples:
      mlgate user remove alice
    """
    path = read_settings(users=users).users_file
    remove_user(path, name)
    click.echo(f"removed {name} from {path}")
