"""The commands by name, each imported when it is asked for: a build does not wait for what talks to docker."""

from __future__ import annotations

from importlib import import_module
from typing import Final, NamedTuple

import click

from compliance.command_group import CommandGroup


class Place(NamedTuple):
    """Where a command is: a module of `builder.cli` and a name in it. `summary` is the start of its help."""

    module: str
    name: str
    summary: str = ""


PLACES: Final = {
    "advisories": Place(
        "advisories",
        "group",
        "Private advisories (OSV files): lint them, compile them, publish them for any Trivy.",
    ),
    "base": Place("base", "group", "Curated base images: list, show, build, lock, and see which are outdated."),
    "build": Place(
        "project", "build", "Build the image and its signed evidence into .mlbuild/, without judging it."
    ),
    "cache": Place("cache", "group", "See what the cache holds, and make it smaller."),
    "check": Place("check", "check", "Say whether the project complies, and what to change where it does not."),
    "db": Place("db", "group", "Trivy's vulnerability database: fetch it, pin it, mirror it, see what is there."),
    "diff": Place("compare", "diff", "Show what lies between OLD and NEW: packages, layers, bytes and verdict."),
    "fix": Place(
        "fix", "command", "Find the smallest change of requirements and lock with which the packages comply."
    ),
    "init": Place("init", "init", "Write mlbuild.yaml from what is in this directory."),
    "key": Place("key", "group", "The key that signs an image's evidence."),
    "load": Place(
        "image",
        "load",
        "Put this project's image where docker or buildah (and podman) keep theirs, and print its id there.",
    ),
    "lock": Place("project", "lock", "Resolve the requirements and write pylock.toml."),
    "login": Place(
        "login",
        "login",
        "Log in to a gate or registry, and remember it where docker does; HOST is MLBUILD_GATE by default.",
    ),
    "plan": Place(
        "plan",
        "plan",
        "Show the layers that a build will have: what is in each, its size, and what is cached already.",
    ),
    "policy": Place("policy", "group", "Work on policies: lint, test, explain, diff, impact, review."),
    "push": Place(
        "push",
        "push",
        "Send the image and its evidence through the gate GATE (host:port), and print the admitted digest.",
    ),
    "reproduce": Place(
        "compare", "reproduce", "Build IMAGE again from its signed provenance, and compare digests."
    ),
    "run": Place("image", "run", "Run IMAGE, or this project's image, as its own user."),
    "shell": Place(
        "image", "shell", "Open a debug shell in IMAGE, or in this project's image, although it has none."
    ),
    "spec": Place(
        "spec",
        "spec",
        "Check that specs can be read, and the requirement files that they name; the project's own by default.",
    ),
    "test": Place(
        "smoke",
        "test",
        "Import every direct dependency in IMAGE, or in this project's image, and run the spec's "
        "`smoke` commands.",
    ),
    "verify": Place("verify", "verify", "Check that a gate admitted IMAGE, by the summary it signed."),
    "vex": Place("vex", "command", "Tell the decision on an image as VEX: OpenVEX 0.2.0 or CycloneDX 1.6."),
    "why": Place("why", "why", "Show why a gate admitted or refused IMAGE."),
}
"""By the command's name. The list of all commands is made from these, without importing one."""

EVERYTHING: Final = Place("project", "everything")


class Commands(CommandGroup):
    """A group whose commands stand in PLACES."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return sorted(PLACES)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        return load(PLACES[cmd_name]) if cmd_name in PLACES else None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        limit = formatter.width - 6 - max(map(len, PLACES))  # as click does it, by the commands themselves
        listed = ((name, click.Command(name, help=PLACES[name].summary)) for name in sorted(PLACES))
        with formatter.section("Commands"):
            formatter.write_dl([(name, command.get_short_help_str(limit)) for name, command in listed])


def load(place: Place) -> click.Command:
    """The command at a place."""
    command = getattr(import_module(f"builder.cli.{place.module}"), place.name)
    if not isinstance(command, click.Command):
        raise TypeError(f"builder.cli.{place.module}.{place.name} is no command")
    return command
