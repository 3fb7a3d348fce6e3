"""The commands by which figures in the docs were measured are there, with the options that pages give them."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from tests.docs.page import ShellBlock, read_page
from tests.docs.pages import ROOT

pytestmark = pytest.mark.acceptance  # each benchmark is started

PAGES = ("docs/benchmarks.md", "docs/adr/0010-layers-are-gzip-unless-the-spec-says-zstd.md")
COMMANDS = {
    one.commands[0].typed for name in PAGES for one in read_page(ROOT / name) if isinstance(one, ShellBlock)
}


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_a_benchmark_knows_the_options_that_the_page_gives_it(command):
    if target := re.fullmatch(r"make (bench-\w+)", command):
        recipe = re.search(rf"^{target[1]}:.*\n\t\$\(BIN\)/(python -m .*)$", (ROOT / "Makefile").read_text(), re.M)
        assert recipe is not None, f"there is no target {target[1]}"
        command = recipe[1]
    _, _, module, *options = command.partition(" |")[0].split()
    help_text = subprocess.run(
        [sys.executable, "-m", module, "--help"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    assert {option for option in options if option.startswith("--")} <= set(re.findall(r"--[\w-]+", help_text))
