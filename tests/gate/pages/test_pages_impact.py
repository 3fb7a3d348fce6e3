"""Uploaded policies tried out on a gate's evidence: what is told, to whom, and what cannot be uploaded."""

from __future__ import annotations

import io
import time
import zipfile
from collections.abc import Iterator, Mapping

import httpx
import pytest

from tests.gate.pages.conftest import CRITICAL, NOW, Site, served
from tests.gate.pages.test_pages import Outline, page

STRICTER = CRITICAL.replace("[critical]", "[critical, high]")
FRAUD = """\
name: fraud
applies-to: {repositories: ["fraud/**"]}
extends: [serving]
rules:
  - {id: no-six, check: banned-packages, with: {packages: [six]}, effect: deny, why: It is old., fix: Drop it.}
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    yield from served(tmp_path_factory.mktemp("impact"), 120, [NOW], {"serving.yaml": CRITICAL})


@pytest.fixture(scope="module")
def admin(site):
    with site.visitor("root") as client:
        yield client


def upload(client: httpx.Client, *files: tuple[str, bytes | str]) -> httpx.Response:
    return client.post("/impact", files=[("policies", (name, content)) for name, content in files])


def ended(client: httpx.Client, answer: httpx.Response) -> Outline:
    """The page that an upload leads to, once there is nothing to wait for."""
    assert answer.status_code == 303, answer.text
    deadline = time.monotonic() + 60
    while "Look again" in (outline := page(client, answer.headers["Location"])).text:
        assert time.monotonic() < deadline
    return outline


def words(outline: Outline) -> str:
    return " ".join(outline.text.split())


def zipped(files: Mapping[str, str | bytes]) -> bytes:
    raw = io.BytesIO()
    with zipfile.ZipFile(raw, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return raw.getvalue()


def published(site: Site, beginning: str = "") -> set[str]:
    """The addresses of what can be pulled."""
    return {
        f"/images/{repository}@{digest}"
        for number, (repository, digest) in enumerate(site.images)
        if number % 5 and repository.startswith(beginning)
    }


def test_a_stricter_file_is_told_in_words_with_the_images_it_would_refuse(site, admin):
    told = ended(admin, upload(admin, ("serving.yaml", STRICTER)))
    said = words(told)
    assert "96 of 96 images would change verdict, 96 would no longer be let in." in said
    assert "It is Policy Rule What stricter serving no-known " in said
    assert "admitted refused at once not known no-known: pkg:pypi/" in said
    assert set(told.links("/images/")) - {"/images"} == published(site)
    assert "serving.yaml" in page(admin, "/impact").text
    assert (site.root / "policies" / "serving.yaml").read_text() == CRITICAL
