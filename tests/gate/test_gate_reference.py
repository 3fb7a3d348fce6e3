"""The reference pages say what the code does."""

from __future__ import annotations

import pytest

from gate.reference import PAGES, pages


@pytest.mark.parametrize("name", sorted(pages()))
def test_a_page_is_what_is_generated(name):
    assert (PAGES / name).read_text() == pages()[name], "run `make generate`"
