"""The built site in a real browser: with axe, at a desk and on a phone in the dark, asking nobody else."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, sync_playwright

from tests.docs.pages import ROOT
from tests.docs.test_site import build

pytestmark = pytest.mark.acceptance

PAGES = ("/", "/data-scientist/", "/reference/mlbuild/", "/tutorials/data-scientist/")
DESK = {"viewport": {"width": 1280, "height": 800}, "color_scheme": "light"}
PHONE = {"viewport": {"width": 360, "height": 740}, "color_scheme": "dark", "is_mobile": True, "has_touch": True}
SERIOUS = {"serious", "critical"}


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Say nothing of requests."""


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The site, served on this machine."""
    target = tmp_path_factory.mktemp("site")
    assert build(ROOT, target).returncode == 0
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(target))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    program = shutil.which("chromium")
    assert program is not None, "chromium is needed: scripts/setup.sh test"
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.mark.parametrize("kind", [DESK, PHONE], ids=["desk", "phone"])
def test_pages_can_be_read_by_everybody_and_ask_nobody_else(browser, address, kind):
    page = browser.new_context(base_url=address, **kind).new_page()
    page.set_default_timeout(120_000)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    for name in PAGES:
        page.goto(name)
        found = Axe().run(page).response["violations"]
        serious = [(one["id"], one["nodes"][0]["html"]) for one in found if one["impact"] in SERIOUS]
        assert serious == [], name
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), name
    assert [one for one in asked if not one.startswith((address, "data:", "blob:"))] == []
    page.context.close()


def test_the_search_finds_a_page(browser, address):
    page = browser.new_context(base_url=address, **DESK).new_page()
    page.set_default_timeout(120_000)
    page.goto("/")
    page.get_by_role("textbox", name="Search").click()
    page.keyboard.type("waiver")
    page.locator(".md-search-result__link").first.wait_for(timeout=120_000)
    page.context.close()
