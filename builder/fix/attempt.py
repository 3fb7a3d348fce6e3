"""A plan that was tried, and what a finding in it asks for next."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from packaging.version import VERSION_PATTERN, Version

from builder.fix.findings import Finding, Judgement
from builder.fix.plan import Plan
from builder.fix.requirement_texts import Bound
from builder.lockfile import LockFile
from builder.project import Project

_VERSION: Final = re.compile(VERSION_PATTERN, re.VERBOSE | re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Attempt:
    """A plan with its lock, and what the policies say of it."""

    plan: Plan
    project: Project
    lock: LockFile
    raw: bytes
    texts: dict[Path, str]
    judgement: Judgement

    @property
    def versions(self) -> Mapping[str, str]:
        return self.lock.versions


def demand(finding: Finding, present: Bound | None, wanted: Bound | None) -> Bound | None:
    """What the package must be to lose the finding; None where no release is known to help."""
    fixed = finding.violation.fixed
    if fixed is not None and _VERSION.fullmatch(fixed):
        highest = max([fixed, *([wanted.version] if wanted and wanted.operator == ">=" else [])], key=Version)
        return Bound(">=", highest)
    if wanted is not None and wanted.operator == ">=":
        return wanted
    if finding.depends_on_version and present is None:
        return Bound("!=", finding.version)
    return None
