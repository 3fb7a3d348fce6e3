"""`mlbuild check`: whether a project complies, on the terminal and in reports."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import click

from builder import pipeline
from builder.cli.context import Day, Session, failing_well, json_option
from builder.cli.report import FORMS, form_of, write_report
from builder.cli.verdicts import finish, path_for
from builder.places import places_in_repository
from builder.platforms import worst
from builder.project import open_project
from compliance.archive import save_judged
from compliance.policy.evaluate import evaluate


@click.command()
@click.option("--verbose", "-v", is_flag=True, help="Show the rules that passed too.")
@click.option(
    "--report",
    "reports",
    multiple=True,
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help=f"Also write the decision to FILE, in the form its ending asks for: {' '.join(FORMS)}. Repeatable.",
)
@click.option("--build", "build_first", is_flag=True, help="Build the image first, unless its lock is refused.")
@click.option("--at", type=Day(), help="Judge as of DATE, past or future, instead of now.")
@click.option(
    "--save-evidence",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Also store evidence and decision in DIR, for `mlbuild policy impact`.",
)
@json_option
@click.pass_obj
@failing_well
def check(
    session: Session,
    verbose: bool,
    reports: tuple[Path, ...],
    build_first: bool,
    at: datetime | None,
    save_evidence: Path | None,
) -> None:
    """Say whether the project complies, and what to change where it does not.

    A project for several platforms is judged on each, and the worst verdict counts. Reports are then one a
    platform, named after it: policy-linux-arm64.sarif.

    Judges the image when it has been built and nothing has changed since, else the lock, which needs no
    download; rules that only the image can answer are then listed as open.

    \b
    Examples:
      mlbuild check --report policy.sarif --report policy.html
      mlbuild --github check --build             build and check in GitHub Actions
      mlbuild check --at 2027-01-15              what announced rules will say by then
      mlbuild check --save-evidence evidence/    keep what was known, to try policies on
    """
    forms = [(path, form_of(path)) for path in reports]
    session.judge_as_of(at)
    project = open_project(session.project)
    if build_first:
        pipeline.everything(project, session.workshop)
    known = pipeline.known(project, session.workshop)
    policies, at = session.workshop.policies, session.workshop.at
    decisions = {platform: evaluate(policies, evidence, at) for platform, evidence in known.items()}
    places = places_in_repository(project.spec_path, project.spec)
    for platform, decision in decisions.items():
        if session.workflow is not None:
            session.workflow.decision(decision, places)
        for path, form in forms:
            write_report(decision, path_for(path, platform, decisions), form, places)
        if save_evidence is not None:
            save_judged(path_for(save_evidence, platform, decisions), known[platform], decision)
    if session.workflow is not None:
        session.workflow.output("verdict", worst(decisions.values()))
    finish(session, decisions, verbose=verbose)
