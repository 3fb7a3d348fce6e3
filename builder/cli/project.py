"""`mlbuild lock` and `mlbuild build` for the project in this directory, and all steps at once."""

from __future__ import annotations

import click

from builder import pipeline
from builder.cli.context import Session, failing_well, no_sdist_option
from builder.cli.verdicts import finish
from builder.pipeline import BuiltProject
from builder.places import places_in_repository
from builder.project import open_project


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
    project = open_project(session.project)
    locked = pipeline.settle_lock(project, session.workshop, upgrade=upgrade, resolve=True)
    if session.as_json:
        session.emit({"lock": str(locked.path), "digest": locked.digest, "packages": len(locked.wheels)})
    else:
        written = session.project / locked.path.name
        count = "1 package" if len(locked.wheels) == 1 else f"{len(locked.wheels)} packages"
        session.out.print(f"{written}: {count} for {locked.pins.base_name}", soft_wrap=True)


@click.command()
@no_sdist_option
@click.pass_obj
@failing_well
def build(session: Session) -> None:
    """Build the image and its signed evidence into .mlbuild/, without judging it.

    For several `platforms` in mlbuild.yaml it is an image for each and an index of them, all made on this
    machine.

    \b
    Examples:
      mlbuild build
      mlbuild -C serving build     the project in another directory
      mlbuild build --no-sdist     wheels only; a package without one is an error
    """
    built = pipeline.build(open_project(session.project), session.workshop)
    if session.as_json:
        session.emit(_facts(built) if built.index is None else _facts_of_index(built))
    else:
        session.out.print(f"{built.repository}@{built.digest}", soft_wrap=True)


@click.command()
@click.pass_obj
@failing_well
def everything(session: Session) -> None:
    """Lock, check, build, scan and check."""
    project = open_project(session.project)
    decisions = pipeline.everything(project, session.workshop)
    if session.workflow is not None:
        places = places_in_repository(project.spec_path, project.spec)
        for decision in decisions.values():
            session.workflow.decision(decision, places)
    finish(session, decisions, verbose=False)


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
