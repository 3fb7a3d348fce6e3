"""The engine's modules touch neither files nor network, what reads policies and generates pages aside."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[3] / "compliance" / "policy"
ALLOWED = {"loader.py", "policy_document.py", "waiver_document.py", "testing.py", "schema.py"}
FORBIDDEN = (
    *("compliance.document", "compliance.oci.layout", "compliance.scan", "compliance.models", "compliance.attest"),
    *("os", "io", "pathlib", "subprocess", "socket", "shutil", "tempfile", "urllib.request", "httpx", "aiohttp"),
)
MODULES = sorted(path for path in PACKAGE.rglob("*.py") if path.name not in ALLOWED)


def imported(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
    return found


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_module_of_the_engine_does_no_io(path: Path) -> None:
    touching = [name for name in imported(path) if any(f"{name}.".startswith(f"{one}.") for one in FORBIDDEN)]
    assert touching == []
    assert "open(" not in path.read_text(encoding="utf-8")
    assert "datetime.now" not in path.read_text(encoding="utf-8")


@pytest.mark.parametrize("path", sorted((PACKAGE / "checks").glob("[a-z]*.py")), ids=lambda path: path.name)
def test_a_check_knows_nothing_of_policies_or_reports(path: Path) -> None:
    ours = {name for name in imported(path) if name.startswith("compliance.policy")}
    assert ours <= {
        "compliance.policy.canonical",
        "compliance.policy.check",
        "compliance.policy.decision",
        "compliance.policy.expressions",
        "compliance.policy.licence",
        "compliance.policy.locked",
        "compliance.policy.pattern",
        "compliance.policy.versions",
        "compliance.policy.wording",
    }
