"""The pages in a real browser: with axe, by keyboard, on a phone in the dark, and reached from elsewhere."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, Request, sync_playwright

from benchmarks.seeding import NO_HIGH
from tests.gate.conftest import PASSWORD
from tests.gate.identity.oidc_issuer import TestIssuer, running
from tests.gate.pages.conftest import NOW, Site, let_in_by, served

pytestmark = pytest.mark.acceptance

PAGES = ("/login", "/", "/images", "/decisions", f"/decisions/{0:032x}", "/packages?name=numpy")
PAGES += ("/vulnerabilities?id=CVE-2026-1000", "/policies", "/waivers", "/audit", "/decisions/0", "/impact")
DESK = {"viewport": {"width": 1280, "height": 800}, "color_scheme": "light"}
PHONE = {"viewport": {"width": 360, "height": 740}, "color_scheme": "dark", "is_mobile": True, "has_touch": True}
SERIOUS = {"serious", "critical"}


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    yield from served(tmp_path_factory.mktemp("many"), 500, [NOW])


@pytest.fixture(scope="module")
def issuer() -> Iterator[TestIssuer]:
    with running() as issuer:
        yield issuer


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    program = shutil.which("chromium")
    assert program is not None, "chromium is needed: scripts/setup.sh test"
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield started
        started.close()


def patient(browser: Browser, site: Site, **kind) -> Page:
    """A page that waits for as long as a busy machine may take."""
    context = browser.new_context(base_url=site.url, **kind)
    context.set_default_timeout(120_000)
    return context.new_page()


def logged_in(browser: Browser, site: Site, **kind) -> Page:
    """A page of somebody who has logged in by keyboard alone."""
    page = patient(browser, site, **kind)
    page.goto("/")
    page.get_by_label("User or robot").focus()
    page.keyboard.type("root")
    page.keyboard.press("Tab")
    page.keyboard.type(PASSWORD)
    page.keyboard.press("Enter")
    page.wait_for_url(f"{site.url}/")
    return page


def require_good(page: Page, address: str) -> None:
    """That axe has nothing serious to say of what is shown, and that it fits in the window."""
    found = Axe().run(page).response["violations"]
    serious = [(one["id"], one["nodes"][0]["html"]) for one in found if one["impact"] in SERIOUS]
    assert serious == [], address
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), address


@pytest.mark.parametrize("kind", [DESK, PHONE], ids=["desk", "phone"])
def test_every_page_can_be_read_by_everybody(browser, many, kind):
    page = logged_in(browser, many, **kind)
    said: list[str] = []

    def failed(request: Request) -> None:
        if request.failure != "net::ERR_ABORTED":  # the page before was left while its icon was on its way
            said.append(f"{request.url}: {request.failure}")

    page.on("console", lambda message: said.append(message.text))
    page.on("requestfailed", failed)
    repository, digest = many.images[0]
    for address in (*PAGES, f"/images/{repository}@{digest}"):
        said.clear()
        page.goto(address)
        require_good(page, address)
        assert [one for one in said if "404" not in one] == [], address
    page.context.close()


def test_the_first_stop_of_the_keyboard_leads_past_the_menu(browser, many):
    page = logged_in(browser, many, **DESK)
    page.goto("/policies")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"
    page.context.close()


def test_a_link_of_another_site_opens_the_report_without_logging_in_again(browser, many):
    page = logged_in(browser, many, **DESK)
    page.goto("about:blank")
    page.set_content(f'<a href="{many.url}/api/decisions/{0:032x}">the report</a>')
    page.get_by_role("link").click()
    page.wait_for_url(f"**/decisions/{0:032x}")
    page.get_by_role("heading", level=1).get_by_text("Refused").wait_for()
    page.get_by_role("button", name="Log out").click()
    page.wait_for_url("**/login")
    page.goto("/images")
    assert page.get_by_role("heading", level=1).inner_text() == "Log in"
    page.context.close()


@pytest.mark.parametrize("kind", [DESK, PHONE], ids=["desk", "phone"])
def test_policies_are_tried_out_by_choosing_files(browser, many, kind):
    page = logged_in(browser, many, **kind)
    page.goto("/impact")
    for text, said in (
        (NO_HIGH, "no-known-high"),
        (NO_HIGH.replace("effect: deny", "effect: no"), "fraud.yaml:6"),
    ):
        page.goto("/impact")
        page.get_by_label("Policy files").set_input_files(
            {"name": "fraud.yaml", "mimeType": "application/yaml", "buffer": text.encode()}
        )
        page.get_by_role("button", name="Try out").click()
        page.wait_for_url("**/impact/*")
        while (again := page.get_by_role("link", name="Look again")).count():
            page.goto(again.get_attribute("href"))
        page.get_by_text(said).first.wait_for()
        require_good(page, said)
    page.context.close()


def test_somebody_logs_in_by_a_provider_and_comes_where_they_wanted(browser, many, issuer):
    issuer.ends_at = f"{issuer.url}/end"
    let_in_by(many, issuer)
    page = patient(browser, many, **DESK)
    page.goto("/waivers")
    require_good(page, "/login")
    page.get_by_role("link", name="Log in with Example SSO").click()
    page.get_by_role("link", name="alice").click()
    page.wait_for_url("**/waivers")
    assert page.get_by_role("heading", level=1).inner_text() == "Waivers"
    page.get_by_text("alice@example.org").wait_for()
    page.get_by_role("button", name="Log out").click()
    page.get_by_text("You are logged out, here and at your provider.").wait_for()
    assert issuer.gone == ["1234"]
    require_good(page, "/logout/done")
    page.context.close()
