"""The pictures in the documentation, taken of made-up images: python -m tests.gate.pages.screenshots"""

from __future__ import annotations

import shutil
import tempfile
from contextlib import closing
from pathlib import Path

from playwright.sync_api import sync_playwright

from tests.gate.conftest import PASSWORD
from tests.gate.pages.conftest import NOW, served

IMAGES = Path(__file__).resolve().parents[3] / "docs" / "images"
LIGHT, DARK = "light", "dark"
PICTURES = {
    "page-overview": ("/", 1100, 760, LIGHT),
    "page-report": (f"/decisions/{0:032x}", 390, 760, DARK),
}


def main() -> None:
    with (
        tempfile.TemporaryDirectory() as directory,
        closing(served(Path(directory), 500, [NOW])) as sites,
        sync_playwright() as playwright,
    ):
        site = next(sites)
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        for name, (address, width, height, scheme) in PICTURES.items():
            context = browser.new_context(
                base_url=site.url, viewport={"width": width, "height": height}, color_scheme=scheme
            )
            page = context.new_page()
            page.goto("/login")
            page.get_by_label("User or robot").fill("root")
            page.get_by_label("Password or secret").fill(PASSWORD)
            page.keyboard.press("Enter")
            page.wait_for_url(f"{site.url}/")
            page.goto(address)
            page.screenshot(path=IMAGES / f"{name}.png")
            context.close()
        browser.close()


if __name__ == "__main__":
    main()
