"""The settings on the command line: a flag for each that a flag can hold, and a page that shows them."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from enum import Enum
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Final, TypeVar, Union, get_args, get_origin

import click
from pydantic import SecretStr
from pydantic.fields import FieldInfo
from rich.console import Console
from rich.table import Table

from gate.settings import Configuration, Settings, variable_of
from gate.settings_file import is_path, key_of

CommandT = TypeVar("CommandT", bound=Callable[..., Any])

_PATH: Final = click.Path(path_type=Path)
HIDDEN: Final = "(hidden)"
PRINTED_WIDTH: Final = 160
_METAVARS: Final = {"listen": "HOST:PORT", "metrics_listen": "HOST:PORT", "upstream": "URL", "public_url": "URL"}
_DIRECTORIES: Final = frozenset({"data", "policies", "bases", "trusted_keys"})

config_option = click.option(
    "--config", type=_PATH, metavar="FILE", help="Settings file, in YAML; not given: MLGATE_CONFIG, else none."
)


def settings_options(command: CommandT) -> CommandT:
    """Give a command a flag for every setting, but none for secrets: others on the machine see command lines."""
    for name, field in reversed(Settings.model_fields.items()):
        kind = _kind(field)
        if kind is None:
            continue
        metavar = _METAVARS.get(name) or ("DIR" if name in _DIRECTORIES else "FILE" if is_path(field) else None)
        flag = f"--{key_of(name)}/--no-{key_of(name)}" if kind is click.BOOL else f"--{key_of(name)}"
        option = click.option(flag, type=kind, metavar=metavar, default=None, help=field.description)
        command = option(command)
    return config_option(command)


def flag_of(name: str) -> str | None:
    """The flag of a setting, without what it takes; None where it has none."""
    return f"--{key_of(name)}" if _kind(Settings.model_fields[name]) else None


def _kind(field: FieldInfo) -> click.ParamType[Any] | None:
    if is_path(field):
        return _PATH
    known = {bool: click.BOOL, int: click.INT, float: click.FLOAT, str: click.STRING}
    for one in _types(field.annotation):
        if issubclass(one, Enum):
            return click.Choice([member.value for member in one])
        if one in known:
            return known[one]
    return None


def _types(annotation: Any) -> Iterator[type]:
    """The plain types in an annotation. One of a collection is none of a setting's own."""
    if isinstance(annotation, type):
        yield annotation
    elif get_origin(annotation) in {UnionType, Union}:
        for one in get_args(annotation):
            yield from _types(one)
    elif get_origin(annotation) is Annotated:
        yield from _types(get_args(annotation)[0])


def is_secret(field: FieldInfo) -> bool:
    """Whether a setting is never shown."""
    return field.annotation is SecretStr or SecretStr in get_args(field.annotation)


def shown(configuration: Configuration) -> dict[str, dict[str, Any]]:
    """Each setting by the name that files have for it: its value, secrets hidden, and where it was set."""
    values = configuration.settings.model_dump(mode="json")
    return {
        key_of(name): {
            "value": HIDDEN if is_secret(field) and values[name] is not None else values[name],
            "from": configuration.origins.get(name, "default"),
        }
        for name, field in Settings.model_fields.items()
    }


def print_settings(configuration: Configuration, unknown: list[str], *, as_json: bool) -> None:
    """Print the settings in force, and the variables that look like settings and are none."""
    found = shown(configuration)
    if as_json:
        click.echo(json.dumps(found, indent=2))
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("setting", "value", "from"):
        table.add_column(title, overflow="fold")
    for key, each in found.items():
        value = "" if each["value"] is None else str(each["value"])
        table.add_row(key, value, str(each["from"]))
    Console(width=None if sys.stdout.isatty() else PRINTED_WIDTH, highlight=False).print(table)
    for name in unknown:
        click.echo(f"note: {name} is set, and is no setting of the gate", err=True)


def unknown_variables(environment: list[str], prefix: str) -> list[str]:
    """Variables that begin as settings do, and are none. Clusters set some of their own, so they are no error."""
    known = {variable_of(name) for name in Settings.model_fields} | {f"{prefix}CONFIG"}
    return sorted(name for name in environment if name.startswith(prefix) and name not in known)
