"""The reference pages of the gate, which `make generate` writes from the code: settings, metrics, events, API."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from prometheus_client.metrics_core import Metric
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from gate.api.openapi import document
from gate.cli.options import flag_of, is_secret
from gate.notify.backlog import descriptions as backlog_descriptions
from gate.notify.event_reference import event_page
from gate.settings import Settings, variable_of
from gate.settings_file import key_of
from gate.telemetry.metrics import Metrics
from gate.telemetry.state import descriptions

PAGES: Final = Path(__file__).resolve().parent.parent / "docs" / "reference"

_HEAD: Final = "<!-- Written by `make generate`; do not edit. -->\n"
_SHIPPED: Final = frozenset({"data", "policies", "bases"})
_OF_THE_PROCESS: Final = "process_"


def pages() -> dict[str, str]:
    """The text of every page, by file name."""
    return {
        "gate-settings.md": "\n".join(_settings()) + "\n",
        "gate-metrics.md": "\n".join(_metrics()) + "\n",
        "gate-events.md": "\n".join((f"# Events that webhooks get\n\n{_HEAD}", *event_page())) + "\n",
        "gate-api.md": "\n".join(_api()) + "\n",
    }


def _settings() -> Iterator[str]:
    yield f"# Settings of the gate\n\n{_HEAD}"
    yield "A setting can be a flag of `mlgate serve`, a variable, or a line in the file that `--config` or"
    yield "`MLGATE_CONFIG` names. Flags win over variables, and those over the file. In the file, relative paths"
    yield "begin where it is. Secrets have no flag, since others on the machine see command lines.\n"
    yield "| in the file | flag | variable | default | meaning |\n|---|---|---|---|---|"
    for name, field in Settings.model_fields.items():
        flag = flag_of(name)
        cells = (
            f"`{key_of(name)}`",
            f"`{flag}`" if flag else "",
            f"`{variable_of(name)}`",
            _default(name, field),
            field.description or "",
        )
        yield f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def _default(name: str, field: FieldInfo) -> str:
    if name in _SHIPPED:
        return "the user's data directory" if name == "data" else "what is shipped"
    if field.default is None or field.default is PydanticUndefined:
        return "" if not is_secret(field) else "none"
    return f"`{field.default}`"


def _metrics() -> Iterator[str]:
    yield f"# Metrics of the gate\n\n{_HEAD}"
    yield "`GET /metrics` in the form of Prometheus, besides the usual ones of the process (`process_…`). No label"
    yield "holds the name of a repository, image, user or policy.\n"
    yield "| metric | type | labels | meaning |\n|---|---|---|---|"
    metrics = Metrics()
    for metric, labels in sorted(
        [*metrics.descriptions(), *descriptions(), *backlog_descriptions()], key=lambda one: one[0].name
    ):
        if not metric.name.startswith(_OF_THE_PROCESS):
            yield f"| `{_sample(metric)}` | {metric.type} | {', '.join(labels)} | {metric.documentation} |"


def _sample(metric: Metric) -> str:
    """The name as queries have it."""
    suffix = {"counter": "_total", "info": "_info"}.get(metric.type, "")
    return metric.name + suffix


def _api() -> Iterator[str]:
    description: Mapping[str, Any] = document()
    yield f"# The gate's API\n\n{_HEAD}"
    yield f"{description['info']['description']}\n"
    yield "`GET /api/openapi.json` has all of it for programs: parameters, answers, errors, examples.\n"
    for tag in description["tags"]:
        yield f"## {tag['name'].capitalize()}\n\n{tag['description']}\n"
        yield "| path | what | parameters |\n|---|---|---|"
        for path, operations in description["paths"].items():
            for operation in operations.values():
                if operation["tags"] == [tag["name"]]:
                    named = [f"`{one['name']}`" for one in operation.get("parameters", ()) if one["in"] == "query"]
                    yield f"| `{path}` | {operation['summary']} | {', '.join(named)} |"
        yield ""


def main() -> None:
    """Write the pages."""
    for name, text in pages().items():
        (PAGES / name).write_text(text)


if __name__ == "__main__":
    main()
