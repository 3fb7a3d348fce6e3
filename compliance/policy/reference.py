"""The reference page of all checks, made from their docstrings and parameters."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from compliance.policy.all_checks import checks
from compliance.policy.check import AnyCheck
from compliance.policy.vocabulary import VARIABLES


def reference_page() -> str:
    """docs/reference/policy-checks.md, in Markdown."""
    return "\n".join(_lines()) + "\n"


def _lines() -> Iterator[str]:
    yield "# Policy checks"
    yield ""
    yield "A rule in a policy file names one of these under `check:` and gives its parameters under `with:`."
    yield "This page is generated from the checks; `python -m compliance.policy.schema` writes it again."
    yield ""
    yield from (f"- [{name}](#{name})" for name in checks())
    for check in checks().values():
        yield ""
        yield from _check(check)
    yield ""
    yield from _vocabulary()


def _vocabulary() -> Iterator[str]:
    yield "## What expressions may use"
    yield ""
    yield "`now` is the time of the decision. What is not known of a thing is null; texts from a fixed set, such"
    yield "as severities and origins, are as policy files write them. With `each`, `item` is one of that list."
    yield ""
    yield "| name | what it is | members |"
    yield "|---|---|---|"
    for name, variable in VARIABLES.items():
        members = ", ".join(f"`{member}`" for member in variable.members)
        yield f"| `{name}` | {variable.meaning} | {'of each: ' if variable.many else ''}{members} |"


def _check(check: AnyCheck) -> Iterator[str]:
    schema = check.parameters.model_json_schema(by_alias=True)
    yield f"## {check.name}"
    yield ""
    yield check.text
    yield ""
    if schema["properties"]:
        yield schema["description"]
        yield ""
        yield "| parameter | value | default | meaning |"
        yield "|---|---|---|---|"
        yield from _rows(schema, schema, "")
    else:
        yield "It has no parameters."
    yield ""
    waivers = " or ".join(f"`{selector}`" for selector in sorted(check.waived_by))
    yield f"A waiver names what it excuses by {waivers}."
    yield ""
    yield from _example(check, schema["examples"][0])


def _rows(table: Mapping[str, Any], schema: Mapping[str, Any], prefix: str) -> Iterator[str]:
    """A row a parameter; those of objects in a list follow it, named as `packages[].package`."""
    required = table.get("required", [])
    for name, field in table["properties"].items():
        default = "required" if name in required else _default(field.get("default"))
        yield f"| `{prefix}{name}` | {_kind(field, schema)} | {default} | {field.get('description', '')} |"
        inner = _resolved(field.get("items", {}), schema)
        if "properties" in inner:
            yield from _rows(inner, schema, f"{prefix}{name}[].")


def _resolved(field: Mapping[str, Any], schema: Mapping[str, Any]) -> Mapping[str, Any]:
    if "$ref" not in field:
        return field
    found: Mapping[str, Any] = schema["$defs"][field["$ref"].rpartition("/")[2]]
    return found


def _example(check: AnyCheck, parameters: Mapping[str, Any]) -> Iterator[str]:
    yield "```yaml"
    yield f"check: {check.name}"
    if parameters:
        yield "with:"
    yield from (f"  {name}: {_flow(value)}" for name, value in parameters.items())
    yield "```"


def _flow(value: Any) -> str:
    """A value as YAML on one line."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        plain = value.replace("-", "").replace(".", "").isalnum()
        return value if plain else f'"{value}"'
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {_flow(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_flow(item) for item in value) + "]"
    return str(value)


def _default(value: Any) -> str:
    return "none" if value is None else f"`{_flow(value)}`"


def _kind(field: Mapping[str, Any], schema: Mapping[str, Any]) -> str:
    """A JSON schema type in words."""
    if "anyOf" in field:
        return " or ".join(_kind(one, schema) for one in field["anyOf"] if one.get("type") != "null")
    if "$ref" in field:
        return _kind(_resolved(field, schema), schema)
    if "enum" in field:
        return ", ".join(f"`{one}`" for one in field["enum"])
    if field.get("type") == "array":
        return f"list of {_kind(field['items'], schema)}"
    if "properties" in field:
        return "mapping"
    if field.get("type") == "object":
        return f"{_kind(field['additionalProperties'], schema)} by {_names(field, schema)}"
    return {"boolean": "true or false", "integer": "whole number", "number": "number", "string": "text"}[
        field["type"]
    ]


def _names(field: Mapping[str, Any], schema: Mapping[str, Any]) -> str:
    names = _resolved(field.get("propertyNames", {}), schema)
    return ", ".join(f"`{one}`" for one in names.get("enum", ())) or "name"
