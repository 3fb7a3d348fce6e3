"""`mlgate robot`: accounts for programs."""

from __future__ import annotations

import getpass
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import click

from gate.audit.log import AuditLog
from gate.cli.database import data_option, opened
from gate.clock import utc_now
from gate.identity.permissions import Role
from gate.identity.robots import PREFIX, Robots

_UNITS: Final = {"d": "days", "h": "hours", "m": "minutes"}


class _Duration(click.ParamType[timedelta]):
    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> timedelta:
        if isinstance(value, timedelta):
            return value
        match = re.fullmatch(r"([0-9]{1,5})([dhm])", value)
        if match is None:
            self.fail(f"{value!r} is not a time: write 90d, 12h or 30m", param, ctx)
        return timedelta(**{_UNITS[match[2]]: int(match[1])})


DURATION: Final = _Duration()

_expires = click.option(
    "--expires",
    type=DURATION,
    default="90d",
    show_default=True,
    metavar="TIME",
    help="How long the secret holds: 90d, 12h, 30m.",
)


@contextmanager
def _robots(data: Path | None) -> Iterator[Robots]:
    with opened(data) as database:
        yield Robots(database, AuditLog(database, utc_now), utc_now)


def _by() -> str:
    return f"{getpass.getuser()}@command-line"


@click.group()
def robot() -> None:
    """Accounts for programs, such as pipelines and clusters. Every gate on the database knows them at once."""


@robot.command()
@click.argument("name")
@click.option("--role", type=click.Choice([role.value for role in Role]), required=True, help="What it may do.")
@click.option(
    "--repository",
    "repositories",
    multiple=True,
    required=True,
    metavar="PATTERN",
    help="Where, such as team/**; may be given several times.",
)
@_expires
@data_option
def create(name: str, role: str, repositories: tuple[str, ...], expires: timedelta, data: Path | None) -> None:
    """Make an account. Its secret goes to standard output, and cannot be shown again.

    \b
    Examples:
      mlgate robot create team-ci --role pusher --repository 'team/**' --expires 90d
      mlgate robot create cluster --role puller --repository 'serving/**' | kubectl create secret …
    """
    with _robots(data) as robots:
        secret = robots.create(name, Role(role), repositories, expires, by=_by())
    click.echo(f"log in as {PREFIX}{name} with this secret; it is shown once:", err=True)
    click.echo(secret)


@robot.command(name="list")
@data_option
def list_(data: Path | None) -> None:
    """Show all accounts: name, role, state, when the secret ends, repositories.

    \b
    Examples:
      mlgate robot list
      mlgate robot list --data /var/lib/mlgate
    """
    with _robots(data) as robots:
        for one in robots.all():
            until = one.expires.strftime("%Y-%m-%dT%H:%MZ")
            words = (PREFIX + one.name, one.role, one.state(utc_now()), until, " ".join(one.repositories))
            click.echo("\t".join(words))


@robot.command()
@click.argument("name")
@_expires
@click.option(
    "--overlap",
    type=DURATION,
    default="1d",
    show_default=True,
    metavar="TIME",
    help="How long the present secret still holds; 0m: it ends now.",
)
@data_option
def rotate(name: str, expires: timedelta, overlap: timedelta, data: Path | None) -> None:
    """Give an account a new secret. The present one holds a while longer, so that nothing breaks meanwhile.

    \b
    Examples:
      mlgate robot rotate team-ci
      mlgate robot rotate team-ci --overlap 0m        the present secret leaked
    """
    with _robots(data) as robots:
        secret = robots.rotate(name, expires, overlap, by=_by())
    click.echo(f"log in as {PREFIX}{name} with this secret; it is shown once:", err=True)
    click.echo(secret)


@robot.command()
@click.argument("name")
@data_option
def revoke(name: str, data: Path | None) -> None:
    """End an account for good, with all its secrets. Its name is not given again.

    \b
    Examples:
      mlgate robot revoke team-ci
    """
    with _robots(data) as robots:
        ended = robots.revoke(name, by=_by())
    click.echo(f"revoked {PREFIX}{name}" if ended else f"{PREFIX}{name} had been revoked before")
