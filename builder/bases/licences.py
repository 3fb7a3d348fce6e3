"""Licences of Debian packages, from their copyright files in Debian's machine-readable format (DEP-5)."""

from __future__ import annotations

import logging
import re
from typing import Final, cast

from debian.copyright import Copyright, License, NotMachineReadableError
from license_expression import ExpressionError, get_spdx_licensing

from builder.layers.deb import Deb

_SHORT_NAMES: Final = {
    "apache-2.0": "Apache-2.0",
    "artistic": "Artistic-1.0-Perl",
    "bsd-2-clause": "BSD-2-Clause",
    "bsd-3-clause": "BSD-3-Clause",
    "bsd-4-clause": "BSD-4-Clause",
    "cc0-1.0": "CC0-1.0",
    "expat": "MIT",
    "isc": "ISC",
    "mit": "MIT",
    "mpl-1.1": "MPL-1.1",
    "mpl-2.0": "MPL-2.0",
    "pd": "LicenseRef-public-domain",
    "public-domain": "LicenseRef-public-domain",
    "x11": "X11",
    "zlib": "Zlib",
}
"""The short names of the copyright format 1.0, in lower case, whose SPDX identifier is another."""

_OWN_NAME: Final = re.compile(r"\bLicenseRef-[A-Za-z0-9.-]+")
_GNU: Final = re.compile(r"(?P<family>[al]?gpl|gfdl)-(?P<version>[0-9](?:\.[0-9])?)(?:\.0)?(?P<later>\+?)")


def licence_of(deb: Deb, name: str) -> str | None:
    """The SPDX expression for the package's files, or None where its copyright file does not say so.

    It is the licence that the copyright file gives to `*`: to whatever it says nothing more special
    about. Files under another licence may be in the package too.
    """
    entry = next((entry for entry in deb.entries if entry.path == f"usr/share/doc/{name}/copyright"), None)
    if entry is None or entry.content is None:
        return None
    with entry.content() as stream:
        return licence_in(stream.read().decode("utf-8", errors="replace"))


def licence_in(copyright_file: str) -> str | None:
    """As licence_of, for the text of a copyright file."""
    logging.getLogger("debian.copyright").setLevel(logging.ERROR)  # it warns of old spellings of the format's URL
    try:
        paragraphs = Copyright(copyright_file.splitlines(keepends=True), strict=False).all_files_paragraphs()
        licences = [cast("License | None", part.license) for part in paragraphs if "*" in part.files]
    except (NotMachineReadableError, ValueError):
        return None
    return spdx(licences[-1].synopsis) if licences and licences[-1] is not None else None


def spdx(synopsis: str) -> str | None:
    """A licence in Debian's notation (`GPL-2+ or Expat`) as SPDX, or None where one of its names is unknown."""
    words = re.split(r"\s+(and|or)\s+", synopsis.strip())
    translated = [word.upper() if word in {"and", "or"} else _identifier(word) for word in words]
    if any(word is None for word in translated):
        return None
    expression = " ".join(str(word) for word in translated)
    try:
        return spelled(expression)
    except ValueError:
        return None


def spelled(expression: str) -> str:
    """An SPDX expression in SPDX's own spelling. Names of one's own (`LicenseRef-…`) are part of SPDX.

    Raises ValueError that says what is wrong with it.
    """
    known = get_spdx_licensing()
    try:
        if known.parse(_OWN_NAME.sub("MIT", expression), validate=True, strict=True) is None:
            raise ValueError("it is empty")
    except ExpressionError as error:
        raise ValueError(str(error)) from error
    return str(known.parse(expression))


def _identifier(short_name: str) -> str | None:
    gnu = _GNU.fullmatch(short_name.lower())
    if gnu is None:
        return _SHORT_NAMES.get(short_name.lower())
    version = gnu["version"] if "." in gnu["version"] else f"{gnu['version']}.0"
    return f"{gnu['family'].upper()}-{version}-{'or-later' if gnu['later'] else 'only'}"
