"""What no other check covers, written as an expression."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal

from pydantic import ConfigDict, Field, model_validator

from compliance.evidence import Absent, Evidence
from compliance.inventory import Origin
from compliance.policy.check import Check, Parameters, Result, Selector
from compliance.policy.decision import Violation
from compliance.policy.expressions import Expression, compile_expression, is_true, view

Listed = Literal[
    "packages",
    "locked",
    "vulnerabilities",
    "databases",
    "secrets",
    "models",
    "layers",
    "privileged",
]


class ExpressionParameters(Parameters):
    """What must be true, of the image or of each of something."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "expect": "item.ecosystem != 'pypi' || item.sha256 != null",
                    "each": "packages",
                    "message": "has no known artifact",
                }
            ]
        }
    )

    expect: str = Field(min_length=1, description="A CEL expression: true of what is good, false of the rest.")
    each: Listed | None = Field(
        default=None, description="Ask it of each of these, as `item`; left out, once of everything."
    )
    message: str = Field(min_length=1, max_length=300, description="What is wrong where it is false.")
    remedy: str | None = Field(default=None, max_length=300, description="What to do; left out, the rule's fix.")

    @model_validator(mode="after")
    def _compiles(self) -> ExpressionParameters:
        try:
            compile_expression(self.expect, self.each)
        except ValueError as error:
            raise ValueError(f"expect: {error}") from error
        return self


def run(parameters: ExpressionParameters, evidence: Evidence, at: datetime) -> Result:
    """Refuses images of which a CEL expression is not true (https://cel.dev).

    An expression may use the [parts of the evidence](#what-expressions-may-use). One that uses a part that is
    not known, or goes wrong while it is evaluated, as by comparing with null, leaves the rule undecided.
    Times are texts: `now - timestamp(base.created) < duration("2400h")`.
    """
    expression = compile_expression(parameters.expect, parameters.each)
    if parameters.each is None:
        good = is_true(expression, evidence, at)
        if isinstance(good, Absent):
            return good
        return () if good else (_violation(parameters, "image", {}),)
    items = view(evidence, parameters.each)
    return items if isinstance(items, Absent) else _of_each(parameters, expression, evidence, at, items)


def _of_each(
    parameters: ExpressionParameters,
    expression: Expression,
    evidence: Evidence,
    at: datetime,
    items: list[Mapping[str, Any]],
) -> Result:
    found = []
    for item in items:
        good = is_true(expression, evidence, at, item)
        if isinstance(good, Absent):
            return good
        if not good:
            found.append(_violation(parameters, _culprit(item), item))
    return tuple(found)


def _culprit(item: Mapping[str, Any]) -> str:
    if item.get("purl"):
        return str(item["purl"])
    if item.get("version"):
        return f"pkg:pypi/{item['name']}@{item['version']}"
    return str(item.get("path") or item.get("name") or item.get("digest"))


def _violation(parameters: ExpressionParameters, culprit: str, item: Mapping[str, Any]) -> Violation:
    name = f"{item['name']} {item['version']}" if "version" in item else str(item.get("id") or culprit)
    origin = item.get("origin")
    return Violation(
        culprit=culprit,
        key=str(item.get("id") or item.get("name") or culprit),
        message=f"{name} {parameters.message}" if item else parameters.message,
        origin=Origin(origin) if origin else None,
        chain=tuple(item.get("chain", ())),
        remedy=parameters.remedy,
        severity=item.get("severity"),
        aliases=tuple(item.get("aliases", ())),
    )


CHECK = Check(
    name="expression",
    parameters=ExpressionParameters,
    run=run,
    waived_by=frozenset({Selector.KEY, Selector.PACKAGE, Selector.PATH, Selector.VULNERABILITY}),
)
