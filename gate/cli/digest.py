"""`mlgate digest`: what was refused and what comes up."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import click

from compliance.bases import read_bases
from compliance.policy.loader import load_policies
from compliance.policy.pattern import matches
from gate.cli.database import data_option, opened
from gate.cli.robot import DURATION
from gate.clock import utc_now
from gate.notify.digest import digest_report
from gate.notify.digest_words import digest_in_markdown
from gate.settings import read_settings


@click.command()
@click.option(
    "--since", type=DURATION, default="7d", show_default=True, metavar="TIME", help="How far back: 7d, 12h, 30m."
)
@click.option(
    "--repositories",
    multiple=True,
    metavar="PATTERN",
    help="Only these, such as team/**; may be given several times.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON, with all that the text leaves out.")
@data_option
def digest(since: timedelta, repositories: tuple[str, ...], as_json: bool, data: Path | None) -> None:
    """What was refused and what comes up, in Markdown for a chat.

    What may be pulled no more or not for long is told too, and which waivers and bases come to their end.

    \b
    Examples:
      mlgate digest
      mlgate digest --since 1d --repositories 'vision/**'
      mlgate digest --json | jq '.refused[].line'
    """
    settings = read_settings(data=data)
    now = utc_now()
    waivers = load_policies(settings.policies).waivers
    bases = read_bases(settings.bases)
    with opened(data) as database:
        report = digest_report(
            database,
            waivers,
            bases,
            since=now - since,
            until=now,
            covers=lambda name: not repositories or any(matches(one, name) for one in repositories),
        )
    text = report.model_dump_json(indent=2) if as_json else digest_in_markdown(report, settings.root)
    click.echo(text.rstrip("\n"))
