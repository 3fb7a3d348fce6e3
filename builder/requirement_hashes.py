"""The `--hash` of requirement files: what is locked must be one of the files that a line allows, as with pip."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final, Protocol, cast

from builder.pylock import SHA256
from builder.requirements import Asked, Inputs
from builder.target import Target
from compliance.errors import InvalidInput, Location

_HASH: Final = re.compile(r"\s--hash(?:\s*=\s*|\s+)(?P<algorithm>[^\s:]*):?(?P<value>\S*)")


class File(Protocol):
    """What is locked of a package: its wheel, or its source."""

    @property
    def name(self) -> str: ...

    @property
    def filename(self) -> str: ...

    @property
    def sha256(self) -> str: ...


def read_hashes(options: str, at: Location) -> frozenset[str]:
    """The sha256 values among the options of a line; none where it has no `--hash`.

    Raises InvalidInput for hashes that a lock cannot be compared with.
    """
    found = [match.groups() for match in _HASH.finditer(options)]
    values = [value.lower() for algorithm, value in found if algorithm == "sha256"]
    wrong = next((value for value in values if not SHA256.fullmatch(value)), None)
    if wrong is not None:
        raise InvalidInput(
            f"{wrong!r} is not a sha256", at=at, remedy="Write --hash=sha256: and 64 hexadecimal digits."
        )
    if found and not values:
        raise InvalidInput(
            f"allows files by {found[0][0] or 'no hash'} alone, and locks are by sha256",
            at=at,
            remedy="Write hashes by sha256, as `uv export` and `pip-compile --generate-hashes` do.",
        )
    return frozenset(values)


def check_hashes(inputs: Inputs, files: Iterable[File], target: Target) -> None:
    """Raise InvalidInput, with the line, for a file that a requirement for `target` does not allow."""
    for asked, file in _not_allowed(inputs, files, target):
        raise InvalidInput(
            f"{file.filename} has sha256 {file.sha256}, which is not among the hashes of {asked.name} here",
            at=asked.at,
            remedy="Look at that file: somebody may have replaced or added it on the index. Where it is right, "
            "write the hashes anew, as `uv export` and `pip-compile --generate-hashes` do.",
        )


def allows(inputs: Inputs, files: Iterable[File], target: Target) -> bool:
    """Whether the requirements allow all of these files."""
    return next(_not_allowed(inputs, files, target), None) is None


def _not_allowed(inputs: Inputs, files: Iterable[File], target: Target) -> Iterator[tuple[Asked, File]]:
    environment = cast("dict[str, str]", dict(target.markers))
    locked = {file.name: file for file in files}
    for asked in (*inputs.asked, *inputs.constraints):
        marker, file = asked.requirement.marker, locked.get(asked.name)
        if not asked.hashes or file is None or file.sha256 in asked.hashes:
            continue
        if marker is None or marker.evaluate(environment):
            yield asked, file
