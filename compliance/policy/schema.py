"""Writes what is generated from the checks and file models: JSON schemas for editors, and the reference page.

python -m compliance.policy.schema [ROOT]
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath
from typing import Any, Final

from pydantic import BaseModel

from compliance.policy.all_checks import checks
from compliance.policy.cases import CaseFile
from compliance.policy.file_models import PolicyFile, WaiverFile
from compliance.policy.reference import reference_page

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"


def generated() -> Mapping[PurePosixPath, str]:
    """Every generated file, by its path below the root of the repository."""
    return {
        PurePosixPath("policies/schema.json"): _text(policy_schema()),
        PurePosixPath("policies/waivers/schema.json"): _text(_schema(WaiverFile, "A waiver")),
        PurePosixPath("policies/tests/schema.json"): _text(_schema(CaseFile, "Policy tests")),
        PurePosixPath("docs/reference/policy-checks.md"): reference_page(),
    }


def policy_schema() -> dict[str, Any]:
    """The JSON schema of a policy file: `with` has the parameters of the check that `check` names."""
    schema = _schema(PolicyFile, "A policy")
    definitions = schema["$defs"]
    rule = definitions["RuleEntry"]
    rule["properties"]["check"]["enum"] = list(checks())
    rule["allOf"] = []
    for name, check in checks().items():
        parameters = check.parameters.model_json_schema(by_alias=True)
        definitions |= parameters.pop("$defs", {})
        definitions[f"with-{name}"] = parameters
        then: dict[str, Any] = {"properties": {"with": {"$ref": f"#/$defs/with-{name}"}}}
        if parameters.get("required"):
            then["required"] = ["with"]
        rule["allOf"].append({"if": {"properties": {"check": {"const": name}}}, "then": then})
    return schema


def _schema(model: type[BaseModel], title: str) -> dict[str, Any]:
    return {"$schema": DIALECT, **model.model_json_schema(by_alias=True), "title": title}


def _text(schema: dict[str, Any]) -> str:
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def write(root: Path) -> Iterable[Path]:
    """Write every generated file below `root`; returns those that changed."""
    changed = []
    for place, text in generated().items():
        path = root / place
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
            changed.append(path)
    return changed


if __name__ == "__main__":
    for path in write(Path(sys.argv[1] if len(sys.argv) > 1 else ".")):
        print(f"wrote {path}")
