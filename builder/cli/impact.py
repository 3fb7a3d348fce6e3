"""`mlbuild policy impact`: the images that changed policies would judge otherwise."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from datetime import datetime
from pathlib import Path

import click
from rich.text import Text

from builder.cli.archives import archive_of
from builder.cli.context import DIRECTORY, REFUSED, Day, Session, failing_well, json_option
from compliance.archive import judged_names
from compliance.policy.decision import Verdict
from compliance.policy.impact import last_announcement
from compliance.policy.loader import load_policies
from compliance.policy.reports.groups import headline, name
from compliance.policy.verdict_change import VerdictChange
from compliance.policy.wording import count, printable
from compliance.replay import Plan, replay_archive


@click.command(name="impact")
@click.argument("new", type=DIRECTORY, required=False)
@click.option("--evidence", type=DIRECTORY, help="Evidence stored by check --save-evidence.")
@click.option("--gate", metavar="HOST", help="Instead: everything that the gate at HOST[:PORT] has admitted.")
@click.option("--old", type=DIRECTORY, help="Compare with these policies, not with the stored decisions.")
@click.option("--at", type=Day(), help="Judge as of DATE instead of now.")
@click.option("--until", type=Day(), help="Look ahead to DATE; to the last announced rule by default.")
@click.option("--processes", type=click.IntRange(1, 64), default=2, show_default=True, help="How many to use.")
@json_option
@click.pass_obj
@failing_well
def impact(
    session: Session,
    new: Path | None,
    evidence: Path | None,
    gate: str | None,
    old: Path | None,
    at: datetime | None,
    until: datetime | None,
    processes: int,
) -> None:
    """List the images that the policies in NEW would judge otherwise: whose they are, why, and from when.

    Judges stored evidence again; that of a gate can be read by those with the role security. Databases count as
    old as they were when it was stored. Exits with 1 when an image that is let in now would not be any more;
    where policies only audit, all are let in.

    \b
    Examples:
      mlbuild policy impact policies --evidence evidence/
      mlbuild policy impact policies --gate gate.example.com
      mlbuild policy impact policies --evidence evidence/ --old /tmp/before/policies --until 2027-03-31
    """
    session.judge_as_of(at)
    folder, moment = session.policies_in(new), session.workshop.at
    horizon = until if until is not None else last_announcement(load_policies(folder), moment)
    plan = Plan(folder, moment, old, horizon)
    with archive_of(session, evidence, gate) as archive:
        total = 0 if archive is None else len(judged_names(archive))
        session.progress.step(f"judging {count(total, 'image')} again")
        changes = [] if archive is None else [*replay_archive(archive, plan, processes=processes)]
    if session.as_json:
        found = [
            {**asdict(change), "since": change.since and str(change.since), "lost": change.is_lost}
            for change in changes
        ]
        session.emit({"judged": total, "changes": found})
    else:
        for change in changes:
            for line in _verdict_change(change):
                session.out.print(line, soft_wrap=True)
        owners = {change.owner for change in changes if change.owner}
        summary = f"{len(changes)} of {count(total, 'image')} would change verdict"
        if total == 0:
            summary = f"{gate} has no image that you may review: no verdict would change"
        session.out.print(summary + (f", of {count(len(owners), 'owner')}" if owners else ""), style="bold")
    if any(change.is_lost for change in changes):
        raise click.exceptions.Exit(REFUSED)


def _verdict_change(change: VerdictChange) -> Iterator[Text]:
    when = f"from {change.since}" if change.since else "at once"
    solved = change.after is Verdict.ADMITTED or (change.after is change.before and not change.is_lost)
    title = Text(f"{headline(change.after, change.mode_after)} ", style="green" if solved else "red")
    title.append(printable(name(change.subject)), "default")
    owner = printable(change.owner) if change.owner else "owner not known, no label names one"
    was = headline(change.before, change.mode_before).lower()
    yield title.append(f" {when}, was {was}; {owner}", "default")
    for reason in change.reasons:
        more = f" (+{reason.findings - 1} more)" if reason.findings > 1 else ""
        before = "no longer: " if solved else ""
        yield Text(f"  {before}{reason.rule}: {printable(reason.text)}{more}")
        if not solved:
            yield Text(f"    -> {printable(reason.remedy)}", style="green")
