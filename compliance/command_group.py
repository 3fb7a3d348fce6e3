"""A group of commands as both command lines have it: the nearest name for one that is not there, and Ctrl-C."""

from __future__ import annotations

from typing import Any, Final

import click

STOPPED: Final = 130
"""The exit code after Ctrl-C, as shells have it: nothing was refused."""


class CommandGroup(click.Group):
    """A group that answers an unknown command with the most like it, and ends with STOPPED after Ctrl-C."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            from compliance.document import nearest  # imported here, since --help does not need it

            near = nearest(args[0], self.list_commands(ctx))
            if near is None:
                raise
            raise click.UsageError(f"{error.message} Did you mean {near!r}?", ctx) from error

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            click.echo("\nstopped", err=True)
            ctx.exit(STOPPED)
