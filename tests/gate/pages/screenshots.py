"""The pictures in the documentation, taken of made-up images: python -m tests.gate.pages.screenshots"""

from __future__ import annotations

import shutil
import tempfile
from contextlib import closing
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

from tests.gate.conftest import PASSWORD
from tests.gate.pages.conftest import CRITICAL, NOW, Site, served

IMAGES = Path(__file__).resolve().parents[3] / "docs" / "images"
LIGHT, DARK = "light", "dark"
PICTURES = {
    "page-overview": ("/", 1100, 760, LIGHT),
    "page-report": (f"/decisions/{0:032x}", 390, 760, DARK),
    "page-image": ("IMAGE", 1100, 760, LIGHT),
    "page-impact": ("IMPACT", 1100, 560, LIGHT),
}
"""Of the last two, the addresses are known only when there is a gate."""


def main() -> None:
    with tempfile.TemporaryDirectory() as directory, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        with closing(served(Path(directory) / "usual", 500, [NOW])) as sites:
            site = next(sites)
            for name in ("page-overview", "page-report", "page-image"):
                _take(browser, site, name)
        with closing(served(Path(directory) / "kept", 500, [NOW], {"serving.yaml": CRITICAL})) as sites:
            _take(browser, next(sites), "page-impact")
        browser.close()


def _take(browser: Browser, site: Site, name: str) -> None:
    address, width, height, scheme = PICTURES[name]
    context = browser.new_context(
        base_url=site.url, viewport={"width": width, "height": height}, color_scheme=scheme
    )
    page = context.new_page()
    page.goto("/login")
    page.get_by_label("User or robot").fill("root")
    page.get_by_label("Password or secret").fill(PASSWORD)
    page.keyboard.press("Enter")
    page.wait_for_url(f"{site.url}/")
    if address == "IMPACT":
        page.goto("/impact")
        changed = CRITICAL.replace("[critical]", "[critical, high]").encode()
        page.get_by_label("Policy files").set_input_files(
            {"name": "serving.yaml", "mimeType": "application/yaml", "buffer": changed}
        )
        page.get_by_role("button", name="Try out").click()
        page.get_by_role("heading", name="Images").wait_for()
    else:
        repository, digest = site.images[0]
        page.goto(f"/images/{repository}@{digest}" if address == "IMAGE" else address)
    page.screenshot(path=IMAGES / f"{name}.png")
    context.close()


if __name__ == "__main__":
    main()
