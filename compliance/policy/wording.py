"""How packages, places and numbers are called in what people read."""

from __future__ import annotations

import functools

from packageurl import PackageURL

from compliance.inventory import Ecosystem, Origin
from compliance.oci.digest import Digest


def label(culprit: str) -> str:
    """A culprit as people say it: `pillow 9.4.0` for `pkg:pypi/pillow@9.4.0`, anything else as it is."""
    if not culprit.startswith("pkg:"):
        return culprit
    try:
        purl = PackageURL.from_string(culprit)
    except ValueError:
        return culprit
    return f"{purl.name} {purl.version}" if purl.version else purl.name


@functools.lru_cache(maxsize=1 << 16)
def ecosystem_of(purl: str) -> Ecosystem:
    """The ecosystem a purl belongs to."""
    kind = purl.removeprefix("pkg:").partition("/")[0]
    return Ecosystem(kind) if purl.startswith("pkg:") and kind in set(Ecosystem) else Ecosystem.OTHER


def origin_words(origin: Origin | None, chain: tuple[str, ...] = ()) -> str:
    """Where something came from: `base image`, `your project`, `your project, via fastapi > starlette`."""
    if origin is None:
        return ""
    if origin is Origin.BASE:
        return "base image"
    return "your project" + (f", via {' > '.join(chain)}" if len(chain) > 1 else "")


def place_words(origin: str, layer: Digest | None) -> str:
    """Where something stands, `origin` being in words: `base image, in layer 0f3c9a1b2c3d`."""
    return ", ".join(filter(None, (origin, layer and f"in layer {layer.hex[:12]}")))


def count(number: int, noun: str) -> str:
    """`1 rule`, `2 rules`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def printable(text: str) -> str:
    """`text` with everything that could steer a terminal replaced by blanks."""
    return "".join(character if character.isprintable() else " " for character in text)
