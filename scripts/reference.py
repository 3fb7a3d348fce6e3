"""Writes the reference pages that span the rooms: both command lines, the spec, mlbuild's settings, exit codes.

python -m scripts.reference
"""

from __future__ import annotations

import inspect
import json
import textwrap
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import click
from pydantic import ByteSize
from pydantic_core import PydanticUndefined

from builder.cli import main as mlbuild
from builder.cli.context import DONE, INVALID, REFUSED
from builder.settings import PREFIX, Settings
from builder.spec import spec_schema
from compliance.command_group import STOPPED
from gate.cli import main as mlgate
from gate.cli.main import UNDECIDED, USAGE

PAGES: Final = Path(__file__).resolve().parent.parent / "docs" / "reference"

_HEAD: Final = "<!-- Written by `make generate`; do not edit. -->\n"
_VERBATIM: Final = "\b"
_ON_THIS_MACHINE: Final = {
    "cache": "the user's cache directory",
    "policies": "what is shipped",
    "bases": "what is shipped",
    "key": "`key.pem` in the user's configuration directory",
    "trusted_keys": "`trusted-keys` in the user's configuration directory",
}


def pages() -> dict[str, str]:
    """The text of every page, by file name."""
    return {
        "mlbuild.md": _page(_command_line("mlbuild", mlbuild)),
        "mlgate.md": _page(_command_line("mlgate", mlgate)),
        "spec.md": _page(_spec()),
        "mlbuild-settings.md": _page(_settings()),
        "exit-codes.md": _page(_exit_codes()),
    }


def _page(lines: Iterable[str]) -> str:
    return "\n".join(lines).rstrip() + "\n"


def _command_line(name: str, program: click.Command) -> Iterator[str]:
    yield f"# `{name}`\n\n{_HEAD}"
    for context in _commands(name, program, None):
        yield from _command(context)


def _commands(name: str, command: click.Command, parent: click.Context | None) -> Iterator[click.Context]:
    """The command itself, then those below it, in the order of their names."""
    context = click.Context(command, info_name=name, parent=parent)
    yield context
    if isinstance(command, click.Group):
        for below in command.list_commands(context):
            found = command.get_command(context, below)
            if found is not None and not found.hidden:
                yield from _commands(below, found, context)


def _command(context: click.Context) -> Iterator[str]:
    command = context.command
    if context.parent is not None:
        yield f"## `{context.command_path}`\n"
    usage = " ".join(command.collect_usage_pieces(context))
    yield f"```text\n{context.command_path} {usage}\n```\n"
    yield from _text(command.help or "")
    yield from _text(command.epilog or "")
    if isinstance(command, click.Group):
        yield "| command | what |\n|---|---|"
        for name in command.list_commands(context):
            found = command.get_command(context, name)
            summary = (found.help or "").strip().split("\n\n")[0] if found else ""
            yield f"| [`{name}`](#{_anchor(context.command_path, name)}) | {_cell(summary)} |"
        yield ""
    yield from _options(context)


def _anchor(*words: str) -> str:
    return "-".join(" ".join(words).split())


def _text(help_text: str) -> Iterator[str]:
    """Help as click has it: paragraphs, and after a backspace lines that stay as they are."""
    for paragraph in inspect.cleandoc(help_text).split("\n\n"):
        if not paragraph.startswith(_VERBATIM):
            yield f"{_prose(paragraph.strip())}\n"
            continue
        lines = paragraph.removeprefix(_VERBATIM).strip("\n").split("\n")
        if lines[0].endswith(":"):
            yield f"{lines.pop(0)}\n"
        yield f"```text\n{textwrap.dedent(chr(10).join(lines))}\n```\n"


def _options(context: click.Context) -> Iterator[str]:
    records = [one.get_help_record(context) for one in context.command.params]
    rows = [record for record in records if record and record[1]]
    if rows:
        yield "| option | meaning |\n|---|---|"
        yield from (f"| `{names}` | {_cell(meaning)} |" for names, meaning in rows)
        yield ""


def _cell(text: str) -> str:
    """Text as a cell of a table, in which what looks like a tag is none."""
    return _prose(" ".join(text.split()).replace("|", "\\|"))


def _prose(text: str) -> str:
    """Text in which stars and what looks like a tag stand for themselves, but where it is code anyway."""
    parts = text.split("`")
    parts[::2] = (part.replace("*", "\\*").replace("<", "&lt;") for part in parts[::2])
    return "`".join(parts)


def _spec() -> Iterator[str]:
    schema = spec_schema()
    yield f"# The spec, `mlbuild.yaml`\n\n{_HEAD}"
    yield "One file in the project says what the image is made of. Only `image`, `base`, and one of `requirements`"
    yield "and `dependencies` must be there. `mlbuild spec` checks it; `mlbuild init` writes one.\n"
    yield from _keys(schema, schema)
    for name, part in sorted(schema.get("$defs", {}).items()):
        if "properties" in part:
            yield f"\n## {name}\n"
            yield f"{part.get('description', '')}\n"
            yield from _keys(part, schema)


def _keys(part: Mapping[str, Any], schema: Mapping[str, Any]) -> Iterator[str]:
    yield "| key | value | default | meaning |\n|---|---|---|---|"
    required = part.get("required", ())
    for key, value in part["properties"].items():
        default = "required" if key in required else _default(value)
        yield f"| `{key}` | {_kind(value, schema)} | {default} | {_cell(value.get('description', ''))} |"


def _default(value: Mapping[str, Any]) -> str:
    default = value.get("default")
    return "" if default in (None, [], {}) or isinstance(default, dict) else f"`{json.dumps(default)}`"


def _kind(value: Mapping[str, Any], schema: Mapping[str, Any]) -> str:
    """What a value may be, in words."""
    if "$ref" in value:
        name = value["$ref"].rpartition("/")[2]
        named = schema["$defs"][name]
        return f"[{name}](#{name.lower()})" if "properties" in named else _kind(named, schema)
    if "anyOf" in value:
        return " or ".join(_kind(one, schema) for one in value["anyOf"] if one.get("type") != "null")
    if "enum" in value:
        return " or ".join(f"`{one}`" for one in value["enum"])
    if "const" in value:
        return f"`{value['const']}`"
    match value.get("type"):
        case "array":
            return f"list of {_kind(value.get('items', {}), schema)}"
        case "object":
            return "table of texts"
        case "boolean":
            return "`true` or `false`"
        case "integer":
            return "number"
        case _:
            return "text"


def _settings() -> Iterator[str]:
    yield f"# Settings of mlbuild\n\n{_HEAD}"
    yield "A setting can be a variable, or a line in `config.toml` in the user's configuration directory"
    yield "(`~/.config/mlbuild`). Variables win over the file. Relative paths begin where `mlbuild` is started.\n"
    yield "| in the file | variable | default | meaning |\n|---|---|---|---|"
    for name, field in Settings.model_fields.items():
        default = _ON_THIS_MACHINE.get(name, "")
        if field.default not in (None, PydanticUndefined):
            default = f"`{_setting(field.default)}`"
        yield f"| `{name}` | `{PREFIX}{name.upper()}` | {default} | {_cell(field.description or '')} |"
    yield "\n`SOURCE_DATE_EPOCH` is the time written into the image; the base's by default. `DOCKER_CONFIG` is the"
    yield "directory of the logins, `~/.docker` by default."


def _setting(value: object) -> str:
    if isinstance(value, ByteSize):
        return value.human_readable(decimal=True)
    return value if isinstance(value, str) else json.dumps(value)


def _exit_codes() -> Iterator[str]:
    yield f"# Exit codes\n\n{_HEAD}"
    yield "The same for every command of `mlbuild`, so that a pipeline needs to know nothing else:\n"
    yield "| code | meaning |\n|---|---|"
    yield f"| {DONE} | compliant, or done |"
    yield f"| {REFUSED} | refused by policy or by the gate; a test, a signature or a comparison failed |"
    yield f"| {INVALID} | an option or a file cannot be accepted; the message names file and line |"
    yield f"| {UNDECIDED} | could not decide: the scanner, a database or the registry cannot be used |"
    yield f"| {STOPPED} | stopped by Ctrl-C before it was done |"
    yield "\nNothing but 0 may go on. What has not been decided is not admitted.\n"
    yield "`mlbuild run` and `mlbuild shell` end as the program in the image does. `mlbuild fix`"
    yield f"ends with {REFUSED} while the packages do not comply, `mlbuild base outdated` while an update is"
    yield f"pending. `mlbuild login` ends with {INVALID} where the login is turned down.\n"
    yield f"`mlgate` ends with {USAGE} for an option or a file that cannot be accepted, and with"
    yield f"{UNDECIDED} where something that it needs cannot be used. `mlgate audit verify`"
    yield "ends with 1 where it finds a change."


def main() -> None:
    """Write the pages."""
    for name, text in pages().items():
        (PAGES / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
