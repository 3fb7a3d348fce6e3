"""`mlbuild` itself, and what it does without a command."""

from __future__ import annotations

from pathlib import Path

import click

from builder.cli.commands import EVERYTHING, Commands, load
from builder.cli.context import Session, failing_well

_EXAMPLES = """
\b
Examples:
  mlbuild init                  write mlbuild.yaml from what is in this directory
  mlbuild                       lock, check, build, scan, check: an approved image or what to change
  mlbuild push gate.example.com send image and evidence through the gate
  mlbuild check --json          the verdict for a machine; exit code 0, 1, 2 or 3

\b
Exit codes:
  0  compliant, or done
  1  refused by policy
  2  usage, or an input file that cannot be accepted
  3  could not decide: a scanner, database or registry cannot be used
"""


@click.group(
    cls=Commands,
    invoke_without_command=True,
    epilog=_EXAMPLES,
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.option(
    "--project",
    "-C",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    default=Path(),
    help="Directory of the project; the current one by default.",
)
@click.option("--json", "as_json", is_flag=True, help="Print results as JSON on standard output.")
@click.option("--quiet", "-q", is_flag=True, help="Do not show progress.")
@click.option(
    "--github",
    is_flag=True,
    help="Also say it as GitHub Actions reads it: annotations on lines, the job's summary, outputs of the step.",
)
@click.option("--no-sdist", is_flag=True, help="Build no package from source; as MLBUILD_SDIST=false.")
@click.version_option(package_name="mlbuild")
@click.pass_context
@failing_well
def main(context: click.Context, project: Path, as_json: bool, quiet: bool, github: bool, no_sdist: bool) -> None:
    """An approved machine-learning image from a short spec, or exactly what to change.

    Without a command: lock, check, build, scan and check the project in this directory.
    """
    context.obj = Session(project, as_json=as_json, quiet=quiet)
    if github:
        from builder.cli.github import Workflow  # imported here, since --help and --version do not need it

        context.obj.workflow = Workflow()
    if no_sdist:
        context.obj.forbid_sdists()
    if context.invoked_subcommand is None:
        context.invoke(load(EVERYTHING))
