"""A project, policies, advisories and an index of wheels, all made in the test; uv and Trivy are the real ones."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from builder.cli.main import main
from tests.builder.wheel_index import Index, make_wheel, serve_index

VULNERABILITIES = """
  - id: no-known-vulnerabilities
    check: vulnerabilities
    effect: deny
    why: So that there is a rule.
    fix: Raise it.
"""


@dataclass
class Workplace:
    """A project and what it is judged by."""

    root: Path
    index: Index
    environment: dict[str, str]

    @property
    def project(self) -> Path:
        return self.root / "project"

    def wheel(self, name: str, *versions: str, requires: Sequence[str] = ()) -> None:
        for version in versions:
            make_wheel(self.index.files, name, version, requires=requires)

    def advisory(self, identifier: str, name: str, fixed: str | None) -> None:
        """A vulnerability of high severity in all versions of a package below `fixed`."""
        events = [{"introduced": "0"}, *([{"fixed": fixed}] if fixed is not None else [])]
        document = {
            "schema_version": "1.7.0",
            "id": identifier,
            "modified": "2026-01-01T00:00:00Z",
            "published": "2025-01-01T00:00:00Z",
            "summary": "It does what it should not",
            "affected": [
                {
                    "package": {"ecosystem": "PyPI", "name": name},
                    "ranges": [{"type": "ECOSYSTEM", "events": events}],
                }
            ],
            "database_specific": {"severity": "HIGH"},
        }
        self._write(f"policies/advisories/{identifier}.json", json.dumps(document))

    def policy(self, rules: str) -> None:
        self._write("policies/all.yaml", f"name: all\ndescription: For everything.\nrules:{rules}")

    def write(self, name: str, text: str) -> Path:
        return self._write(f"project/{name}", text)

    def read(self, name: str) -> str:
        return (self.project / name).read_text()

    def mlbuild(self, *arguments: str) -> Result:
        return CliRunner().invoke(main, ["-q", "-C", str(self.project), *arguments], env=self.environment)

    def fix(self, *arguments: str) -> tuple[int, dict[str, Any]]:
        """The exit code of `mlbuild fix`, and what it says to machines."""
        done = self.mlbuild("fix", "--json", *arguments)
        assert done.stdout, done.output
        return done.exit_code, json.loads(done.stdout)

    def _write(self, name: str, text: str) -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path


@pytest.fixture
def workplace(tmp_path: Path) -> Iterator[Workplace]:
    files = tmp_path / "files"
    files.mkdir()
    with serve_index(files) as index:
        environment = {
            "MLBUILD_CACHE": str(tmp_path / "cache"),
            "MLBUILD_POLICIES": str(tmp_path / "policies"),
            "UV_CACHE_DIR": str(tmp_path / "uv"),
            "UV_DEFAULT_INDEX": index.url,
            "PIP_CONFIG_FILE": os.devnull,
        }
        place = Workplace(tmp_path, index, environment)
        place.policy(VULNERABILITIES)
        place.write(
            "mlbuild.yaml",
            "image: serving/demo\nbase: python3.11-slim  # the usual\nrequirements: [requirements.txt]\n"
            "command: [python, app.py]\n",
        )
        place.write("app.py", "import tools\n")
        place.advisory("TEST-0", "nobody-has-this", None)
        yield place
