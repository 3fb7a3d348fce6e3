"""`mlbuild test`: whether an image works."""

from __future__ import annotations

import click
from rich.markup import escape

from builder import pipeline
from builder.cli.context import REFUSED, Session, failing_well
from builder.cli.source import image_of
from builder.smoke import SmokeResult, command_tests, import_tests, run_tests

_PYTHON = "python"  # as the image's own PATH has it


@click.command()
@click.argument("image", required=False)
@click.option(
    "--seconds", default=300.0, show_default=True, type=click.FloatRange(min=1), help="How long each may take."
)
@click.pass_obj
@failing_well
def test(session: Session, image: str | None, seconds: float) -> None:
    """Import every direct dependency in IMAGE, or in this project's image, and run the spec's `smoke` commands.

    Each import and each command runs under buildah in a process of its own: as the image's user, in its
    working directory, on this machine's network. What a package was asked for must import; a module of it
    that serves an extra is told but does not count. The exit code is 1 when anything fails.

    \b
    Examples:
      mlbuild test
      mlbuild test gate.example.com/serving/iris:1.4   imports only: the commands are the project's
      mlbuild --json test                              results for a machine
    \b
    In mlbuild.yaml:
      smoke:
        - [python, -c, "import app; app.load()"]
    """
    source = image_of(session, image)
    smoke = () if image else pipeline.open_project(session.project).spec.smoke
    results = []
    with source.container() as container:
        tests = [*import_tests(container, _PYTHON), *command_tests(smoke)]
        session.progress.step(f"Running {len(tests)} tests in the image")
        for result in run_tests(container, tests, _PYTHON, seconds=seconds):
            results.append(result)
            if not session.as_json:
                _tell(session, result)
    _finish(session, results)


def _tell(session: Session, result: SmokeResult) -> None:
    mark = "[green]ok  [/]" if result.ran else "[yellow]note[/]" if result.passed else "[bold red]FAIL[/]"
    end = f"{result.seconds:.1f} s" if result.ran else result.reason
    line = f"{mark}  {escape(result.test.name)}  [dim]{escape(result.test.subject)}[/]  {end}"
    session.out.print(line, soft_wrap=True)
    if not result.ran:
        for text in result.last_lines(1 if result.passed else 8):
            session.out.print(f"      {text}", soft_wrap=True, markup=False)


def _finish(session: Session, results: list[SmokeResult]) -> None:
    failed = [result for result in results if not result.passed]
    if session.as_json:
        session.emit({"passed": not failed, "tests": [_facts(result) for result in results]})
    elif failed:
        session.out.print(f"{len(failed)} of {len(results)} tests failed", style="bold red")
    else:
        session.out.print(f"{len(results)} tests passed", style="bold green")
    if failed:
        raise click.exceptions.Exit(REFUSED)


def _facts(result: SmokeResult) -> dict[str, object]:
    return {
        "name": result.test.name,
        "subject": result.test.subject,
        "required": result.test.required,
        "exit_code": result.exit_code,
        "seconds": round(result.seconds, 3),
        "output": "\n".join(result.last_lines(20)),
    }
