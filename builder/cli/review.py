"""`mlbuild policy review`: what a change of policies does, in one text."""

from __future__ import annotations

import os
from datetime import datetime
from pathlib import Path
from typing import Final

import click

from builder.cli.archives import archive_of
from builder.cli.context import DIRECTORY, REFUSED, Day, Session, failing_well
from builder.github_comment import PullRequest
from compliance.archive import judged_names
from compliance.errors import InvalidInput, Location
from compliance.policy.coverage import Coverage
from compliance.policy.difference import difference
from compliance.policy.impact import last_announcement
from compliance.policy.lint import lint
from compliance.policy.loader import load_policies, place_in
from compliance.policy.reports.review import Impact, PolicyReview, review_to_markdown
from compliance.policy.testing import run_policy_tests
from compliance.replay import Plan, replay_archive
from compliance.scan.advisories import read_advisories

MARKER: Final = "<!-- mlbuild policy review -->"
"""What the comment begins with, by which it is found again; nobody sees it."""


@click.command(name="review")
@click.argument("old", type=DIRECTORY)
@click.argument("new", type=DIRECTORY)
@click.option("--evidence", type=DIRECTORY, help="Judge this evidence again, stored by check --save-evidence.")
@click.option("--gate", metavar="HOST", help="Judge again what the gate at HOST[:PORT] has admitted.")
@click.option("--at", type=Day(), help="Judge as of DATE instead of now.")
@click.option("--processes", type=click.IntRange(1, 64), default=2, show_default=True, help="How many to use.")
@click.option(
    "--report", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE", help="Write it to FILE as well."
)
@click.option("--comment", is_flag=True, help="Comment on the pull request of this GitHub workflow.")
@click.pass_obj
@failing_well
def review(
    session: Session,
    old: Path,
    new: Path,
    evidence: Path | None,
    gate: str | None,
    at: datetime | None,
    processes: int,
    report: Path | None,
    comment: bool,
) -> None:
    """Say in Markdown what changes from the policies in OLD to those in NEW: lint, tests, diff and impact.

    With --comment it becomes one comment on the pull request: the next run writes over it. Exits with 1 when a
    policy test fails. Images that would be lost are told and fail nothing: that is for reviewers to weigh.

    \b
    Examples:
      mlbuild policy review before/policies policies --evidence evidence/
      mlbuild policy review before/policies policies --gate gate.example.com --comment
    """
    session.judge_as_of(at)
    found = _review(session, old, new, _impact(session, old, new, evidence, gate, processes))
    text = review_to_markdown(found)
    click.echo(text, nl=False)
    if report is not None:
        _write(report, text)
    if session.workflow is not None:
        session.workflow.summary(text)
    if comment:
        session.progress.step(f"commented: {PullRequest.of_workflow(os.environ).comment(MARKER, text)}")
    if found.failed:
        raise click.exceptions.Exit(REFUSED)


def _review(session: Session, old: Path, new: Path, impact: Impact | None) -> PolicyReview:
    before, after = load_policies(old), load_policies(new)
    read_advisories(new / "advisories")
    results = run_policy_tests(new, required=False)
    remarks = lint(after, session.workshop.at, tested=Coverage.of([one.decision for one in results]))
    return PolicyReview(
        changes=difference(before, after),
        remarks=tuple(f"{place_in(new, one.file, one.place)}: {one.text}" for one in remarks),
        cases=len(results),
        failed=tuple(f"{one.at}: {one.name}: {'; '.join(one.failures)}" for one in results if not one.passed),
        impact=impact,
    )


def _impact(
    session: Session, old: Path, new: Path, evidence: Path | None, gate: str | None, processes: int
) -> Impact | None:
    if evidence is None and gate is None:
        return None
    moment = session.workshop.at
    plan = Plan(new, moment, old, last_announcement(load_policies(new), moment))
    with archive_of(session, evidence, gate) as archive:
        if archive is None:
            return Impact(0, ())
        total = len(judged_names(archive))
        session.progress.step(f"judging {total} again")
        return Impact(total, tuple(replay_archive(archive, plan, processes=processes)))


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8", errors="replace")
    except OSError as error:
        raise InvalidInput(f"cannot be written: {error.strerror}", at=Location(path)) from error
