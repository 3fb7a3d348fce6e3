"""Every command on the site and in README is run, and prints what the page shows."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.docs.page import read_page
from tests.docs.pages import NOT_RUN, PAGES, ROOT, site
from tests.docs.reading import read


@pytest.mark.acceptance
@pytest.mark.xdist_group("examples")
@pytest.mark.parametrize("name", PAGES)
def test_a_page_says_what_is_so(name, make_place):
    left_out = {one.block for one in NOT_RUN.get(name, ())}
    read(name, read_page(ROOT / name), make_place(PAGES[name]), left_out)


@pytest.mark.parametrize(
    ("name", "one"),
    [(name, one) for name, ones in NOT_RUN.items() for one in ones],
    ids=lambda value: value if isinstance(value, str) else value.block,
)
def test_what_is_left_out_is_covered_elsewhere(name, one, record_property):
    file, _, test = one.covered_by.partition("::")
    assert f"def {test}(" in (ROOT / file).read_text()
    record_property("reason", one.why)
    print(f"{name}: {one.block}\n  not run here: {one.why}\n  covered by: {one.covered_by}")


def test_every_page_that_is_read_is_of_the_site():
    assert set(PAGES) | set(NOT_RUN) <= set(site()), "there are no such pages"
    assert all((Path(ROOT) / path).exists() for start in PAGES.values() for path in start.copied)
