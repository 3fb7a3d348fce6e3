"""The licence a package declares, as an SPDX expression where that can be told (core metadata, PEP 639)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from threading import Lock
from typing import Final

from license_expression import ExpressionError, Licensing, get_spdx_licensing
from packaging.metadata import RawMetadata

_LONGEST_NAME: Final = 100
_LONGEST_TEXT: Final = 13_000
"""Apache-2.0, the longest that is recognised, has 11,358 characters."""

_PARSING: Final = Lock()
"""The parser builds its tables when it is first used, which two threads must not do at once."""

_GNU: Final = re.compile(r"gnu\s+(?:lesser|library|affero|general)", re.I)

_BY_CLASSIFIER: Final = {
    "Academic Free License (AFL)": "AFL-3.0",
    "Apache Software License": "Apache-2.0",
    "Boost Software License 1.0 (BSL-1.0)": "BSL-1.0",
    "CC0 1.0 Universal (CC0 1.0) Public Domain Dedication": "CC0-1.0",
    "Eclipse Public License 2.0 (EPL-2.0)": "EPL-2.0",
    "European Union Public Licence 1.2 (EUPL 1.2)": "EUPL-1.2",
    "GNU Affero General Public License v3": "AGPL-3.0-only",
    "GNU Affero General Public License v3 or later (AGPLv3+)": "AGPL-3.0-or-later",
    "GNU General Public License v2 (GPLv2)": "GPL-2.0-only",
    "GNU General Public License v2 or later (GPLv2+)": "GPL-2.0-or-later",
    "GNU General Public License v3 (GPLv3)": "GPL-3.0-only",
    "GNU General Public License v3 or later (GPLv3+)": "GPL-3.0-or-later",
    "GNU Lesser General Public License v2 (LGPLv2)": "LGPL-2.0-only",
    "GNU Lesser General Public License v2 or later (LGPLv2+)": "LGPL-2.0-or-later",
    "GNU Lesser General Public License v3 (LGPLv3)": "LGPL-3.0-only",
    "GNU Lesser General Public License v3 or later (LGPLv3+)": "LGPL-3.0-or-later",
    "Historical Permission Notice and Disclaimer (HPND)": "HPND",
    "ISC License (ISCL)": "ISC",
    "MIT License": "MIT",
    "MIT No Attribution License (MIT-0)": "MIT-0",
    "Mozilla Public License 1.1 (MPL 1.1)": "MPL-1.1",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "Python Software Foundation License": "PSF-2.0",
    "The Unlicense (Unlicense)": "Unlicense",
    "University of Illinois/NCSA Open Source License": "NCSA",
    "Zero-Clause BSD (0BSD)": "0BSD",
    "Zope Public License": "ZPL-2.1",
    "zlib/libpng License": "Zlib",
}

_BY_NAME: Final = {
    "apache": "Apache-2.0",
    "apache 2": "Apache-2.0",
    "apache 2.0": "Apache-2.0",
    "apache license": "Apache-2.0",
    "apache license 2.0": "Apache-2.0",
    "apache license, version 2.0": "Apache-2.0",
    "apache software license": "Apache-2.0",
    "apache software license 2.0": "Apache-2.0",
    "asl 2": "Apache-2.0",
    "3-clause bsd": "BSD-3-Clause",
    "3-clause bsd license": "BSD-3-Clause",
    "bsd 3-clause": "BSD-3-Clause",
    "bsd 3-clause license": "BSD-3-Clause",
    "new bsd": "BSD-3-Clause",
    "new bsd license": "BSD-3-Clause",
    "modified bsd": "BSD-3-Clause",
    "bsd 2-clause": "BSD-2-Clause",
    "bsd 2-clause license": "BSD-2-Clause",
    "simplified bsd": "BSD-2-Clause",
    "expat": "MIT",
    "mit license": "MIT",
    "the mit license": "MIT",
    "the mit license (mit)": "MIT",
    "mpl 2.0": "MPL-2.0",
    "mozilla public license 2.0": "MPL-2.0",
    "psf": "PSF-2.0",
    "psf license": "PSF-2.0",
    "psfl": "PSF-2.0",
    "gplv2": "GPL-2.0-only",
    "gplv3": "GPL-3.0-only",
    "lgplv3": "LGPL-3.0-only",
}

# Sentences that stand in the licence's text and in no other of these.
_BY_TEXT: Final = (
    (re.compile(r"apache license\s+version 2\.0", re.I), "Apache-2.0"),
    (re.compile(r"permission is hereby granted, free of charge.*to deal", re.I | re.S), "MIT"),
    (re.compile(r"redistributions? in binary form.*neither the name", re.I | re.S), "BSD-3-Clause"),
    (re.compile(r"redistributions? in binary form", re.I), "BSD-2-Clause"),
)


def licence_of(fields: RawMetadata) -> str | None:
    """The SPDX expression of a package, else the text it declares, else None.

    In this order: License-Expression; the License field where it is or names an SPDX licence; the licence
    classifiers, joined by AND since nothing says that one may choose; the licence whose text the License
    field holds; what that field or the classifiers say in words.
    """
    expression = fields.get("license_expression")
    if expression:
        return spdx(expression) or expression
    declared = (fields.get("license") or "").strip()
    named = _named(declared)
    if named is not None:
        return named
    tails = sorted(
        classifier.rpartition("::")[2].strip()
        for classifier in fields.get("classifiers", ())
        if classifier.startswith("License ::") and not classifier.endswith(":: OSI Approved")
    )
    known = [_BY_CLASSIFIER[tail] for tail in tails if tail in _BY_CLASSIFIER]
    if known and len(known) == len(tails):
        return " AND ".join(dict.fromkeys(known))
    text = _recognised(declared)
    if text is not None:
        return text
    if declared and "\n" not in declared:
        return declared[:_LONGEST_NAME]
    return " AND ".join(tails) or declared.partition("\n")[0].strip()[:_LONGEST_NAME] or None


def recognise(texts: Sequence[str]) -> str | None:
    """The licences whose texts these are, joined by AND; None when there are none or one is not recognised."""
    found = [_recognised(text) for text in texts]
    known = [licence for licence in found if licence is not None]
    return " AND ".join(dict.fromkeys(known)) if known and len(known) == len(found) else None


def _recognised(text: str) -> str | None:
    """The licence that a text is. A long text may hold several, so it is left alone."""
    if len(text) > _LONGEST_TEXT or _GNU.search(text):
        return None
    return next((licence for form, licence in _BY_TEXT if form.search(text)), None)


def spdx(text: str) -> str | None:
    """`text` in SPDX's own spelling, or None when it is not an expression of known SPDX licences."""
    try:
        with _PARSING:
            parsed = _licensing().parse(text, validate=True)
    except ExpressionError:
        return None
    return str(parsed) if parsed is not None else None


def _named(declared: str) -> str | None:
    if not declared or len(declared) > _LONGEST_NAME or "\n" in declared:
        return None
    return _BY_NAME.get(declared.lower()) or spdx(declared)


@cache
def _licensing() -> Licensing:
    return get_spdx_licensing()
