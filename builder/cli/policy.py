"""`mlbuild policy`: what a security engineer does with policies before merging them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import click
from rich.text import Text

from builder.cli.context import DIRECTORY, REFUSED, Day, Session, failing_well, json_option
from builder.cli.explain import explanation, facts_of
from builder.cli.impact import impact
from builder.cli.review import review
from compliance.archive import all_judged
from compliance.errors import Location
from compliance.policy.coverage import Coverage
from compliance.policy.difference import Change, difference
from compliance.policy.lint import lint
from compliance.policy.loader import load_policies, place_in
from compliance.policy.reports import Level
from compliance.policy.strictness import Tone
from compliance.policy.testing import PolicyTestResult, run_policy_tests
from compliance.policy.wording import count, printable
from compliance.scan.advisories import read_advisories

_TONES: Final = {Tone.STRICTER: "red", Tone.LOOSER: "yellow", Tone.CHANGED: "cyan"}


@click.group(name="policy")
def group() -> None:
    """Work on policies: lint, test, explain, diff, impact, review."""


group.add_command(impact)
group.add_command(review)


@group.command(name="lint")
@click.argument("directory", type=DIRECTORY, required=False)
@click.option("--evidence", type=DIRECTORY, help="Stored evidence: tell which waivers excused nothing in it.")
@click.option("--strict", is_flag=True, help="Exit with 1 when there is anything to remark on.")
@click.option("--at", type=Day(), help="As of DATE instead of now.")
@json_option
@click.pass_obj
@failing_well
def lint_command(
    session: Session, directory: Path | None, evidence: Path | None, strict: bool, at: datetime | None
) -> None:
    """Check that policies and the advisories beside them load, and remark on what is doubtful in them.

    Doubtful are rules that can never apply, that add nothing to another, or that no case in DIRECTORY/tests makes
    fail and another pass, waivers that expired, end soon or excused nothing, and VEX statements by an author whom
    no policy trusts.
    DIRECTORY is the one in use when it is not given.

    \b
    Examples:
      mlbuild policy lint policies
      mlbuild policy lint policies --strict --evidence evidence/
      mlbuild policy lint policies --at 2027-01-15    which waivers will have expired by then
    """
    session.judge_as_of(at)
    folder = session.policies_in(directory)
    policies = load_policies(folder)
    read_advisories(folder / "advisories")
    results = run_policy_tests(folder, required=False)
    remarks = lint(
        policies,
        session.workshop.at,
        decisions=[one.decision for one in all_judged(evidence)] if evidence else (),
        tested=Coverage.of([one.decision for one in results]),
    )
    told = [(place_in(folder, remark.file, remark.place), remark.text) for remark in remarks]
    if session.workflow is not None:
        for place, text in told:
            session.workflow.remark(Level.ERROR if strict else Level.WARNING, text, place)
    sizes = {
        "policies": len(policies.policies),
        "rules": sum(1 for _ in policies.rules()),
        "waivers": len(policies.waivers),
    }
    if session.as_json:
        session.emit({**sizes, "remarks": [{**_place(place), "text": text} for place, text in told]})
    else:
        for place, text in told:
            session.out.print(Text(f"{place}: ").append("warning: ", style="yellow").append(text), soft_wrap=True)
        files, rules, waivers = sizes.values()
        amount = f"{count(files, 'policy file')}, {count(rules, 'rule')}, {count(waivers, 'waiver')}"
        session.out.print(f"{folder}: {amount}; {count(len(told), 'remark')}", soft_wrap=True)
    if told and strict:
        raise click.exceptions.Exit(REFUSED)


def _place(at: Location) -> dict[str, Any]:
    return {"file": str(at.path), "line": at.line}


@group.command(name="test")
@click.argument("directory", type=DIRECTORY, required=False)
@click.option("--verbose", "-v", is_flag=True, help="Name the cases that passed too.")
@json_option
@click.pass_obj
@failing_well
def test_command(session: Session, directory: Path | None, verbose: bool) -> None:
    """Run the cases in DIRECTORY/tests, and exit with 1 when one comes out otherwise than it says.

    \b
    Examples:
      mlbuild policy test policies
      mlbuild policy test policies --json
    """
    folder = session.policies_in(directory)
    results = run_policy_tests(folder)
    failed = [one for one in results if not one.passed]
    if session.workflow is not None:
        for one in failed:
            session.workflow.remark(Level.ERROR, "\n".join((one.name, *one.failures)), one.at)
    if session.as_json:
        cases = [{**_place(one.at), "name": one.name, "failures": list(one.failures)} for one in results]
        session.emit({"passed": len(results) - len(failed), "failed": len(failed), "cases": cases})
    else:
        for one in results:
            if verbose or not one.passed:
                for line in _case(one):
                    session.out.print(line, soft_wrap=True)
        rules = Coverage.of([one.decision for one in results]).found
        total = sum(1 for _ in load_policies(folder).rules())
        style = "bold red" if failed else "bold green"
        amount = f"{len(results) - len(failed)} of {count(len(results), 'case')} passed"
        seen = f"; {len(rules)} of {count(total, 'rule')} were seen to find something"
        session.out.print(Text(amount, style=style).append(seen, style="not bold default"), soft_wrap=True)
    if failed:
        raise click.exceptions.Exit(REFUSED)


def _case(result: PolicyTestResult) -> Iterator[Text]:
    mark, style = ("passed", "green") if result.passed else ("failed", "red")
    yield Text(f"{mark}: ", style=style).append(f"{result.at}: {printable(result.name)}", style="not bold default")
    yield from (Text(f"  {printable(failure)}") for failure in result.failures)


@group.command(name="explain")
@click.argument("rule")
@click.option("--policies", "directory", type=DIRECTORY, help="Directory of policies; the one in use by default.")
@json_option
@click.pass_obj
@failing_well
def explain_command(session: Session, rule: str, directory: Path | None) -> None:
    """Explain RULE: what it checks, with which parameters, why, and for which images; or a check by its name.

    \b
    Examples:
      mlbuild policy explain serving-no-known-high
      mlbuild policy explain vulnerabilities
    """
    policies = load_policies(session.policies_in(directory))
    if session.as_json:
        session.emit(facts_of(policies, rule))
    else:
        for line in explanation(policies, rule):
            session.out.print(line, soft_wrap=True)


@group.command(name="diff")
@click.argument("old", type=DIRECTORY)
@click.argument("new", type=DIRECTORY)
@json_option
@click.pass_obj
@failing_well
def diff_command(session: Session, old: Path, new: Path) -> None:
    """Say in words what became stricter or looser from the policies in OLD to those in NEW.

    \b
    Examples:
      git worktree add /tmp/before main && mlbuild policy diff /tmp/before/policies policies
    """
    changes = difference(load_policies(old), load_policies(new))
    tally = Counter(change.tone for change in changes)
    if session.as_json:
        session.emit({**{tone: tally[tone] for tone in Tone}, "changes": [asdict(change) for change in changes]})
        return
    for change in changes:
        session.out.print(_change(change), soft_wrap=True)
    summary = ", ".join(f"{tally[tone]} {tone}" for tone in Tone) if changes else "no rule and no waiver changed"
    session.out.print(summary, style="bold")


def _change(change: Change) -> Text:
    who = change.policy + (f" > {change.rule}" if change.rule else "")
    return Text(f"{change.tone:<9}", style=_TONES[change.tone]).append(
        f"{who}: {printable(change.text)}", style="default"
    )
