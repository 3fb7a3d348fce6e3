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

from builder.cli.archives import archive_of
from builder.cli.context import REFUSED, Day, Session, failing_well, json_option
from builder.cli.explain import explanation, facts_of
from builder.cli.review import review
from compliance.archive import all_judged, judged_names
from compliance.errors import Location
from compliance.policy.coverage import Coverage
from compliance.policy.decision import Verdict
from compliance.policy.difference import Change, difference
from compliance.policy.impact import VerdictChange, last_announcement
from compliance.policy.lint import lint
from compliance.policy.loader import load_policies, place_in
from compliance.policy.reports import Level
from compliance.policy.reports.groups import headline, name
from compliance.policy.strictness import Tone
from compliance.policy.testing import PolicyTestResult, run_policy_tests
from compliance.policy.wording import count, printable
from compliance.replay import Plan, replay_archive

_TONES: Final = {Tone.STRICTER: "red", Tone.LOOSER: "yellow", Tone.CHANGED: "cyan"}
_DIRECTORY: Final = click.Path(exists=True, file_okay=False, path_type=Path)


@click.group(name="policy")
def group() -> None:
    """Work on policies: lint, test, explain, diff, impact, review."""


group.add_command(review)


@group.command(name="lint")
@click.argument("directory", type=_DIRECTORY, required=False)
@click.option("--evidence", type=_DIRECTORY, help="Stored evidence: tell which waivers excused nothing in it.")
@click.option("--strict", is_flag=True, help="Exit with 1 when there is anything to remark on.")
@click.option("--at", type=Day(), help="As of DATE instead of now.")
@json_option
@click.pass_obj
@failing_well
def lint_command(
    session: Session, directory: Path | None, evidence: Path | None, strict: bool, at: datetime | None
) -> None:
    """Check that policies load, and remark on what is doubtful in them.

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
    folder = _in_use(session, directory)
    policies = load_policies(folder)
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


def _in_use(session: Session, named: Path | None) -> Path:
    return named if named is not None else session.workshop.settings.policies


def _place(at: Location) -> dict[str, Any]:
    return {"file": str(at.path), "line": at.line}


@group.command(name="test")
@click.argument("directory", type=_DIRECTORY, required=False)
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
    folder = _in_use(session, directory)
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
@click.option("--policies", "directory", type=_DIRECTORY, help="Directory of policies; the one in use by default.")
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
    policies = load_policies(_in_use(session, directory))
    if session.as_json:
        session.emit(facts_of(policies, rule))
    else:
        for line in explanation(policies, rule):
            session.out.print(line, soft_wrap=True)


@group.command(name="diff")
@click.argument("old", type=_DIRECTORY)
@click.argument("new", type=_DIRECTORY)
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


@group.command(name="impact")
@click.argument("new", type=_DIRECTORY, required=False)
@click.option("--evidence", type=_DIRECTORY, help="Evidence stored by check --save-evidence.")
@click.option("--gate", metavar="HOST", help="Instead: everything that the gate at HOST[:PORT] has admitted.")
@click.option("--old", type=_DIRECTORY, help="Compare with these policies, not with the stored decisions.")
@click.option("--at", type=Day(), help="Judge as of DATE instead of now.")
@click.option("--until", type=Day(), help="Look ahead to DATE; to the last announced rule by default.")
@click.option("--processes", type=click.IntRange(1, 64), default=2, show_default=True, help="How many to use.")
@json_option
@click.pass_obj
@failing_well
def impact_command(
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
    folder, moment = _in_use(session, new), session.workshop.at
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
