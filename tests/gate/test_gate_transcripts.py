"""What each client shows of a refused push, as the docs have it, is what the client was seen to show."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.gate.clients import NAMES

TRANSCRIPTS = Path(__file__).parent / "data" / "clients"
PAGE = Path(__file__).parents[2] / "docs" / "ci-pipeline.md"


@pytest.mark.parametrize("name", NAMES)
def test_the_page_on_other_clients_has_the_transcript(name):
    push, pull = (TRANSCRIPTS / f"{name}.txt").read_text().split("\n\n")
    page = PAGE.read_text()
    assert push in page
    assert name in {"buildah", "skopeo"} or pull.strip() in page
