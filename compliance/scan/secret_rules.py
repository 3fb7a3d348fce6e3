"""How Trivy is told to look for secrets.

Its built-in rules stay. Its built-in exceptions are made for whole operating systems and pass over any
path with `test`, `example`, `vendor` or `.md` in it, which is where a project's tokens are found most
often. They are replaced by exceptions for files that other people published.
"""

from __future__ import annotations

from typing import Final

_DOCUMENTED: Final = r"""
  - id: documented-examples
    description: Values such as AKIAIOSFODNN7EXAMPLE, which say themselves that they are none
    regex: (?i)example
"""

_PUBLISHED: Final = r"""
  - id: published-packages
    description: Tests, documentation and metadata of installed packages
    path: /(?:site|dist)-packages/(?:.*/)?(?:[^/]*(?:test|example)[^/]*|docs?|locales?|_?vendor|[^/]*\.dist-info)/
  - id: published-files
    description: Single test, example and documentation files of installed packages
    path: /(?:site|dist)-packages/.*(?:test|example|\.md$|\.rst$)
"""

_EXCEPTIONS_FOR_PROJECTS: Final = ("tests", "examples", "vendor", "locale-dir", "markdown")
_EXCEPTIONS_FOR_SYSTEMS: Final = (
    *("usr-dirs", "node.js", "golang", "python", "rubygems", "wordpress", "anaconda-log"),
)


def _config(disabled: tuple[str, ...], rules: str) -> str:
    names = "".join(f"  - {name}\n" for name in disabled)
    return f"disable-allow-rules:\n{names}allow-rules:{rules}"


FOR_DIRECTORIES: Final = _config((*_EXCEPTIONS_FOR_PROJECTS, *_EXCEPTIONS_FOR_SYSTEMS), _DOCUMENTED)
"""For a project's own files: no path is passed over."""

FOR_IMAGES: Final = _config(_EXCEPTIONS_FOR_PROJECTS, _DOCUMENTED + _PUBLISHED)
"""For an image: the system, and what others publish along with a package, are passed over as well."""
