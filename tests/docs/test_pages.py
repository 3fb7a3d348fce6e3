"""Every command on the site and in README is run, and prints what the page shows."""

from __future__ import annotations

from collections.abc import Container, Iterable
from pathlib import Path

import pytest

from tests.docs.page import ShellBlock, parts, read_page
from tests.docs.pages import NOT_RUN, PAGES, ROOT, site
from tests.docs.reading import read


@pytest.mark.acceptance
@pytest.mark.xdist_group("examples")
@pytest.mark.parametrize("name", PAGES)
def test_a_page_says_what_is_so(name, make_place):
    left_out = {one.block for one in NOT_RUN.get(name, ())}
    read(name, read_page(ROOT / name), make_place(PAGES[name]), left_out)


@pytest.mark.parametrize("name", site())
def test_every_shell_block_is_run_or_has_a_reason(name):
    left_out = {one.block for one in NOT_RUN.get(name, ())}
    blocks = [part for part in read_page(ROOT / name) if isinstance(part, ShellBlock)]
    assert forgotten(blocks, left_out, is_read=name in PAGES) == [], "see tests/docs/pages.py"
    assert left_out <= {one.first for one in blocks}, "there are no such blocks any more"


def forgotten(blocks: Iterable[ShellBlock], left_out: Container[str], *, is_read: bool) -> list[str]:
    """The blocks that no test runs: of a page that none reads, or output whose command is not shown."""
    return [
        f"line {one.line}: {one.first}"
        for one in blocks
        if one.first not in left_out and not (is_read and one.commands)
    ]


def test_a_block_of_a_page_that_no_test_reads_is_told():
    blocks = [
        one for one in parts("```sh\ntrue\n```\n```console\nonly output\n```\n") if isinstance(one, ShellBlock)
    ]
    assert forgotten(blocks, (), is_read=False) == ["line 1: true", "line 4: only output"]
    assert forgotten(blocks, (), is_read=True) == ["line 4: only output"]
    assert forgotten(blocks, {"only output"}, is_read=True) == []


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
