"""The commands by name, each imported when it is asked for: a build does not wait for what talks to docker."""

from __future__ import annotations

from importlib import import_module
from typing import Final

import click

PLACES: Final = {
    "advisories": "advisories:group",
    "base": "base:group",
    "build": "project:build",
    "cache": "cache:group",
    "check": "project:check",
    "db": "db:group",
    "diff": "compare:diff",
    "fix": "fix:command",
    "init": "project:init",
    "key": "key:group",
    "load": "image:load",
    "lock": "project:lock",
    "login": "login:login",
    "plan": "plan:plan",
    "policy": "policy:group",
    "push": "push:push",
    "reproduce": "compare:reproduce",
    "run": "image:run",
    "shell": "image:shell",
    "spec": "spec:spec",
    "test": "smoke:test",
    "verify": "verify:verify",
    "vex": "vex:command",
    "why": "why:why",
}
"""Module of `builder.cli` and name in it, by the command's name."""

EVERYTHING: Final = "project:everything"


class Commands(click.Group):
    """A group whose commands stand in PLACES."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return sorted(PLACES)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        return load(PLACES[cmd_name]) if cmd_name in PLACES else None


def load(place: str) -> click.Command:
    """The command at a place such as `project:build`."""
    module, _, name = place.partition(":")
    command = getattr(import_module(f"builder.cli.{module}"), name)
    if not isinstance(command, click.Command):
        raise TypeError(f"builder.cli.{place} is no command")
    return command
