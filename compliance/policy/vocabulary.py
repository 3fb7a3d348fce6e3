"""The names that expressions may use, and what each has: the evidence, documented."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from compliance import evidence, inventory

ITEM: Final = "item"


@dataclass(frozen=True, slots=True)
class Variable:
    """One name: what it is, whether there are many of it, and the members of it or of each."""

    meaning: str
    members: tuple[str, ...]
    many: bool = False

    def one(self) -> Variable:
        return replace(self, many=False)


def _of(kind: type[Any], meaning: str, *, many: bool = False, without: frozenset[str] = frozenset()) -> Variable:
    members = tuple(field.name for field in dataclasses.fields(kind) if field.name not in without)
    return Variable(meaning, members, many)


VARIABLES: Final[Mapping[str, Variable]] = {
    "subject": _of(evidence.Subject, "What is judged: an image, or a lock, whose digest is null."),
    "base": _of(inventory.Base, "The curated base image.", without=frozenset({"diff_ids"})),
    "os": _of(inventory.OperatingSystem, "The operating system, as in os-release."),
    "packages": _of(inventory.Package, "Every installed package.", many=True),
    "settings": _of(inventory.Settings, "What the image makes a runtime do; labels are a map."),
    "locked": _of(evidence.LockedPackage, "Every package of the lock.", many=True),
    "vulnerabilities": _of(evidence.Vulnerability, "Every known vulnerability of a package.", many=True),
    "databases": _of(evidence.Database, "The vulnerability databases that were used.", many=True),
    "secrets": _of(evidence.Secret, "Credentials in files.", many=True),
    "models": _of(inventory.ModelFile, "Model files, recognised by content.", many=True),
    "sbom": _of(evidence.Sbom, "The SBOM that came with the image."),
    "provenance": _of(evidence.Provenance, "Who built the image, from what, signed by which key."),
    "layers": _of(inventory.Layer, "The layers from the bottom up; size in bytes.", many=True),
    "privileged": _of(inventory.PrivilegedFile, "Files that run with rights not their caller's.", many=True),
    "build": _of(evidence.Build, "The commands that ran in the build, and the packages built from source."),
}
