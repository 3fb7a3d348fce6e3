"""TOML values know the line they came from."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compliance.errors import InvalidInput
from compliance.toml_document import parse_toml_document, read_toml_document

PATH = Path("some.toml")


def test_values_tables_and_arrays_of_tables_have_lines() -> None:
    text = b"""\
top = 1
"quoted key" = 2
[table]
a.b = 3
[[list]]
x = 1
[list.inner]
y = 2
[[list]]
x = [
  1,
  2,
]
[[list.items]]
z = 1
[[list.items]]
z = 2
"""
    document = parse_toml_document(text, PATH)
    assert document.lines == {
        (): 1,
        ("top",): 1,
        ("quoted key",): 2,
        ("table",): 3,
        ("table", "a", "b"): 4,
        ("list",): 5,
        ("list", 0): 5,
        ("list", 0, "x"): 6,
        ("list", 0, "inner"): 7,
        ("list", 0, "inner", "y"): 8,
        ("list", 1): 9,
        ("list", 1, "x"): 10,
        ("list", 1, "items"): 14,
        ("list", 1, "items", 0): 14,
        ("list", 1, "items", 0, "z"): 15,
        ("list", 1, "items", 1): 16,
        ("list", 1, "items", 1, "z"): 17,
    }
    assert str(document.where(("list", 1, "x", 0))) == "some.toml:10"


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (b"a = 1\na = 2\n", "some.toml:2: is not valid TOML"),
        (b"a = 1\nb = \xff\n", "some.toml:2: is not UTF-8 text"),
        (b"x" * 20_000_001, "is larger than 20,000,000 bytes"),
    ],
    ids=["a key twice", "not text", "too large"],
)
def test_what_is_not_toml_is_refused(raw: bytes, said: str) -> None:
    with pytest.raises(InvalidInput, match=said):
        parse_toml_document(raw, PATH)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"none\.toml: cannot be read"):
        read_toml_document(tmp_path / "none.toml")


@given(st.text())
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        document = parse_toml_document(text.encode("utf-8", "surrogatepass"), PATH)
    except InvalidInput:
        return
    assert document.lines[()] == 1
