from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builder.errors import BuilderError
from builder.layers.inputs import WheelInput
from builder.layers.plan import BIG, BUCKETS, MAX_LAYERS, Tree, bucket, overlay, plan_layers
from builder.layers.tar import of_bytes
from compliance.oci.digest import Digest

NAMES = st.from_regex(r"[a-z]{1,6}", fullmatch=True)


class Wheels:
    """Wheels that are only names and sizes: sparse files, which is all that a plan looks at."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def __call__(self, name: str, size: int = 1000, version: str = "1.0") -> WheelInput:
        path = self._root / f"{name}-{version}-{size}.whl"
        with path.open("wb") as stream:
            stream.truncate(size)
        return WheelInput(path, name, version, Digest.of(name.encode()).hex)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Wheels:
    return Wheels(tmp_path_factory.mktemp("wheels"))


def names(wheels: Sequence[WheelInput], base_layers: int = 1) -> list[list[str]]:
    return [[wheel.name for wheel in layer.wheels] for layer in plan_layers(wheels, base_layers=base_layers)]


def test_big_wheels_lie_alone_and_lowest_the_heaviest_first(wheel: Wheels) -> None:
    plan = names([wheel("six"), wheel("numpy", BIG), wheel("torch", BIG * 4), wheel("scipy", BIG * 2)])
    assert plan == [["torch"], ["scipy"], ["numpy"], ["six"]]


@given(st.data())
def test_order_of_the_lock_does_not_matter(wheel: Wheels, data: st.DataObject) -> None:
    some = data.draw(st.dictionaries(NAMES, st.sampled_from([10, BIG, BIG + 1]), max_size=30))
    wheels = [wheel(name, size) for name, size in some.items()]
    assert names(data.draw(st.permutations(wheels))) == names(wheels)


@given(st.sets(NAMES, min_size=1, max_size=40), st.data())
def test_one_changed_dependency_changes_one_layer(wheel: Wheels, some: set[str], data: st.DataObject) -> None:
    before = plan_layers([wheel(name) for name in some], base_layers=1)
    changed = data.draw(st.sampled_from(sorted(some)))
    after = plan_layers([wheel(name, version="2.0" if name == changed else "1.0") for name in some], base_layers=1)
    assert len(before) == len(after)
    assert sum(old != new for old, new in zip(before, after, strict=True)) == 1


@given(st.sets(NAMES, max_size=40), st.from_regex(r"[a-z]{7}", fullmatch=True))
def test_one_more_dependency_changes_or_adds_one_layer(wheel: Wheels, some: set[str], more: str) -> None:
    before = plan_layers([wheel(name) for name in some], base_layers=1)
    after = plan_layers([wheel(name) for name in {*some, more}], base_layers=1)
    assert len(set(after) - set(before)) == 1


def test_bucket_goes_by_the_normalised_name(wheel: Wheels) -> None:
    assert bucket("Zope.Interface") == bucket("zope-interface") == bucket("zope_interface")


def test_bucket_of_a_name_never_changes() -> None:
    """Changes here reorder every image: raise LAYOUT_VERSION with them."""
    assert [bucket(name) for name in ("six", "numpy", "fastapi", "uvicorn")] == [4, 3, 2, 2]


@pytest.mark.parametrize("base_layers", [0, 1, 20, MAX_LAYERS - BUCKETS - 1])
def test_layers_stay_within_the_limit(wheel: Wheels, base_layers: int) -> None:
    wheels = [wheel(f"big{number}", BIG + number) for number in range(60)]
    wheels += [wheel(f"small{number}") for number in range(60)]
    plan = plan_layers(wheels, base_layers=base_layers)
    assert base_layers + len(plan) + 1 <= MAX_LAYERS
    assert sum(len(layer.wheels) for layer in plan) == 120


def test_lightest_big_wheels_give_way(wheel: Wheels) -> None:
    wheels = [wheel(f"big{number}", BIG + number) for number in range(50)]
    room = MAX_LAYERS - BUCKETS - 2
    alone, spread = names(wheels)[:room], names(wheels)[room:]
    assert alone == [[f"big{number}"] for number in range(49, 49 - room, -1)]
    assert sorted(name for layer in spread for name in layer) == [f"big{number}" for number in range(50 - room)]


def test_base_that_leaves_no_room_is_refused(wheel: Wheels) -> None:
    with pytest.raises(BuilderError, match="a base of 48 layers"):
        plan_layers([wheel("six")], base_layers=48)


def test_project_twice_is_refused(wheel: Wheels) -> None:
    with pytest.raises(BuilderError, match="zope-interface is to be installed twice"):
        plan_layers([wheel("zope.interface"), wheel("Zope_Interface")], base_layers=1)


def test_no_wheels_need_no_layers() -> None:
    assert plan_layers([], base_layers=1) == ()


def test_later_wheel_wins_where_two_hold_the_same_path() -> None:
    first, second = of_bytes("nvidia/__init__.py", b"1"), of_bytes("nvidia/__init__.py", b"2")
    other = of_bytes("nvidia/cublas", b"")
    assert overlay([[first, other], [second]]) == [second, other]
    assert overlay([[second], [first, other]]) == [first, other]


LIMIT = 1000
TREES = st.builds(lambda size: Tree(size, -(-size // LIMIT)), st.integers(1, 5 * LIMIT))


def trees_of(wheels: Sequence[WheelInput], sizes: Sequence[Tree]) -> dict[str, Tree]:
    return {wheel.sha256: tree for wheel, tree in zip(wheels, sizes, strict=True)}


@given(
    st.dictionaries(NAMES, st.tuples(st.sampled_from([10, BIG, BIG + 1]), TREES), max_size=90), st.integers(0, 47)
)
def test_limits_hold_for_any_set(wheel: Wheels, some: dict[str, tuple[int, Tree]], base_layers: int) -> None:
    wheels = [wheel(name, size) for name, (size, _) in some.items()]
    trees = trees_of(wheels, [tree for _, tree in some.values()])
    plan = plan_layers(wheels, base_layers=base_layers, trees=trees, limit=LIMIT)
    assert base_layers + len(plan) + 1 <= MAX_LAYERS
    assert sorted(one.name for layer in plan for one in layer.completes) == sorted(some)
    room = MAX_LAYERS - base_layers - 1
    if sum(tree.parts for tree in trees.values()) <= room:  # then even each for itself would fit
        for layer in plan:
            assert layer.parts > 1 or sum(trees[one.sha256].size for one in layer.wheels) <= LIMIT


@given(st.dictionaries(NAMES, st.integers(1, LIMIT), min_size=1, max_size=40), st.data())
def test_one_changed_dependency_changes_one_layer_of_a_split_bucket(
    wheel: Wheels, some: dict[str, int], data: st.DataObject
) -> None:
    before = [wheel(name) for name in some]
    trees = trees_of(before, [Tree(size) for size in some.values()])
    changed = data.draw(st.sampled_from(sorted(some)))
    after = [wheel(name, version="2.0" if name == changed else "1.0") for name in some]
    first = plan_layers(before, base_layers=1, trees=trees, limit=LIMIT)
    second = plan_layers(after, base_layers=1, trees=trees, limit=LIMIT)
    assert len(first) == len(second)
    assert sum(old != new for old, new in zip(first, second, strict=True)) == 1


def test_big_wheel_is_split_in_its_place(wheel: Wheels) -> None:
    wheels = [wheel("torch", BIG * 4), wheel("numpy", BIG), wheel("six")]
    trees = trees_of(wheels, [Tree(2500, 3), Tree(900), Tree(10)])
    plan = plan_layers(wheels, base_layers=1, trees=trees, limit=LIMIT)
    assert [str(layer) for layer in plan] == [
        "torch 1.0 (part 1 of 3)",
        "torch 1.0 (part 2 of 3)",
        "torch 1.0 (part 3 of 3)",
        "numpy 1.0",
        "six 1.0",
    ]
    assert [bool(layer.completes) for layer in plan] == [False, False, True, True, True]


def test_light_big_wheels_make_room_for_the_parts_of_a_heavy_one(wheel: Wheels) -> None:
    wheels = [wheel(f"big{number}", BIG + number) for number in range(46)]
    trees = trees_of(wheels, [Tree(100)] * 45 + [Tree(3500, 4)])
    plan = plan_layers(wheels, base_layers=1, trees=trees, limit=LIMIT)
    assert len(plan) <= MAX_LAYERS - 2
    assert [layer.parts for layer in plan][:5] == [4, 4, 4, 4, 1]


def test_without_room_for_all_parts_nothing_is_split(wheel: Wheels) -> None:
    wheels = [wheel(f"big{number}", BIG + number) for number in range(30)]
    trees = trees_of(wheels, [Tree(1900, 2)] * 30)
    plan = plan_layers(wheels, base_layers=1, trees=trees, limit=LIMIT)
    assert len(plan) == 30
    assert {layer.parts for layer in plan} == {1}
