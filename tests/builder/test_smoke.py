"""What runs inside an image, run by the Python of the tests; in an image it is an acceptance test."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from builder.smoke import SmokeResult, SmokeTest, command_tests, import_tests, run_tests


class Here:
    """Runs programs on this machine, as a container does in an image."""

    def __init__(self, path: Path | None = None) -> None:
        self.environment = {"PYTHONPATH": str(path)} if path else {}

    def lines(self, command: Sequence[str]) -> Iterator[str]:
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True, check=True)
        yield from done.stdout.splitlines(keepends=True)


def run(*commands: tuple[str, ...], seconds: float = 120) -> list[SmokeResult]:
    return list(run_tests(Here(), command_tests(commands), sys.executable, seconds=seconds))  # type: ignore[arg-type]


def test_results_tell_how_each_command_ended() -> None:
    program = "import os, sys, signal; print('said'); sys.stdout.flush(); print('why', file=sys.stderr); {}"
    good, bad, killed, missing = run(
        (sys.executable, "-c", program.format("sys.exit(0)")),
        (sys.executable, "-c", program.format("sys.exit(3)")),
        (sys.executable, "-c", program.format("os.kill(os.getpid(), signal.SIGSEGV)")),
        ("/no/such/program",),
    )
    assert (good.passed, good.exit_code, good.last_lines()) == (True, 0, ("said", "why"))
    assert (bad.passed, bad.reason, bad.last_lines(1)) == (False, "exit code 3", ("why",))
    assert (killed.passed, killed.reason) == (False, "ended by signal 11")
    assert missing.passed is False
    assert "/no/such/program: No such file or directory" in missing.output


def test_a_command_that_does_not_end_is_ended_and_the_next_one_runs() -> None:
    slow, after = run(("sh", "-c", "echo on; exec sleep 600"), ("true",), seconds=3)
    assert (slow.exit_code, slow.passed, slow.last_lines()) == (None, False, ("on",))
    assert slow.reason == "did not end within 3 s"
    assert after.passed


def test_output_is_bounded_and_its_end_is_kept() -> None:
    (result,) = run((sys.executable, "-c", "print('x' * 100_000); print('the end'); raise SystemExit(1)"))
    assert len(result.output) < 20_000
    assert result.last_lines(1) == ("the end",)


def test_what_was_asked_for_by_name_is_imported(tmp_path: Path) -> None:
    for name, requested in (("black", True), ("hidden", False), ("scripts-only", True)):
        info = tmp_path / f"{name.replace('-', '_')}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        files = [] if name == "scripts-only" else [f"{name}/__init__.py", f"{name}d.py", "../../../bin/x.py"]
        (info / "RECORD").write_text("".join(f"{file},,\n" for file in files))
        if requested:
            (info / "REQUESTED").touch()
    (tmp_path / "black").mkdir()
    (tmp_path / "black" / "__init__.py").touch()
    (tmp_path / "blackd.py").write_text("import no_such_extra\n")
    here = Here(tmp_path)
    found = import_tests(here, sys.executable)  # type: ignore[arg-type]
    own = [test for test in found if test.subject.startswith(("black", "hidden", "scripts"))]
    assert own == [
        SmokeTest("import black", "black 1.0", (sys.executable, "-c", "import black"), True),
        SmokeTest("import blackd", "black 1.0", (sys.executable, "-c", "import blackd"), False),
    ]
    good, extra = run_tests(here, own, sys.executable, seconds=120)  # type: ignore[arg-type]
    assert good.ran
    assert not extra.ran
    assert extra.passed
    assert "no_such_extra" in extra.last_lines(1)[0]


def test_reports_are_one_json_line_each() -> None:
    """Whatever a command prints, since its output is captured."""
    printed = json.dumps({"exit_code": 0, "seconds": 0, "output": ""})
    (result,) = run((sys.executable, "-c", f"print({printed!r}); raise SystemExit(1)"))
    assert result.exit_code == 1


@pytest.mark.parametrize("words", [("python", "-c", "print('a b')")])
def test_a_command_is_named_as_a_shell_would_take_it(words: tuple[str, ...]) -> None:
    (test,) = command_tests([words])
    assert test.name == """python -c 'print('"'"'a b'"'"')'"""
