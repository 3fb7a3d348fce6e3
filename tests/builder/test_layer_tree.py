from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builder.layers.inputs import Environment
from builder.layers.tar import Entry
from builder.layers.tree import cut, measure_tree

if TYPE_CHECKING:
    from tests.builder.conftest import MakeWheel

LIMIT = 100_000
PATHS = st.from_regex(r"site/[a-c]{1,3}/[a-z]{1,4}", fullmatch=True)


def weight(part: tuple[Entry, ...]) -> int:
    return sum(-(-entry.size // 512) * 512 + 2048 for entry in part)


@given(st.dictionaries(PATHS, st.integers(0, 90_000), max_size=40))
def test_no_part_is_over_the_limit_and_nothing_is_lost(sizes: dict[str, int]) -> None:
    entries = [Entry(path, size=size) for path, size in sizes.items()]
    entries += [Entry(f"site/a-1.dist-info/{name}", size=5_000) for name in ("METADATA", "RECORD")]
    parts = cut(entries, LIMIT)
    assert all(weight(tuple(part)) <= LIMIT for part in parts)
    assert all(parts)
    assert sorted((entry for part in parts for entry in part), key=lambda entry: entry.path) == sorted(
        entries, key=lambda entry: entry.path
    )
    assert {entry.path for entry in parts[-1]} >= {"site/a-1.dist-info/METADATA", "site/a-1.dist-info/RECORD"}
    assert cut(entries[::-1], LIMIT) == parts


def test_file_over_the_limit_is_a_part_by_itself() -> None:
    entries = [Entry("a", size=10), Entry("b", size=2 * LIMIT), Entry("c", size=10), Entry("x.dist-info/RECORD")]
    assert [[entry.path for entry in part] for part in cut(entries, LIMIT)] == [
        ["a"],
        ["b"],
        ["c", "x.dist-info/RECORD"],
    ]


@pytest.mark.parametrize(("count", "parts"), [(1, 1), (2, 3), (4, 5)])
def test_wheel_is_measured_by_what_it_installs(make_wheel: MakeWheel, count: int, parts: int) -> None:
    wheel = make_wheel({f"demo/{number}.bin": bytes(90_000) for number in range(count)})
    tree = measure_tree(wheel, Environment(), LIMIT)
    assert tree.parts == parts
    assert count * 90_000 < tree.size < count * 90_000 + 10 * 2048 + 5000
