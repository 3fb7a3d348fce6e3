"""Files in a layer that say which packages there are, and how large these may be."""

from __future__ import annotations

import re
import tarfile
from typing import Final

from compliance.errors import InvalidInput

MAX_BYTES: Final = 64 << 20
"""A hundred times the largest that is known of."""

_DESCRIBES: Final = re.compile(
    r"/dpkg/(?:status|available|status\.d/[^/]*|info/[^/]*)$|/apk/db/installed$|/os-release$|/debian_version$"
    r"|\.(?:dist|egg)-info(?:/[^/]*)?$|/EGG-INFO/[^/]*$"
    r"|/(?:package|package-lock|composer|Pipfile|poetry|uv|Cargo|Gemfile|yarn|pnpm-lock|go|conan|pom|pixi)"
    r"\.(?:json|lock|yaml|mod|sum|xml|toml)$|/requirements[^/]*\.txt$|/conda-meta/[^/]*\.json$|\.gemspec$"
)


def require_modest(path: str, member: tarfile.TarInfo) -> None:
    """Raise InvalidInput for a file that describes packages, at the absolute `path`, and is larger than any is.

    Scanners take these apart line by line, so that a layer of a few megabytes would keep one busy for hours.
    """
    if member.isreg() and member.size > MAX_BYTES and _DESCRIBES.search(path):
        shown = path if len(path) <= 200 else f"…{path[-200:]}"
        raise InvalidInput(
            f"{shown!r} has {member.size:,} bytes, and nothing that describes packages may have more than"
            f" {MAX_BYTES:,}"
        )
