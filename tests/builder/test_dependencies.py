from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.requirements import Requirement

from builder.dependencies import trace
from builder.errors import BuilderError
from builder.metadata import WheelMetadata
from builder.target import Target

TARGET = Target("3.11", "x86_64", 36)
NAMES = [f"p{number}" for number in range(8)]


def _graph(**requires: list[str]) -> dict[str, WheelMetadata]:
    return {name: WheelMetadata(tuple(lines), None) for name, lines in requires.items()}


def test_the_shortest_chain_counts() -> None:
    metadata = _graph(a=["b"], b=["c"], c=[], z=["c"])
    found = trace([Requirement("a"), Requirement("z")], metadata, TARGET)
    assert found.chains["c"] == ("z", "c")
    assert found.depends_on == {"a": ("b",), "b": ("c",), "c": (), "z": ("c",)}


def test_among_equals_the_first_by_name_counts() -> None:
    metadata = _graph(b=["x"], a=["x"], x=[])
    assert trace([Requirement("b"), Requirement("a")], metadata, TARGET).chains["x"] == ("a", "x")


def test_what_the_user_asked_for_needs_no_chain() -> None:
    metadata = _graph(a=["b"], b=[])
    assert trace([Requirement("a"), Requirement("B")], metadata, TARGET).chains["b"] == ("b",)


@pytest.mark.parametrize(
    ("line", "counts"),
    [
        ("b; sys_platform == 'linux'", True),
        ("b; sys_platform == 'win32'", False),
        ("b; python_version < '3.11'", False),
        ("b; platform_machine == 'x86_64'", True),
        ("b; extra == 'more'", False),
        ("b (>=1.0)", True),
        ("b>dev", True),
        ("b >= 1.0 ; python_full_version >= '3.11.0'", True),
    ],
)
def test_markers_are_those_of_the_target(line: str, counts: bool) -> None:
    found = trace([Requirement("a")], _graph(a=[line], b=[]), TARGET)
    assert ("b" in found.chains) is counts
    assert found.depends_on["a"] == (("b",) if counts else ())


def test_a_requirement_for_another_platform_starts_no_chain() -> None:
    found = trace([Requirement("a; sys_platform == 'win32'")], _graph(a=[]), TARGET)
    assert found.chains == {}


def test_extras_that_name_extras_of_their_own() -> None:
    metadata = _graph(
        a=["a[inner]; extra == 'all'", "b; extra == 'inner'"], b=["c[x]"], c=["d; extra == 'x'"], d=[]
    )
    found = trace([Requirement("a[all]")], metadata, TARGET)
    assert found.chains["d"] == ("a", "b", "c", "d")
    assert found.depends_on["a"] == ("b",)


def test_circles_end() -> None:
    found = trace([Requirement("a")], _graph(a=["b"], b=["a"]), TARGET)
    assert found.chains == {"a": ("a",), "b": ("a", "b")}


def test_what_is_not_locked_is_left_out() -> None:
    assert trace([Requirement("a")], _graph(a=["gone"]), TARGET).depends_on == {"a": ()}


def test_a_requirement_that_is_none_is_an_error() -> None:
    with pytest.raises(BuilderError, match="a requires '!!'"):
        trace([Requirement("a")], _graph(a=["!!"]), TARGET)


@given(
    edges=st.dictionaries(st.sampled_from(NAMES), st.lists(st.sampled_from(NAMES), max_size=4)),
    asked=st.sets(st.sampled_from(NAMES), min_size=1),
)
def test_every_chain_is_a_path_from_a_requirement(edges: dict[str, list[str]], asked: set[str]) -> None:
    metadata = _graph(**{name: edges.get(name, []) for name in NAMES})
    found = trace([Requirement(name) for name in asked], metadata, TARGET)
    for name, chain in found.chains.items():
        assert chain[0] in asked
        assert chain[-1] == name
        for step, following in pairwise(chain):
            assert following in found.depends_on[step]
    reached = set(found.chains)
    assert all(following in reached for name in reached for following in found.depends_on[name])
