"""`mlgate`: runs the gate and keeps its users."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import Any, Final

import click

from compliance.errors import ComplianceError, InvalidInput
from gate.audit.commands import audit
from gate.backup_commands import backup, restore
from gate.database_commands import database
from gate.identity.permissions import EVERYWHERE, Role
from gate.identity.users import read_users, remove_user, set_user
from gate.own_key import public_key
from gate.reconcile_command import reconcile
from gate.robot_commands import robot
from gate.server import serve
from gate.settings import PREFIX, Settings, configure, read_settings
from gate.settings_options import print_settings, settings_options, unknown_variables
from gate.telemetry.logs import start_logging

USAGE: Final = 2
UNDECIDED: Final = 3


class _Group(click.Group):
    """Expected failures become a message, what to do next, and an exit code; never a traceback."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except ComplianceError as error:
            click.echo(f"error: {error.message}", err=True)
            if error.remedy:
                click.echo(f"  -> {error.remedy}", err=True)
            ctx.exit(USAGE if isinstance(error, InvalidInput) else UNDECIDED)


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="mlbuild", prog_name="mlgate")
def main() -> None:
    """The gate in front of a registry: it judges every image that is pushed, and lets in what complies.

    \b
    Examples:
      mlgate user add ci --role pusher      a user who may push
      mlgate config                         what it would run with, and where that was set
      mlgate serve                          the gate, with a registry of its own, on 127.0.0.1:5000
      mlgate serve --upstream https://registry.example.org --listen 0.0.0.0:443
    """


_PATH: Final = click.Path(path_type=Path)


def _described(name: str) -> str:
    return Settings.model_fields[name].description or ""


@main.command(name="serve")
@click.option("--embedded", is_flag=True, help="Run a registry of its own (the default without --upstream).")
@settings_options
def serve_command(embedded: bool, config: Path | None, **given: Any) -> None:
    """Run the gate until it is told to stop (Ctrl-C or SIGTERM).

    Every option can also be set in the environment, --trusted-keys as MLGATE_TRUSTED_KEYS, or in a file, as
    `trusted-keys: keys`. Flags win over the environment, and that over the file; `mlgate config` shows what is in
    force. Passwords and tokens have no flag. The registry behind the gate must be reachable by the gate alone:
    what goes around the gate is not judged.

    \b
    Examples:
      mlgate serve
      mlgate serve --embedded --data /var/lib/mlgate --listen 0.0.0.0:5000 \\\
          --tls-certificate gate.pem --tls-key gate.key
      mlgate serve --config /etc/mlgate/mlgate.yaml
      MLGATE_UPSTREAM_USER=gate MLGATE_UPSTREAM_PASSWORD=… mlgate serve --upstream https://registry.internal
    """
    settings = read_settings(config, **given)
    if embedded and settings.upstream is not None:
        raise InvalidInput(
            f"--embedded and the upstream {settings.upstream} exclude each other",
            remedy="Leave one of them out; the upstream may come from MLGATE_UPSTREAM.",
        )
    start_logging(settings.log_format)
    asyncio.run(serve(settings))


@main.command(name="config")
@settings_options
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def config_command(config: Path | None, as_json: bool, **given: Any) -> None:
    """Show the settings that `mlgate serve` would run with, and where each was set. Secrets are hidden.

    \b
    Examples:
      mlgate config
      mlgate config --config /etc/mlgate/mlgate.yaml --json
    """
    unknown = unknown_variables(list(os.environ), PREFIX)
    print_settings(configure(config, **given), unknown, as_json=as_json)


@main.group()
def user() -> None:
    """Users of the gate: who may pull, push, or run it."""


_users_option = click.option(
    "--users", type=_PATH, metavar="FILE", help="The users file; not given: MLGATE_USERS, else DATA/users.yaml."
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


@main.group()
def key() -> None:
    """The gate's own key, which signs a summary of every admission."""


@key.command(name="show")
@click.option("--data", type=_PATH, metavar="DIR", help=_described("data"))
def show_key(data: Path | None) -> None:
    """Print the public key, for those who check what the gate has signed.

    \b
    Examples:
      mlgate key show > gate-public.pem
      mlgate key show --data /var/lib/mlgate
    """
    click.echo(public_key(read_settings(data=data).data), nl=False)


main.add_command(audit)
main.add_command(backup)
main.add_command(restore)
main.add_command(database)
main.add_command(reconcile)
main.add_command(robot)
