"""The arrows between the rooms: builder -> compliance <- gate, and no I/O where policies are judged.

Imports are read from the source, those inside functions too, so nothing is imported here to find out.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
ROOMS = ("builder", "compliance", "gate")

FORBIDDEN = {
    "builder": {"gate": "they meet over HTTP"},
    "gate": {"builder": "they meet over HTTP"},
    "compliance": {
        "builder": "the common language knows no speaker",
        "gate": "the common language knows no speaker",
    },
}

POLICY = "compliance.policy"

FILES = {
    "compliance.policy.loader": "reads policies and waivers",
    "compliance.policy.policy_document": "makes a policy of a document that was read",
    "compliance.policy.waiver_document": "makes a waiver of a document that was read",
    "compliance.policy.testing": "reads the cases in policies/tests/ and runs them",
    "compliance.policy.schema": "writes schema.json and the reference page",
}
"""The modules of the policy package that files are read with, and what for. No other module may import them."""

PURE_LIBRARIES = {
    *("__future__", "collections", "contextlib", "dataclasses", "datetime", "difflib", "enum", "fnmatch"),
    *("functools", "hashlib", "inspect", "itertools", "json", "math", "operator", "re", "string", "textwrap"),
    *("html", "types", "typing", "unicodedata", "urllib.parse", "xml.etree.ElementTree"),
    *("boolean", "debian.debian_support", "license_expression", "packageurl", "packaging", "pydantic", "rich"),
}
PURE_NEIGHBOURS = {
    *("compliance.errors", "compliance.evidence", "compliance.instants", "compliance.inventory"),
    *("compliance.oci.digest", "compliance.oci.manifest", "compliance.oci.reference", "compliance.strict_json"),
}
ALLOWED_BESIDES = {
    "compliance.policy.all_checks": {"importlib", "pkgutil"},  # finds the checks, one file each
    "compliance.policy.expressions": {"cel_expr_python"},  # evaluates CEL, which can reach nothing
}
DOING_IO = {
    *("os", "io", "shutil", "socket", "sqlite3", "subprocess", "tempfile", "urllib.request"),
    *("aiohttp", "docker", "fastapi", "httpx", "requests", "sqlalchemy"),
}
REACHING_OUT = {"open", "print", "input", "exec", "eval", "compile", "__import__"}
CLOCKS = {"now", "utcnow", "today"}


@dataclass(frozen=True)
class Module:
    name: str
    path: Path

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.path.read_text(encoding="utf-8"), str(self.path))

    @cached_property
    def imports(self) -> tuple[tuple[str, int], ...]:
        """Every imported name, absolute, with its line: `from a import b` is `a.b`."""
        return tuple(self._imports())

    def _imports(self) -> Iterator[tuple[str, int]]:
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                for alias in node.names:
                    yield alias.name, node.lineno
            elif isinstance(node, ast.ImportFrom):
                package = self._package(node.level) if node.level else ""
                origin = ".".join(part for part in (package, node.module or "") if part)
                for alias in node.names:
                    yield f"{origin}.{alias.name}", node.lineno

    def _package(self, level: int) -> str:
        parts = self.name.split(".")
        own = parts if self.path.name == "__init__.py" else parts[:-1]
        return ".".join(own[: len(own) - level + 1])

    def called(self) -> Iterator[tuple[str, int]]:
        """The plain name, or the last attribute, of whatever is called."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Call):
                if isinstance(node.func, ast.Name):
                    yield node.func.id, node.lineno
                elif isinstance(node.func, ast.Attribute):
                    yield f".{node.func.attr}", node.lineno


def modules(room: str) -> list[Module]:
    found = []
    for path in sorted((ROOT / room).rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        found.append(Module(".".join(parts).removesuffix(".__init__"), path))
    return found


EVERY = [module for room in ROOMS for module in modules(room)]
JUDGING = [module for module in modules("compliance/policy") if module.name not in FILES]


def within(name: str, packages: set[str]) -> bool:
    return any(name == package or name.startswith(package + ".") for package in packages)


def test_imports_are_found_wherever_they_stand(tmp_path: Path) -> None:
    source = tmp_path / "module.py"
    source.write_text(
        "import os.path, gate\n"
        "from . import near\n"
        "from ..far import thing as other\n"
        "def late():\n"
        "    from builder.cli import main\n"
        "    datetime.now(), open('x')\n"
    )
    module = Module("a.b.module", source)
    assert module.imports == (
        ("os.path", 1),
        ("gate", 1),
        ("a.b.near", 2),
        ("a.far.thing", 3),
        ("builder.cli.main", 5),
    )
    assert set(module.called()) == {(".now", 6), ("open", 6)}


def test_every_room_is_looked_into() -> None:
    for room in ROOMS:
        assert len([module for module in EVERY if module.name.split(".")[0] == room]) > 5
    assert len(JUDGING) > 10
    assert {module.name for module in EVERY} >= FILES.keys()


@pytest.mark.parametrize("module", EVERY, ids=lambda module: module.name)
def test_rooms_import_only_along_the_arrows(module: Module) -> None:
    forbidden = FORBIDDEN[module.name.split(".")[0]]
    wrong = [
        f"{module.path}:{line} imports {name}: {reason}"
        for name, line in module.imports
        for room, reason in forbidden.items()
        if within(name, {room})
    ]
    assert wrong == []


@pytest.mark.parametrize("module", EVERY, ids=lambda module: module.name)
def test_no_room_imports_tests_or_examples(module: Module) -> None:
    assert [name for name, _ in module.imports if within(name, {"tests", "examples", "benchmarks"})] == []


@pytest.mark.parametrize("module", JUDGING, ids=lambda module: module.name)
def test_judging_imports_only_what_does_no_io(module: Module) -> None:
    allowed = PURE_LIBRARIES | PURE_NEIGHBOURS | {POLICY} | ALLOWED_BESIDES.get(module.name, set())
    wrong = [
        f"{module.path}:{line} imports {name}"
        for name, line in module.imports
        if not within(name, allowed) or within(name, set(FILES))
    ]
    assert wrong == []


@pytest.mark.parametrize("module", JUDGING, ids=lambda module: module.name)
def test_judging_opens_nothing_and_knows_no_clock(module: Module) -> None:
    reaching = REACHING_OUT | {f".{clock}" for clock in CLOCKS} | {".read_text", ".read_bytes", ".write_text"}
    assert [f"{module.path}:{line} calls {name}" for name, line in module.called() if name in reaching] == []


@pytest.mark.parametrize("name", sorted(PURE_NEIGHBOURS))
def test_what_judging_leans_on_does_no_io_either(name: str) -> None:
    (module,) = [module for module in EVERY if module.name == name]
    wrong = [
        imported
        for imported, _ in module.imports
        if within(imported, DOING_IO)
        or (within(imported, {"compliance"}) and not within(imported, PURE_NEIGHBOURS))
    ]
    assert wrong == []
    assert [called for called, _ in module.called() if called in REACHING_OUT] == []


def test_tests_do_not_replace_what_they_test() -> None:
    """Time, keys, registry and scanner are arguments; only what a process inherits is set by the tests."""
    wrong = []
    for path in sorted((ROOT / "tests").rglob("*.py")):
        module = Module(path.stem, path)
        wrong += [f"{path}:{line}" for name, line in module.imports if within(name, {"unittest.mock", "mock"})]
        wrong += [
            f"{path}:{node.lineno} uses monkeypatch.{node.attr}"
            for node in ast.walk(module.tree)
            if isinstance(node, ast.Attribute)
            and isinstance(node.value, ast.Name)
            and node.value.id == "monkeypatch"
            and node.attr not in {"setenv", "delenv", "chdir"}
        ]
    assert wrong == []
