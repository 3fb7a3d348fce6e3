"""`mlbuild cache`: what is in the cache, and making it smaller."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Final

import click
from pydantic import ByteSize, TypeAdapter, ValidationError

from builder.cache import measure, prune
from builder.cli.context import Session, failing_well, json_option
from builder.cli.sizes import megabytes

_SPAN: Final = re.compile(r"(?P<count>[0-9]{1,5})(?P<unit>[mhdw])")
_UNITS: Final = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


class Size(click.ParamType[int]):
    """A number of bytes with a unit, such as 20GB or 500MiB."""

    name = "size"

    def convert(self, value: str | int, param: click.Parameter | None, ctx: click.Context | None) -> int:
        try:
            return int(TypeAdapter(ByteSize).validate_python(value))
        except ValidationError:
            self.fail(f"{value!r} is not a size: write it as 20GB or 500MiB", param, ctx)


class Span(click.ParamType[timedelta]):
    """A length of time: a number and m, h, d or w."""

    name = "time"

    def convert(
        self, value: str | timedelta, param: click.Parameter | None, ctx: click.Context | None
    ) -> timedelta:
        if isinstance(value, timedelta):
            return value
        match = _SPAN.fullmatch(value)
        if match is None:
            self.fail(f"{value!r} is not a length of time: write it as 30d, 12h or 2w", param, ctx)
        return timedelta(**{_UNITS[match["unit"]]: int(match["count"])})


@click.group("cache")
def group() -> None:
    """See what the cache holds, and make it smaller."""


@group.command()
@json_option
@click.pass_obj
@failing_well
def info(session: Session) -> None:
    """Show where the cache is, what it may grow to, and what it holds.

    Records are small notes of what was found out, such as what a wheel's shared objects ask for, so that
    a build can do without the wheel once its layer is there.

    \b
    Examples:
      mlbuild cache info
      mlbuild cache info --json
    """
    limit = int(session.workshop.settings.cache_limit)
    usage = measure(session.workshop.cache)
    if session.as_json:
        kinds = [{"name": name, "files": usage.counts[name], "bytes": size} for name, size in usage.sizes.items()]
        session.emit({"cache": str(usage.root), "limit": limit, "bytes": usage.total, "kinds": kinds})
        return
    session.out.print(str(usage.root), soft_wrap=True)
    for name, size in usage.sizes.items():
        session.out.print(f"  {name:<10} {megabytes(size):>12}  {usage.counts[name]:>6} files", soft_wrap=True)
    session.out.print(f"  {'in all':<10} {megabytes(usage.total):>12}  of {megabytes(limit)}", soft_wrap=True)


@group.command("prune")
@click.option("--max-size", type=Size(), metavar="SIZE", help="Keep at most SIZE, such as 20GB.")
@click.option("--older-than", type=Span(), metavar="TIME", help="Remove what was not used for TIME, such as 30d.")
@click.option("--dry-run", is_flag=True, help="Say what would go, and remove nothing.")
@json_option
@click.pass_obj
@failing_well
def prune_(session: Session, max_size: int | None, older_than: timedelta | None, dry_run: bool) -> None:
    """Remove downloads, layers and records, the longest unused first.

    Without options: until the cache is within MLBUILD_CACHE_LIMIT, and records that nobody asked for in 90
    days. Builds may run meanwhile: what they have asked for stays.

    \b
    Examples:
      mlbuild cache prune --max-size 20GB
      mlbuild cache prune --older-than 30d --dry-run
    """
    workshop = session.workshop
    if max_size is None and older_than is None:
        max_size = int(workshop.settings.cache_limit)
    pruned = prune(workshop.cache, max_size=max_size, older_than=older_than, dry_run=dry_run)
    if session.as_json:
        session.emit(
            {
                "removed": not dry_run,
                "files": pruned.files,
                "records": pruned.records,
                "bytes": pruned.bytes,
                "kept_in_use": pruned.in_use,
                "size": pruned.size,
            }
        )
        return
    done = "would remove" if dry_run else "removed"
    which = f"{pruned.files} files" + (f", {pruned.records} of them records" if pruned.records else "")
    session.out.print(f"{done} {which}, {megabytes(pruned.bytes)}; {megabytes(pruned.size)} stay")
    if pruned.in_use:
        session.out.print(f"{megabytes(pruned.in_use)} more are in use by a build that runs")
