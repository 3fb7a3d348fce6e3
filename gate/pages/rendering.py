"""From templates to answers: everything is escaped, and nothing but the gate's own stylesheet is let in."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, urlencode

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.responses import HTMLResponse, Response

from compliance.oci.digest import Digest

HERE: Final = Path(__file__).resolve().parent
STYLE: Final = (HERE / "static" / "style.css").read_bytes()
ICON: Final = (HERE / "static" / "icon.svg").read_bytes()
STYLE_AT: Final = f"/pages/{hashlib.sha256(STYLE).hexdigest()[:16]}/style.css"
"""Named by what is in it, so that browsers may keep it."""

HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none';"
        " frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    # With no-referrer, browsers would send a form with the origin null, which is also what strangers send.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}

_SHORT: Final = 12
_UNIT: Final = 1024


def image_address(repository: str, digest: str) -> str:
    """Where the page of an image is."""
    return f"/images/{quote(repository)}@{quote(digest, safe=':')}"


def short(digest: str) -> str:
    """A digest as people tell two of them apart."""
    return Digest(digest).hex[:_SHORT]


def moment(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def size(count: int) -> str:
    """Bytes, for people."""
    value = float(count)
    for unit in ("B", "KiB", "MiB"):
        if value < _UNIT:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= _UNIT
    return f"{value:.1f} GiB"


def searched(path: str, **query: str) -> str:
    """An address with these parameters."""
    return f"{path}?{urlencode(query)}"


def _environment() -> Environment:
    made = Environment(
        loader=FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    made.filters |= {"moment": moment, "short": short, "size": size}
    made.globals |= {
        "image_address": image_address,
        "searched": searched,
        "style": STYLE_AT,
        "version": version("mlbuild"),
    }
    return made


_TEMPLATES: Final = _environment()


def render(template: str, status: int = 200, **given: Any) -> Response:
    """A page, with the headers that keep what it says to itself."""
    return HTMLResponse(_TEMPLATES.get_template(template).render(given), status, HEADERS)
