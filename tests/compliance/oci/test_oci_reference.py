"""References are read by the grammar of the distribution specification."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compliance.errors import InvalidInput
from compliance.oci.digest import Digest
from compliance.oci.reference import Reference, is_repository, is_tag

DIGEST = Digest.of(b"")


@pytest.mark.parametrize(
    ("text", "reference", "target"),
    [
        ("iris", Reference("", "iris"), "latest"),
        ("serving/iris:1.0", Reference("", "serving/iris", "1.0"), "1.0"),
        ("localhost/iris", Reference("localhost", "iris"), "latest"),
        ("localhost:5000/a/b:T_a.g-1", Reference("localhost:5000", "a/b", "T_a.g-1"), "T_a.g-1"),
        ("registry.example/a", Reference("registry.example", "a"), "latest"),
        ("[::1]:5000/a", Reference("[::1]:5000", "a"), "latest"),
        ("127.0.0.1:5000/a", Reference("127.0.0.1:5000", "a"), "latest"),
        (f"gate:80/a@{DIGEST}", Reference("gate:80", "a", None, DIGEST), DIGEST),
        (f"gate:80/a:1@{DIGEST}", Reference("gate:80", "a", "1", DIGEST), DIGEST),
        ("a__b/c.d/e--f", Reference("", "a__b/c.d/e--f"), "latest"),
    ],
)
def test_references_are_read_and_written(text: str, reference: Reference, target: str) -> None:
    assert Reference.parse(text) == reference
    assert str(reference) == text
    assert reference.target == target


@pytest.mark.parametrize(
    "text",
    [
        "",
        ":",
        "/",
        "@",
        "a:",
        "a@",
        "a@sha256:abc",
        "A",
        "a/B",
        "a//b",
        "/a",
        "a/",
        "-a",
        "a-",
        "a_",
        "a___b",
        "a..b",
        "../a",
        ".a/b",
        "a./b",
        "-.a/b",
        "a/../b",
        "a b",
        "a\n",
        "a:b c",
        "a:b/c",
        "a:-b",
        "a:" + "b" * 129,
        "a" * 256,
        "https://registry.example/a",
        "user@registry.example/a",
        "registry.example:port/a",
        "registry.example:123456/a",
        "[::1/a",
        "é",
        f"a@{DIGEST}@{DIGEST}",
    ],
)
def test_other_texts_are_none(text: str) -> None:
    with pytest.raises(InvalidInput, match=r"not an image reference|not a digest"):
        Reference.parse(text)


def test_a_reference_can_be_pinned() -> None:
    assert str(Reference.parse("gate:80/a:1").at(DIGEST)) == f"gate:80/a@{DIGEST}"


def test_names_have_limits() -> None:
    assert is_repository("a" * 255)
    assert not is_repository("a" * 256)
    assert is_tag("b" * 128)
    assert not is_tag("b" * 129)
    assert not is_tag("")


@given(st.text("ab.:/@-_A[]0", max_size=20) | st.text())
def test_what_is_read_is_written_the_same(text: str) -> None:
    try:
        reference = Reference.parse(text)
    except InvalidInput:
        return
    assert str(reference) == text
    assert Reference.parse(str(reference)) == reference
    assert is_repository(reference.repository)
