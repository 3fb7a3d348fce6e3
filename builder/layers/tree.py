"""How large the tree of a wheel is, and where it is cut when it is too large for one layer."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from builder.layers.archive import open_archive
from builder.layers.inputs import Environment, WheelInput
from builder.layers.plan import Tree
from builder.layers.tar import Entry
from builder.layers.wheel import open_wheel

_BLOCK: Final = 512
_MEMBER: Final = 4 * _BLOCK  # header, pax header where needed, and a share of the directories above


def measure_tree(wheel: WheelInput, environment: Environment, limit: int) -> Tree:
    """What a wheel installs, from its zip directory alone unless it is over the limit.

    Raises BuilderError as open_wheel does.
    """
    with open_archive(wheel.path, str(wheel)) as archive:
        size = sum(_weight(member.file_size) for member in archive.members.values())
    if size <= limit:
        return Tree(size)
    with open_wheel(wheel, environment) as entries:
        return Tree(size, len(cut(entries, limit)))


def cut(entries: Iterable[Entry], limit: int) -> list[Sequence[Entry]]:
    """A wheel's entries in parts of at most `limit` bytes, in the order of their paths.

    What is in its `.dist-info` comes last, whole. A file that is larger than the limit is a part by itself.
    """
    ordered = sorted(entries, key=lambda entry: (_is_metadata(entry), entry.path.split("/")))
    metadata = sum(_weight(entry.size) for entry in ordered if _is_metadata(entry))
    parts: list[list[Entry]] = [[]]
    held = 0
    for entry in ordered:
        weight = _weight(entry.size)
        begins = _is_metadata(entry) and not any(map(_is_metadata, parts[-1]))
        if parts[-1] and held + (metadata if begins else weight) > limit and (begins or not _is_metadata(entry)):
            parts.append([])
            held = 0
        parts[-1].append(entry)
        held += weight
    return [tuple(part) for part in parts]


def _is_metadata(entry: Entry) -> bool:
    return ".dist-info/" in entry.path


def _weight(size: int) -> int:
    return -(-size // _BLOCK) * _BLOCK + _MEMBER
