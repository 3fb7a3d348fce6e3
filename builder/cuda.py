"""CUDA in a project's packages: which each belongs to, that it is the one asked for, and only one copy of it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Final

from packaging.version import Version

from builder.lockfile import LockedWheel
from compliance.bases import BaseDefinition
from compliance.errors import InvalidInput, Location

_SUFFIX: Final = re.compile(r"-cu(?:da)?(?P<major>1[0-9])x?(?=-|$)")
_LOCAL: Final = re.compile(r"cu(?P<major>1[0-9])(?P<minor>[0-9])")
_RUNTIME: Final = "nvidia-cuda-runtime"
_OF_TOOLKIT: Final = frozenset({_RUNTIME, "nvidia-cuda-nvrtc", "nvidia-cuda-cupti", "nvidia-cublas"})
"""NVIDIA's packages that, from CUDA 13 on, have no suffix and whose major version is CUDA's."""


def cuda_of(name: str, version: str) -> int | None:
    """The major version of the CUDA that a package belongs to or carries, by its normalised name and version."""
    if (match := _SUFFIX.search(name)) is not None:
        return int(match["major"])
    if name in _OF_TOOLKIT:
        return Version(version).major
    local = _LOCAL.fullmatch(Version(version).local or "")
    return int(local["major"]) if local is not None else None


def wanted(accelerator: str) -> set[int]:
    """The major version of CUDA that an accelerator stands for; empty for `cpu`."""
    return {int(accelerator.removeprefix("cuda"))} if accelerator.startswith("cuda") else set()


def check_base(accelerator: str | None, base: BaseDefinition, at: Location) -> None:
    """Raise InvalidInput where the base is not for the accelerator."""
    if accelerator is not None and wanted(accelerator) and base.cuda is None:
        raise InvalidInput(
            f"{accelerator} needs a base for CUDA, and {base.name} is not for it",
            at=at,
            remedy="Name a base whose recipe has `cuda`; `mlbuild base list` shows the bases.",
        )


def check_packages(accelerator: str | None, wheels: Sequence[LockedWheel], at: Location) -> None:
    """Raise InvalidInput where packages are not for the accelerator, or hold CUDA twice."""
    if accelerator is None:
        return
    by_major: dict[int, list[LockedWheel]] = {}
    for wheel in wheels:
        major = cuda_of(wheel.name, wheel.version)
        if major is not None:
            by_major.setdefault(major, []).append(wheel)
    if len(by_major) > 1:
        copies = "\n".join(_copy(major, brought) for major, brought in sorted(by_major.items()))
        raise InvalidInput(
            f"the packages bring {len(by_major)} copies of CUDA:\n{copies}",
            at=at,
            remedy="Choose versions of the requirements at the start of these chains that use one CUDA.",
        )
    if strangers := sorted(by_major.keys() - wanted(accelerator)):
        raise InvalidInput(
            f"the accelerator is {accelerator}, and the packages bring another:\n"
            + _copy(strangers[0], by_major[strangers[0]]),
            at=at,
            remedy="Choose builds for it: another version, or an index that has them, in the table of the setting "
            "`accelerators`.",
        )


def required_driver(accelerator: str | None, wheels: Iterable[LockedWheel]) -> dict[str, str]:
    """What the NVIDIA runtime is to know of the packages: the CUDA that the machine's driver must support."""
    if accelerator is None or not wanted(accelerator):
        return {}
    for wheel in wheels:
        if _SUFFIX.sub("", wheel.name) == _RUNTIME:
            version = Version(wheel.version)
            return {"NVIDIA_REQUIRE_CUDA": f"cuda>={version.major}.{version.minor}"}
    return {}


def _copy(major: int, wheels: Sequence[LockedWheel]) -> str:
    lines = (f"  CUDA {major}: {wheel.name} {wheel.version}, by {' > '.join(wheel.chain)}" for wheel in wheels)
    return "\n".join(sorted(lines))
