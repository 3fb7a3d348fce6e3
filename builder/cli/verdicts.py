"""How decisions on a project are told: one, or one for each of its platforms."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import click

from builder.cli.context import DONE, REFUSED, UNDECIDED, Session
from builder.platforms import worst
from compliance.policy.decision import Decision, Verdict
from compliance.policy.reports import render, to_json

EXIT_OF: Final = {Verdict.ADMITTED: DONE, Verdict.REFUSED: REFUSED, Verdict.UNDECIDABLE: UNDECIDED}


def finish(session: Session, decisions: Mapping[str, Decision], *, verbose: bool) -> None:
    """Print the decisions, by platform; the worst gives the exit code."""
    verdict = worst(decisions.values())
    if len(decisions) == 1:
        (decision,) = decisions.values()
        if session.as_json:
            click.echo(to_json(decision))
        else:
            render(decision, session.out, verbose=verbose)
    elif session.as_json:
        each = {platform: json.loads(to_json(decision)) for platform, decision in decisions.items()}
        session.emit({"verdict": verdict, "platforms": each})
    else:
        for platform, decision in decisions.items():
            session.out.print(f"{platform}:", style="bold")
            render(decision, session.out, verbose=verbose)
    if not all(decision.lets_in for decision in decisions.values()):
        raise click.exceptions.Exit(EXIT_OF[verdict])


def path_for(path: Path, platform: str, decisions: Mapping[str, Decision]) -> Path:
    """Where a report on one platform goes: `policy-linux-arm64.sarif`, where there are several."""
    if len(decisions) == 1:
        return path
    return path.with_name(f"{path.stem}-{platform.replace('/', '-')}{path.suffix}")
