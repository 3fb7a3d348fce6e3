"""The documentation site is built without a warning, and loads nothing from elsewhere."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.pages import ROOT

pytestmark = pytest.mark.acceptance  # MkDocs, over all pages

_LOADED = re.compile(
    r"<(?:script|link|img|iframe|source)\b[^>]*\b(?:src|href)=\"?([^\" >]+)|url\(([^)]+)\)|@import \"([^\"]+)"
)


def build(root: Path, target: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", target],
        cwd=root,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("site")
    done = build(ROOT, target)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "WARNING" not in done.stderr
    return target


def test_every_page_is_built_with_those_from_outside_the_folder(site):
    for path in (ROOT / "docs").rglob("*.md"):
        name = path.relative_to(ROOT / "docs").with_suffix("")
        name = name.parent if name.name in {"index", "README"} else name
        assert (site / name / "index.html").is_file(), name
    for name in ("changelog", "threat-model", "policies", "contributing"):
        assert (site / name / "index.html").is_file(), name
    assert (site / "files" / "examples" / "ci" / "Jenkinsfile").is_file()


def test_nothing_is_loaded_from_elsewhere(site):
    loaded = [
        f"{path.relative_to(site)}: {found[0]}"
        for path in [*site.rglob("*.html"), *site.rglob("*.css")]
        for found in _LOADED.finditer(path.read_text(encoding="utf-8"))
        if re.match(r"['\"]?(?:https?:)?//", found[1] or found[2] or found[3])
        and not re.search(r'rel="?(?:canonical|next|prev)', found[0])
    ]
    assert not loaded


def test_links_that_lead_nowhere_are_told(tmp_path):
    shutil.copytree(ROOT / "docs", tmp_path / "docs", ignore=shutil.ignore_patterns("images"))
    shutil.copytree(ROOT / "policies", tmp_path / "policies", ignore=shutil.ignore_patterns("*.json"))
    (tmp_path / "scripts").mkdir()
    for name in ("mkdocs.yml", "scripts/site.py", "CHANGELOG.md", "THREAT_MODEL.md", "CONTRIBUTING.md"):
        shutil.copy(ROOT / name, tmp_path / name)
    with (tmp_path / "docs" / "index.md").open("a") as page:
        page.write("\n[a](no-such-page.md) [b](index.md#no-such-part) [c](../no-such-file.yaml)\n")
    done = build(tmp_path, tmp_path / "site")
    assert done.returncode != 0
    for target in ("no-such-page.md", "no-such-part", "no-such-file.yaml"):
        assert target in done.stderr


def test_every_block_is_one(site):
    """A fence that is not understood would be shown as it stands, and swallow the headings below it."""
    for path in site.rglob("*.html"):
        assert "contributing" in str(path) or "<p>```" not in path.read_text(encoding="utf-8"), path
