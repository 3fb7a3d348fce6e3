"""Runs the steps of a workflow as GitHub's runner does: every `run:` by bash, expressions, outputs, conditions.

What is done by actions of others is done here in their place: a checkout puts a directory where it belongs, and an
upload of SARIF keeps the files.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

ROOT = Path(__file__).resolve().parents[2]

_EXPRESSION = re.compile(r"\$\{\{(.*?)\}\}", re.DOTALL)
_TOKEN = re.compile(r"'(?:[^']|'')*'|&&|\|\||!=|==|!|[()]|,|[A-Za-z_][\w-]*(?:\.[\w-]+)*|\s+")
_OPERATORS = {"&&": " and ", "||": " or ", "!": " not ", "==": "==", "!=": "!="}


def read_yaml(path: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = YAML(typ="safe").load(path.read_text(encoding="utf-8"))
    return loaded


@dataclass
class Run:
    """A job under way. `contexts` are the values of expressions by their full names."""

    workspace: Path
    runner: Path
    environment: dict[str, str]
    contexts: dict[str, Any]
    checkouts: Mapping[str, Path]
    """What a checkout with such a `path:` finds; `.` for one without."""
    log: list[str] = field(default_factory=list)
    sarif: list[dict[str, Any]] = field(default_factory=list)
    ran: list[str] = field(default_factory=list)
    failed: bool = False

    @property
    def summary(self) -> str:
        path = self.runner / "summary.md"
        return path.read_text() if path.exists() else ""

    @property
    def output(self) -> str:
        return "".join(self.log)

    def value(self, text: Any) -> Any:
        """`text` with its expressions replaced; the value itself where it is one expression alone."""
        if not isinstance(text, str):
            return text
        alone = _EXPRESSION.fullmatch(text.strip())
        if alone and "}}" not in alone[1]:
            return self._evaluated(alone[1])
        return _EXPRESSION.sub(lambda match: _said(self._evaluated(match[1])), text)

    def _evaluated(self, expression: str) -> Any:
        python = ""
        rest = expression.strip()
        while rest:
            match = _TOKEN.match(rest)
            assert match, f"not an expression that these tests know: {expression!r}"
            token, rest = match[0], rest[match.end() :]
            if token in _OPERATORS:
                python += _OPERATORS[token]
            elif token[0].isalpha() and not rest.startswith("("):
                python += repr(_said(self.contexts.get(token, "")))
            else:
                python += token
        names = {
            "always": lambda: True,
            "cancelled": lambda: False,
            "format": lambda text, *values: text.format(*values),
        }
        return eval(python, {"__builtins__": {}}, names)  # noqa: S307 - of this repository's own files

    def steps(self, steps: list[dict[str, Any]], action: Path | None = None) -> None:
        for step in steps:
            condition = step.get("if")
            text = str(condition) if condition is not None else "true"
            wanted = bool(self.value(text if "${{" in text else f"${{{{ {text} }}}}")) if condition else True
            regardless = "always()" in text or "cancelled()" in text
            if wanted and (regardless or not self.failed):
                self._step(step, action)

    def _step(self, step: dict[str, Any], action: Path | None) -> None:
        given = {name: self.value(value) for name, value in (step.get("with") or {}).items()}
        uses = str(step.get("uses", ""))
        if uses.startswith("$/"):
            self._action(ROOT / uses.removeprefix("$/"), given, step.get("id", ""))
        elif uses.startswith("actions/checkout@"):
            where = given.get("path", ".")
            shutil.copytree(self.checkouts[where], self.workspace / where, dirs_exist_ok=True)
        elif uses.startswith("github/codeql-action/upload-sarif@"):
            files = sorted(Path(given["sarif_file"]).glob("*.sarif"))
            assert files, "there is nothing to upload"
            self.sarif += [json.loads(file.read_bytes()) for file in files]
        else:
            assert not uses, f"these tests do not know {uses}"
            self._bash(step, action)

    def _action(self, folder: Path, given: dict[str, Any], identifier: str) -> None:
        definition = read_yaml(folder / "action.yml")
        outer = self.contexts
        inputs = {
            name: given.get(name) or one.get("default", "") for name, one in definition.get("inputs", {}).items()
        }
        kept = {name: value for name, value in outer.items() if not name.startswith(("inputs.", "steps."))}
        self.contexts = kept | {f"inputs.{name}": _said(value) for name, value in inputs.items()}
        self.steps(definition["runs"]["steps"], folder)
        outputs = {name: self.value(one["value"]) for name, one in definition.get("outputs", {}).items()}
        self.contexts = outer | {f"steps.{identifier}.outputs.{name}": one for name, one in outputs.items()}

    def _bash(self, step: dict[str, Any], action: Path | None) -> None:
        said, path = self.runner / "output", self.runner / "path"
        said.write_text("")
        path.write_text("")
        environment = {
            **self.environment,
            "GITHUB_OUTPUT": str(said),
            "GITHUB_PATH": str(path),
            "GITHUB_STEP_SUMMARY": str(self.runner / "summary.md"),
            "GITHUB_WORKSPACE": str(self.workspace),
            **({"GITHUB_ACTION_PATH": str(action)} if action else {}),
            **{name: _said(self.value(value)) for name, value in (step.get("env") or {}).items()},
        }
        script = self.runner / "step.sh"
        script.write_text(step["run"])
        assert "${{" not in step["run"], "an expression in a script can be made to be another script"
        done = subprocess.run(
            ["bash", "--noprofile", "--norc", "-eo", "pipefail", script],
            cwd=self.workspace / str(self.value(step.get("working-directory", "."))),
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=600,
        )
        self.ran.append(step["name"])
        self.log.append(f"=== {step['name']}\n{done.stdout}")
        self.failed |= done.returncode != 0
        if done.returncode:
            self.log.append(f"Error: Process completed with exit code {done.returncode}.\n")
        for line in path.read_text().splitlines():
            self.environment["PATH"] = f"{line}:{self.environment['PATH']}"
        for line in said.read_text().splitlines():
            name, _, value = line.partition("=")
            self.contexts[f"steps.{step.get('id')}.outputs.{name}"] = value


def _said(value: Any) -> str:
    """A value as GitHub writes it into text."""
    return {True: "true", False: "false", None: ""}.get(value, value) if not isinstance(value, str) else value


def repository(source: Path, target: Path) -> Path:
    """A copy of a directory as a git checkout."""
    shutil.copytree(source, target, ignore=shutil.ignore_patterns(".mlbuild"))
    subprocess.run(["git", "init", "--quiet", target], check=True)
    return target
