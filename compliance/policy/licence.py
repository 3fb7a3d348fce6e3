"""What a package's declared licence means as an SPDX expression."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import Any, Final, Union

from boolean import ParseError  # type: ignore[import-untyped]
from license_expression import (
    AND,
    OR,
    ExpressionError,
    LicenseSymbol,
    LicenseWithExceptionSymbol,
    Licensing,
    get_spdx_licensing,
)


class Standing(IntEnum):
    """How a licence stands with a rule. Of alternatives the best counts, of parts the worst."""

    ACCEPTED = 0
    UNKNOWN = 1
    REFUSED = 2


@dataclass(frozen=True, slots=True)
class One:
    """One licence by its SPDX id, with the exception that softens it, if any."""

    id: str
    exception: str | None = None

    def __str__(self) -> str:
        return f"{self.id} WITH {self.exception}" if self.exception else self.id


@dataclass(frozen=True, slots=True)
class Every:
    """All of these have to be kept: `MIT AND ISC`. A part that nobody knows is None."""

    parts: tuple[Expression | None, ...]


@dataclass(frozen=True, slots=True)
class Either:
    """One of these may be chosen: `MIT OR Apache-2.0`."""

    parts: tuple[Expression | None, ...]


Expression = Union["One", "Every", "Either"]

_FREE_TEXT: Final = """
MIT               mit license | the mit license | mit licence | expat | expat license | mit-license
MIT               the mit license (mit)
Apache-2.0        apache | apache 2 | apache 2.0 | apache2 | apache2.0 | apache v2 | apache v2.0 | apache-2
Apache-2.0        asl 2.0 | apache license | apache license 2.0 | apache license, version 2.0
Apache-2.0        apache license version 2.0 | apache license v2.0 | apache software license
Apache-2.0        apache software license 2.0 | apache 2.0 license | apache-2.0 license
Apache-2.0        the apache license, version 2.0 | apache software license version 2.0
BSD-3-Clause      bsd | bsd license | bsd licence | new bsd | new bsd license | modified bsd
BSD-3-Clause      modified bsd license | bsd 3-clause | bsd 3 clause | 3-clause bsd | 3-clause bsd license
BSD-3-Clause      bsd 3-clause license | bsd-3-clause license | bsd 3-clause clear license | bsd-3 | bsd3
BSD-3-Clause      the bsd 3-clause license | revised bsd license | bsd 3-clause "new" or "revised" license
BSD-2-Clause      bsd 2-clause | bsd 2 clause | 2-clause bsd | 2-clause bsd license | bsd 2-clause license
BSD-2-Clause      simplified bsd | simplified bsd license | bsd-2 | bsd2 | freebsd
ISC               isc license | isc license (iscl) | iscl
PSF-2.0           psf | psfl | psf license | python software foundation license
PSF-2.0           python software foundation license version 2
MPL-2.0           mpl 2.0 | mpl2 | mpl-2 | mozilla public license 2.0 | mozilla public license 2.0 (mpl 2.0)
MPL-2.0           mozilla public license, version 2.0
Unlicense         the unlicense | the unlicense (unlicense) | unlicense license
CC0-1.0           cc0 | cc0 1.0 universal (cc0 1.0) public domain dedication | cc0 1.0
Zlib              zlib license | zlib/libpng license
BSL-1.0           boost software license 1.0 (bsl-1.0) | boost software license | boost software license 1.0
HPND              historical permission notice and disclaimer (hpnd)
LGPL-2.1-or-later lgpl 2.1+ | lgplv2.1+ | lgpl v2.1+
LGPL-2.1-only     lgpl 2.1 | lgplv2.1 | lgpl v2.1
LGPL-2.0-only     gnu lesser general public license v2 (lgplv2)
LGPL-2.0-or-later gnu lesser general public license v2+ (lgplv2+) | lgplv2+ | lgpl v2+ | lgpl 2+
LGPL-3.0-only     gnu lesser general public license v3 (lgplv3) | lgplv3 | lgpl v3 | lgpl 3.0 | lgpl3 | lgpl-3
LGPL-3.0-or-later gnu lesser general public license v3+ (lgplv3+) | lgplv3+ | lgpl v3+ | lgpl 3+ | lgpl 3.0+
GPL-2.0-only      gnu general public license v2 (gplv2) | gplv2 | gpl v2 | gpl 2 | gpl2 | gpl-2 | gnu gpl v2
GPL-2.0-or-later  gnu general public license v2+ (gplv2+) | gplv2+ | gpl v2+ | gpl 2+ | gpl2+ | gpl-2+
GPL-3.0-only      gnu general public license v3 (gplv3) | gplv3 | gpl v3 | gpl 3 | gpl 3.0 | gpl3 | gpl-3
GPL-3.0-only      gnu gpl v3 | gnu gplv3 | gnu general public license v3 | gnu general public license v3.0
GPL-3.0-or-later  gnu general public license v3+ (gplv3+) | gnu general public license v3+ | gplv3+ | gpl v3+
GPL-3.0-or-later  gpl 3+ | gpl3+ | gpl-3+ | gnu gplv3+ | gnu gpl v3+
AGPL-3.0-only     gnu affero general public license v3 | agpl | agplv3 | agpl v3 | agpl 3.0 | agpl3 | agpl-3
AGPL-3.0-only     gnu agplv3 | gnu affero general public license v3.0 | gnu affero gpl 3.0
AGPL-3.0-or-later gnu affero general public license v3+ (agplv3+) | gnu affero general public license v3+
AGPL-3.0-or-later agplv3+ | agpl v3+ | agpl 3+
SSPL-1.0          sspl | server side public license | server side public license, version 1
"""
_SPDX_OF: Final = {
    text: spdx
    for spdx, texts in (line.split(maxsplit=1) for line in _FREE_TEXT.strip().splitlines())
    for text in texts.split(" | ")
}
_CLASSIFIER: Final = re.compile(r"^(license|osi approved)\s*::\s*", re.IGNORECASE)
_OR_LATER: Final = re.compile(r",?\s*\bor\s+(any\s+)?(later|newer|greater)(\s+versions?)?", re.IGNORECASE)
_COPYLEFT: Final = re.compile(r"general public licen[cs]e|server side public", re.IGNORECASE)
_LIST: Final = re.compile(r"\s*(?:[;,/&]|\band\b)\s*", re.IGNORECASE)
_CHOICE: Final = re.compile(r",?\s+or\s+", re.IGNORECASE)
_MAX_LENGTH: Final = 1000


@functools.cache
def _licensing() -> Licensing:
    return get_spdx_licensing()


@functools.cache
def spdx_ids() -> frozenset[str]:
    """Every licence and exception id of the SPDX list."""
    return frozenset(_licensing().known_symbols)


@functools.lru_cache(maxsize=4096)
def parse_licence(declared: str | None) -> Expression | None:
    """The SPDX expression a declared licence stands for, or None where it says nothing that can be placed.

    Texts that packages use in place of an id are understood: `BSD License`, `Apache 2.0`, trove
    classifiers, lists of such. Where a whole licence text was declared its title counts, unless the
    text goes on to mention a copyleft licence.
    """
    text = _title((declared or "").strip())
    if not text or len(text) > _MAX_LENGTH:
        return None
    return _one(text) or _expression(text) or _list(text)


def judge(expression: Expression | None, of_one: Callable[[One], Standing]) -> Standing:
    """How an expression stands, given how single licences do. None, what nobody could read, is unknown."""
    if isinstance(expression, Every):
        return max(judge(part, of_one) for part in expression.parts)
    if isinstance(expression, Either):
        return min(judge(part, of_one) for part in expression.parts)
    return Standing.UNKNOWN if expression is None else of_one(expression)


def _title(text: str) -> str:
    if "\n" not in text:
        return text
    title = text.splitlines()[0].strip()
    return "" if _COPYLEFT.search(text) and not _COPYLEFT.search(title) else title


def _one(text: str) -> One | None:
    """A single id, or a text that is known to stand for one."""
    words = " ".join(text.split())
    while _CLASSIFIER.match(words):
        words = _CLASSIFIER.sub("", words)
    symbol = _licensing().known_symbols_lowercase.get(words.lower())
    if symbol is not None and not symbol.is_exception:
        return One(symbol.key)
    if words.startswith("LicenseRef-") and " " not in words:
        return One(words)
    spdx = _SPDX_OF.get(_OR_LATER.sub("+", words.lower()).rstrip("."))
    return One(spdx) if spdx else None


def _expression(text: str) -> Expression | None:
    """`text` as an SPDX expression. Licences in it that nobody knows stay unknown; one alone is none."""
    try:
        parsed = _licensing().parse(text, validate=False)
    except (ExpressionError, ParseError, RecursionError):
        return None
    if isinstance(parsed, LicenseSymbol) and parsed.key not in spdx_ids():
        return None
    return _read(parsed)


def _read(parsed: Any) -> Expression | None:
    if isinstance(parsed, AND):
        return Every(tuple(_read(part) for part in parsed.args))
    if isinstance(parsed, OR):
        return Either(tuple(_read(part) for part in parsed.args))
    if isinstance(parsed, LicenseWithExceptionSymbol):
        licence = _one(parsed.license_symbol.key)
        return replace(licence, exception=parsed.exception_symbol.key) if licence is not None else None
    return _one(parsed.key) if isinstance(parsed, LicenseSymbol) else None


def _list(text: str) -> Expression | None:
    """Several known licences in a row: one to choose where it says `or`, else each to be kept."""
    for separator, kind in ((_CHOICE, Either), (_LIST, Every)):
        parts = tuple(_one(part) for part in separator.split(text) if part)
        if len(parts) > 1 and None not in parts:
            return kind(parts)
    return None
