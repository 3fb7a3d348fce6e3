"""The commands about the project in this directory: init, lock, check, build, and all at once."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import click

from builder import pipeline
from builder.cli.context import Day, Session, failing_well, json_option, no_sdist_option
from builder.cli.report import FORMS, form_of, write_report
from builder.cli.verdicts import finish, path_for
from builder.discover import discover
from builder.pipeline import BuiltProject, Project
from builder.places import places_in_repository
from builder.platforms import worst
from builder.spec import SPEC_NAME
from compliance.archive import save_judged
from compliance.errors import InvalidInput, Location
from compliance.policy.evaluate import evaluate


@click.command()
@click.pass_obj
@failing_well
def init(session: Session) -> None:
    """Write mlbuild.yaml from what is in this directory.

    Requirement files, pyproject.toml and the imports of scripts and notebooks say what is needed. Nothing
    that exists is overwritten; what was guessed is said.
    """
    path = session.project / SPEC_NAME
    if path.exists():
        raise InvalidInput("exists already", at=Location(path), remedy="Edit it, or move it away first.")
    found = discover(session.project)
    path.write_text(found.text, encoding="utf-8")
    session.out.print(f"wrote {path}", soft_wrap=True)
    for note in found.notes:
        session.out.print(f"  {note}", soft_wrap=True)
    session.out.print("next: read it, then run `mlbuild`")


@click.command()
@click.option("--upgrade", is_flag=True, help="Let every version move, instead of keeping those in the lock.")
@no_sdist_option
@click.pass_obj
@failing_well
def lock(session: Session, upgrade: bool) -> None:
    """Resolve the requirements and write pylock.toml.

    \b
    Examples:
      mlbuild lock             keep what fits, change what must
      mlbuild lock --upgrade   newest versions of everything
      mlbuild lock --no-sdist  wheels only; a package without one is an error
    """
    project = _project(session)
    locked = pipeline.settle_lock(project, session.workshop, upgrade=upgrade, resolve=True)
    if session.as_json:
        session.emit({"lock": str(locked.path), "digest": locked.digest, "packages": len(locked.wheels)})
    else:
        session.out.print(
            f"{locked.path}: {len(locked.wheels)} packages for {locked.pins.base_name}", soft_wrap=True
        )


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
    project = _project(session)
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


@click.command()
@no_sdist_option
@click.pass_obj
@failing_well
def build(session: Session) -> None:
    """Build the image and its signed evidence into .mlbuild/, without judging it.

    For several `platforms` in mlbuild.yaml it is an image for each and an index of them, all made on this
    machine.
    """
    built = pipeline.build(_project(session), session.workshop)
    if session.as_json:
        session.emit(_facts(built) if built.index is None else _facts_of_index(built))
    else:
        session.out.print(f"{built.repository}@{built.digest}", soft_wrap=True)


@click.command()
@click.pass_obj
@failing_well
def everything(session: Session) -> None:
    """Lock, check, build, scan and check."""
    project = _project(session)
    decisions = pipeline.everything(project, session.workshop)
    if session.workflow is not None:
        places = places_in_repository(project.spec_path, project.spec)
        for decision in decisions.values():
            session.workflow.decision(decision, places)
    finish(session, decisions, verbose=False)


def _project(session: Session) -> Project:
    return pipeline.open_project(session.project)


def _facts(built: BuiltProject) -> dict[str, object]:
    return {
        "image": f"{built.repository}@{built.image.digest}",
        "config": built.image.config_digest,
        "layout": str(built.layout.root),
        "layers": [
            {
                "diff_id": layer.diff_id,
                "size": layer.descriptor.size,
                "content": [f"{name}=={version}" for name, version in layer.packages] or layer.origin,
            }
            for layer in built.image.layers
        ],
    }


def _facts_of_index(built: BuiltProject) -> dict[str, object]:
    return {
        "image": f"{built.repository}@{built.digest}",
        "layout": str(built.index_layout.root) if built.index_layout is not None else None,
        "platforms": {f"linux/{one.image.config.architecture}": _facts(one) for one in built.each},
    }
