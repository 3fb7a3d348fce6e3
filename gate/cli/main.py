"""`mlgate` itself, and its commands by name, each imported when it is asked for."""

from __future__ import annotations

from importlib import import_module
from typing import Any, Final

import click

from compliance.command_group import CommandGroup
from compliance.errors import ComplianceError, InvalidInput

USAGE: Final = 2
UNDECIDED: Final = 3

COMMANDS: Final = {
    "audit": ("audit:audit", "The audit log: who did what, in a chain of hashes that shows every later change."),
    "backup": ("backup:backup", "Write a backup to a new DIRECTORY, while the gate runs or not."),
    "config": ("serve:config", "Show the settings that `mlgate serve` would run with, and where each was set."),
    "database": ("database:database", "The gate's database: which version its tables are of."),
    "digest": ("digest:digest", "What was refused and what comes up, in Markdown for a chat."),
    "key": ("key:key", "The gate's own key, which signs a summary of every admission."),
    "notify": ("notify:notify", "Who is told of what: try a sink, and see what waits to be sent."),
    "reconcile": (
        "reconcile:reconcile",
        "Put right what a crash left between the database and the registry behind the gate.",
    ),
    "restore": ("backup:restore", "Bring the backup in DIRECTORY back, to an empty data directory and database."),
    "robot": ("robot:robot", "Accounts for programs, such as pipelines and clusters."),
    "serve": ("serve:serve_command", "Run the gate until it is told to stop (Ctrl-C or SIGTERM)."),
    "user": ("user:user", "Users of the gate: who may pull, push, or run it."),
}
"""Module of `gate.cli` and name in it, and what the list of commands says, by the command's name."""


class _Commands(CommandGroup):
    """The commands. Expected failures become a message, what to do next, and an exit code; never a traceback."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        return load(COMMANDS[cmd_name][0]) if cmd_name in COMMANDS else None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        with formatter.section("Commands"):
            formatter.write_dl([(name, COMMANDS[name][1]) for name in sorted(COMMANDS)])

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except ComplianceError as error:
            click.echo(f"error: {error.message}", err=True)
            if error.remedy:
                click.echo(f"  -> {error.remedy}", err=True)
            ctx.exit(USAGE if isinstance(error, InvalidInput) else UNDECIDED)


def load(place: str) -> click.Command:
    """The command at a place such as `backup:restore`."""
    module, _, name = place.partition(":")
    command = getattr(import_module(f"gate.cli.{module}"), name)
    if not isinstance(command, click.Command):
        raise TypeError(f"gate.cli.{place} is no command")
    return command


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="mlbuild", prog_name="mlgate")
def main() -> None:
    """The gate in front of a registry: it judges every image that is pushed, and lets in what complies.

    \b
    Examples:
      mlgate user add ci --role pusher      a user who may push
      mlgate config                         what it would run with, and where that was set
      mlgate serve                          the gate, with a registry of its own, on 127.0.0.1:5000
      mlgate serve --upstream https://registry.example.org --listen 0.0.0.0:443
    """
