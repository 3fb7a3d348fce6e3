"""What the site has from outside docs/, as hooks of mkdocs: pages and files of the repository, and links to them.

Links are written so that they work on a code host, and made links within the site here.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT: Final = Path(__file__).resolve().parent.parent
DOCS: Final = "docs/"

PAGES: Final = {
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "THREAT_MODEL.md": "threat-model.md",
    "policies/README.md": "policies.md",
}
"""Pages that are elsewhere in the repository, and what they are called on the site."""

LINKS: Final = {"README.md": "index.md", **PAGES}
"""Where links to pages from elsewhere lead."""

FILES: Final = ("LICENSE", "deploy/**/*", "examples/**/*", "policies/**/*.yaml")
"""Files that pages may link to. Only those that are linked to are on the site, below files/."""

_LINK: Final = re.compile(
    r"(?P<before>\]\(|^\[[^\]]+\]: )(?P<target>[^)\s#:]+)(?P<anchor>#[^)\s]*)?(?=[)\s]|$)", re.M
)


_SCENE: Final = re.compile(r"^<!-- run:.*?-->\n", re.MULTILINE | re.DOTALL)
"""What sets the scene for the tests of a page, and is not for readers."""


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Put files in the place of the patterns in the navigation, and leave out sections that have none."""
    config.nav = list(_expanded(config.nav or (), Path(config.docs_dir), set()))
    return config


def _expanded(entries: Iterable[Any], docs: Path, seen: set[str]) -> Iterable[Any]:
    for entry in entries:
        if isinstance(entry, str) and "*" in entry:
            found = (path.relative_to(docs).as_posix() for path in sorted(docs.glob(entry)))
            yield from (path for path in found if path not in seen)
        elif isinstance(entry, dict):
            for title, below in entry.items():
                if not isinstance(below, list):
                    yield {title: below}
                elif inner := list(_expanded(below, docs, seen | {one for one in below if isinstance(one, str)})):
                    yield {title: inner}
        else:
            yield entry


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages from elsewhere, and the files that any page links to."""
    for source, name in PAGES.items():
        files.append(File.generated(config, name, abs_src_path=str(ROOT / source)))
    for file in list(files):
        if file.is_documentation_page():
            for target in _targets(file.content_string, _source(file.src_uri)):
                name = f"files/{target}"
                if _is_brought(target) and files.get_file_from_path(name) is None:
                    files.append(File.generated(config, name, abs_src_path=str(ROOT / target)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:  # noqa: ARG001
    """Make links to what is elsewhere in the repository links to where the site has it, and drop scenes."""
    source = _source(page.file.src_uri)

    def on_site(link: re.Match[str]) -> str:
        place = _place(_target(link["target"], source))
        if place is None:
            return link[0]
        target = posixpath.relpath(place, posixpath.dirname(page.file.src_uri) or ".")
        return f"{link['before']}{target}{link['anchor'] or ''}"

    return _LINK.sub(on_site, _SCENE.sub("", markdown))


def on_post_page(output: str, page: Page, config: MkDocsConfig) -> str:  # noqa: ARG001
    """Give the search of the theme a name, and let the keyboard scroll what is wider than the screen."""
    output = output.replace('role="dialog"', 'role="dialog" aria-label="Search"', 1)
    return output.replace("<pre><span></span><code>", '<pre tabindex="0"><span></span><code>')


def _source(name: str) -> str:
    """Where in the repository a page of the site is."""
    return next((source for source, known in PAGES.items() if known == name), DOCS + name)


def _target(link: str, source: str) -> str:
    """The path in the repository that a link on a page at `source` leads to."""
    return posixpath.normpath(posixpath.join(posixpath.dirname(source), link))


def _targets(text: str, source: str) -> Iterable[str]:
    return (_target(link["target"], source) for link in _LINK.finditer(text))


def _place(target: str) -> str | None:
    """Where on the site something in the repository is, if it is there."""
    if target.startswith(DOCS):
        return target.removeprefix(DOCS)
    return LINKS.get(target) or (f"files/{target}" if _is_brought(target) else None)


def _is_brought(target: str) -> bool:
    return (ROOT / target).is_file() and any((ROOT / target) in ROOT.glob(pattern) for pattern in FILES)
