"""`mlbuild fix`: what to change so that the packages comply, shown with reasons, and applied when asked to."""

from __future__ import annotations

import difflib
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import click
from rich.text import Text

from builder import pipeline
from builder.cli.context import REFUSED, Session, failing_well, json_option
from builder.fix.draft import Edit, apply
from builder.fix.result import Blocked, Fix, Moved
from builder.fix.search import find_fix
from builder.lockfile import LOCK_NAME
from compliance.policy.wording import count, label, printable

_STYLES: Final = {"+": "green", "-": "red", "@": "cyan"}


@click.command(name="fix")
@click.option("--apply", "at_once", is_flag=True, help="Apply the change without asking.")
@json_option
@click.pass_obj
@failing_well
def command(session: Session, at_once: bool) -> None:
    """Find the smallest change of requirements and lock with which the packages comply.

    Raises versions, pins included, adds constraints on what comes along with other packages, drops a direct
    requirement that nothing imports where no release of it will do, and changes the base where that is at
    fault. Shows the change with the reason for each line, and asks before it is applied. Where there is none,
    says what stands in the way. What no other release can mend is listed with its remedy.

    \b
    Examples:
      mlbuild fix            show the change, and ask on a terminal
      mlbuild fix --apply    apply it
      mlbuild fix --json     for a machine: changes, reasons, diff, what remains

    \b
    Exit codes:
      0  the packages comply now, or did already
      1  a change was only shown, or none was found that is enough
      2  the requirements cannot be met, or a file cannot be accepted
      3  an index or a vulnerability database cannot be used
    """
    project = pipeline.open_project(session.project)
    with tempfile.TemporaryDirectory(prefix="mlbuild-fix-") as directory:
        found = find_fix(project, session.workshop, Path(directory))
    if not session.as_json:
        for line in _told(found):
            session.out.print(line, soft_wrap=True)
    needed = bool(found.moved) or found.bases[0] != found.bases[1]
    applied = needed and (at_once or _agreed(session))
    if applied:
        apply(found.edits)
    if session.as_json:
        session.emit(_facts(found, applied=applied))
    elif applied:
        names = ", ".join(_name(edit, found) for edit in found.edits)
        session.out.print(Text(f"applied: {names}", style="bold green"), soft_wrap=True)
        session.out.print("next: `mlbuild` builds it, and `mlbuild test` tells whether it still runs")
    elif needed:
        session.out.print("nothing was changed; `mlbuild fix --apply` applies it")
    if not found.complies or (needed and not applied):
        raise click.exceptions.Exit(REFUSED)


def _agreed(session: Session) -> bool:
    if session.as_json or not sys.stdin.isatty():
        return False
    return click.confirm("apply this change?", default=False)


def _told(found: Fix) -> Iterator[Text]:
    if found.bases[0] != found.bases[1]:
        yield Text(f"base {found.bases[0]} -> {found.bases[1]}", style="bold")
    for moved in found.moved:
        yield _moved(moved)
    diff = _diff(found)
    if diff:
        yield Text()
    for line in diff:
        style = "bold" if line.startswith(("+++", "---")) else _STYLES.get(line[:1], "")
        yield Text(printable(line), style=style)
    for blocked in found.blocked:
        yield Text()
        yield from _blocked(blocked)
    if found.remaining:
        yield Text("\nnot for this command to mend:", style="bold")
    for finding in found.remaining:
        told = f"  {finding.rule}: {label(finding.violation.culprit)}: {finding.violation.message}"
        yield Text(printable(told))
        yield Text(printable(f"    -> {finding.remedy}"))
    yield Text()
    yield _summary(found)


def _moved(moved: Moved) -> Text:
    before, after = moved.before or "new", moved.after or "gone"
    why = "; ".join(part for part in (_reasons(moved.reasons), moved.note) if part)
    return Text(f"{moved.package} {before} -> {after}", style="bold").append(f"  {why}", style="not bold default")


def _reasons(reasons: tuple[tuple[str, str], ...]) -> str:
    """`CVE-1 (rule-a, rule-b); CVE-2, CVE-3 (rule-b)`: keys that break the same rules stand together."""
    rules: dict[str, list[str]] = {}
    for rule, key in reasons:
        rules.setdefault(key, []).append(rule)
    keys: dict[str, list[str]] = {}
    for key, broken in rules.items():
        keys.setdefault(", ".join(broken), []).append(key)
    return "; ".join(f"{', '.join(together)} ({broken})" for broken, together in keys.items())


def _blocked(blocked: Blocked) -> Iterator[Text]:
    yield (
        Text("no change mends ", style="bold red")
        .append(f"{blocked.package} {blocked.version}")
        .append(f"  {_reasons(blocked.reasons)}", style="not bold default")
    )
    yield Text(f"  what stands in the way: {printable(blocked.why)}")


def _summary(found: Fix) -> Text:
    packages = count(len(found.moved), "package")
    if found.complies and not found.moved:
        return Text("the packages comply already: nothing to fix", style="bold green")
    if found.complies:
        return Text(f"with this change of {packages} the packages comply", style="bold green")
    partly = f"this change of {packages} is not enough" if found.moved else "no change was found"
    return Text(f"{partly}: the packages do not comply", style="bold red")


def _diff(found: Fix) -> list[str]:
    """A unified diff of all but the lock, which is told package by package."""
    lines: list[str] = []
    for edit in found.edits:
        name = _name(edit, found)
        if edit.path.name == LOCK_NAME:
            continue
        before, after = ((raw or b"").decode("utf-8-sig").splitlines() for raw in (edit.before, edit.after))
        old = name if edit.before is not None else "/dev/null"
        lines += difflib.unified_diff(before, after, old, name, n=1, lineterm="")
    return lines


def _name(edit: Edit, found: Fix) -> str:
    path = edit.path
    return path.relative_to(found.root).as_posix() if path.is_relative_to(found.root) else str(path)


def _facts(found: Fix, *, applied: bool) -> dict[str, Any]:
    return {
        "complies": found.complies,
        "applied": applied,
        "base": {"before": found.bases[0], "after": found.bases[1]},
        "packages": [
            {
                "name": moved.package,
                "before": moved.before,
                "after": moved.after,
                "reasons": _pairs(moved.reasons),
                "note": moved.note,
            }
            for moved in found.moved
        ],
        "files": [_name(edit, found) for edit in found.edits],
        "diff": "".join(f"{line}\n" for line in _diff(found)),
        "blocked": [
            {
                "name": blocked.package,
                "version": blocked.version,
                "reasons": _pairs(blocked.reasons),
                "why": blocked.why,
            }
            for blocked in found.blocked
        ],
        "remaining": [
            {
                "rule": finding.rule,
                "culprit": finding.violation.culprit,
                "message": finding.violation.message,
                "remedy": finding.remedy,
            }
            for finding in found.remaining
        ],
    }


def _pairs(reasons: tuple[tuple[str, str], ...]) -> list[dict[str, str]]:
    return [{"rule": rule, "key": key} for rule, key in reasons]
