"""What a lock is resolved for: the Python and the platform of a base."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Final

from packaging.markers import Environment
from packaging.tags import Tag, compatible_tags, cpython_tags

from builder.errors import BuilderError
from compliance.bases import BaseDefinition

_MACHINES: Final = {"amd64": "x86_64", "arm64": "aarch64"}
_LIBC: Final = re.compile(r"(?:[0-9]+:)?(?P<major>[0-9]+)\.(?P<minor>[0-9]+)")
_PLATFORM: Final = re.compile(r"(?P<machine>x86_64|aarch64)-manylinux_(?P<major>[0-9]+)_(?P<minor>[0-9]+)")
_PYTHON: Final = re.compile(r"3\.[0-9]+")
_OLDEST_GLIBC: Final = {"x86_64": 5, "aarch64": 17}
_KNOWN_TO_UV: Final = (17, 28, *range(31, 41))
"""The minor versions of glibc 2 that uv has a platform for. That of Debian 13, 2.41, is not among them."""

_LEGACY_TAGS: Final = {17: "manylinux2014", 12: "manylinux2010", 5: "manylinux1"}


@dataclass(frozen=True, slots=True)
class Target:
    """`python` is `3.11`; `machine` is `x86_64` or `aarch64`; `glibc` the minor version of glibc 2."""

    python: str
    machine: str
    glibc: int

    @classmethod
    def of(cls, base: BaseDefinition) -> Target:
        """The target that a base is. Raises BuilderError for one that no wheel can be chosen for."""
        machine = _MACHINES.get(base.architecture)
        libc = next((package.version for package in base.packages if package.name == "libc6"), "")
        match = _LIBC.match(libc)
        if machine is None or match is None or match["major"] != "2":
            raise BuilderError(
                f"the base {base.base.name} has architecture {base.architecture!r} and libc6 {libc or 'absent'!r}",
                remedy="Wheels can be chosen for amd64 and arm64 bases with glibc 2 (Debian's libc6).",
            )
        return cls(base.python, machine, int(match["minor"]))

    @classmethod
    def parse(cls, python: str, platform: str) -> Target | None:
        """The target that a lock names, or None when the two texts are not one."""
        match = _PLATFORM.fullmatch(platform)
        if match is None or match["major"] != "2" or not _PYTHON.fullmatch(python):
            return None
        return cls(python, match["machine"], int(match["minor"]))

    @property
    def architecture(self) -> str:
        """As images name it: `amd64` or `arm64`."""
        return next(name for name, machine in _MACHINES.items() if machine == self.machine)

    @property
    def platform(self) -> str:
        """As locks name it: `x86_64-manylinux_2_36`."""
        return f"{self.machine}-manylinux_2_{self.glibc}"

    @property
    def uv_platform(self) -> str:
        """The newest platform known to uv that is no newer. Which wheel is taken is decided by `tags`."""
        glibc = max((minor for minor in _KNOWN_TO_UV if minor <= self.glibc), default=_KNOWN_TO_UV[0])
        return f"{self.machine}-manylinux_2_{glibc}"

    @property
    def markers(self) -> Environment:
        """The environment for markers (PEP 508). Patch version 0 is assumed, as uv does."""
        full = f"{self.python}.0"
        return {
            "implementation_name": "cpython",
            "implementation_version": full,
            "os_name": "posix",
            "platform_machine": self.machine,
            "platform_python_implementation": "CPython",
            "platform_release": "",
            "platform_system": "Linux",
            "platform_version": "",
            "python_full_version": full,
            "python_version": self.python,
            "sys_platform": "linux",
        }

    @property
    def tags(self) -> tuple[Tag, ...]:
        """The wheel tags that fit, best first (PEP 425, PEP 600)."""
        return _tags(self)


def marker_of(machine: str) -> str:
    """The marker (PEP 508) that holds on one machine only."""
    return f"platform_machine == '{machine}'"


@cache
def _tags(target: Target) -> tuple[Tag, ...]:
    version = tuple(int(part) for part in target.python.split("."))
    interpreter = f"cp{version[0]}{version[1]}"
    platforms = list(_platforms(target))
    return (
        *cpython_tags(version, [interpreter], platforms),
        *compatible_tags(version, interpreter, platforms),
    )


def _platforms(target: Target) -> Iterator[str]:
    for minor in range(target.glibc, _OLDEST_GLIBC[target.machine] - 1, -1):
        yield f"manylinux_2_{minor}_{target.machine}"
        if minor in _LEGACY_TAGS and (target.machine == "x86_64" or minor == 17):
            yield f"{_LEGACY_TAGS[minor]}_{target.machine}"
    yield f"linux_{target.machine}"
