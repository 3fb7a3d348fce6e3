"""`mlbuild vex`: what a decision says of an image's vulnerabilities, for tools that read VEX."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Final

import click

from builder import pipeline
from builder.cli.context import Session, failing_well
from builder.cli.verdicts import path_for
from compliance.errors import InvalidInput, Location
from compliance.policy.decision import Decision
from compliance.policy.evaluate import evaluate
from compliance.policy.reports import from_json
from compliance.policy.vex_documents import to_cyclonedx, to_openvex


class Form(StrEnum):
    OPENVEX = "openvex"
    CYCLONEDX = "cyclonedx"


_WRITE: Final = {Form.OPENVEX: to_openvex, Form.CYCLONEDX: to_cyclonedx}
_FILE: Final = click.Path(dir_okay=False, path_type=Path)


@click.command(name="vex")
@click.option("--author", required=True, help="Who makes these statements, as readers are to trust them.")
@click.option(
    "--form",
    type=click.Choice([one.value for one in Form]),
    default=Form.OPENVEX.value,
    show_default=True,
    help="Which VEX.",
)
@click.option(
    "--decision",
    "stored",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="A stored decision in JSON; the project's own image is judged when it is not given.",
)
@click.option("--output", "-o", type=_FILE, metavar="FILE", help="Write to FILE instead of standard output.")
@click.pass_obj
@failing_well
def command(session: Session, author: str, form: str, stored: Path | None, output: Path | None) -> None:
    """Tell the decision on an image as VEX: OpenVEX 0.2.0 or CycloneDX 1.6.

    What a waiver with a justification or a VEX statement covers is `not_affected`. What is only accepted, or
    open, is `affected`, with what to do. The same decision gives the same bytes.

    \b
    Examples:
      mlbuild vex --author "Platform <platform@example.com>"
      mlbuild vex --author Platform --form cyclonedx -o iris.vex.cdx.json
      mlbuild check --report /tmp/iris.json; mlbuild vex --author Platform --decision /tmp/iris.json
    """
    decisions = _judged(session) if stored is None else {"": _read(stored)}
    if output is None and len(decisions) > 1:
        raise InvalidInput(
            f"the project is for {', '.join(decisions)}, and each has a document of its own",
            remedy="Name a file: `-o vex.json` writes one a platform.",
        )
    for platform, decision in decisions.items():
        raw = _WRITE[Form(form)](decision, author=author)
        if output is None:
            sys.stdout.write(raw.decode())
        else:
            _write(path_for(output, platform, decisions), raw)


def _judged(session: Session) -> Mapping[str, Decision]:
    workshop = session.workshop
    known = pipeline.known(pipeline.open_project(session.project), workshop)
    return {one: evaluate(workshop.policies, evidence, workshop.at) for one, evidence in known.items()}


def _read(path: Path) -> Decision:
    try:
        return from_json(path.read_bytes())
    except OSError as error:
        raise InvalidInput(f"cannot be read: {error.strerror}", at=Location(path)) from error
    except InvalidInput as error:
        remedy = "Store one: `mlbuild check --report DECISION.json`."
        raise InvalidInput(error.message, at=Location(path), remedy=remedy) from error


def _write(path: Path, raw: bytes) -> None:
    try:
        path.write_bytes(raw)
    except OSError as error:
        raise InvalidInput(f"cannot be written: {error.strerror}", at=Location(path)) from error
