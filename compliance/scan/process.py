"""Runs Trivy: offline, without the user's own configuration, and with its errors made readable."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from compliance.errors import Unavailable

OFFLINE: Final = ("--skip-db-update", "--skip-java-db-update", "--offline-scan")
QUIET: Final = ("--quiet", "--skip-version-check", "--disable-telemetry", "--config", "")
JSON: Final = ("--format", "json", "--ignorefile", "")


def run(binary: Path, arguments: Sequence[str | Path], *, timeout: float) -> bytes:
    """Run Trivy and return what it printed. `timeout` is in seconds.

    Variables named TRIVY_… are kept from it, and it starts in an empty directory, so that neither the
    environment nor a file that lies about changes what it finds. Raises Unavailable, with the last line
    Trivy said, when it fails, hangs or cannot be started.
    """
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TRIVY_")}
    with tempfile.TemporaryDirectory(prefix="mlbuild-trivy-") as nowhere:
        try:
            done = subprocess.run(
                [*_ending_with_us(binary), binary, *arguments],
                cwd=nowhere,
                env=environment,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=timeout,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise Unavailable(
                f"Trivy did not finish within {timeout:.0f} s ({arguments[0]})",
                remedy="Try again on a machine with less to do; a very large image may need its layers split.",
            ) from error
        except OSError as error:
            raise Unavailable(
                f"Trivy cannot be started: {binary}: {error.strerror}",
                remedy="Install Trivy and put it on PATH, or name the program with the setting `trivy`.",
            ) from error
    if done.returncode != 0:
        raise Unavailable(
            f"Trivy failed ({arguments[0]}): {last_line(done.stderr)}",
            remedy=f"Run `{binary} --version` to see that it works; its message says what it lacks.",
        )
    return done.stdout


def _ending_with_us(binary: Path) -> tuple[str, ...]:
    """What makes the kernel end a program when we are killed: Trivy keeps others from its cache while it runs."""
    setpriv = shutil.which("setpriv")
    if setpriv is None or not os.access(binary, os.X_OK):
        return ()
    return (setpriv, "--pdeathsig", "KILL", "--")


def last_line(stderr: bytes) -> str:
    """The last thing Trivy said, without its time stamp and level."""
    lines = [line for line in stderr.decode(errors="replace").splitlines() if line.strip()]
    if not lines:
        return "it said nothing"
    return lines[-1].split("\t")[-1].strip().removeprefix("* ")
