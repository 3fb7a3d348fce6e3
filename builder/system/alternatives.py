"""The links that `update-alternatives` would have made, from the words of the scripts that call it.

Some libraries are found only through such a link (libblas.so.3). The scripts are not run: only calls whose
every word is written out are understood, and any other call is as if it were not there.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from builder.layers.deb import merged
from builder.layers.tar import Entry, is_plain, symlink

_CALL: Final = re.compile(r"^\s*update-alternatives\s+(?P<words>.*)$")
_FOLDER: Final = "etc/alternatives"


@dataclass(frozen=True, slots=True)
class Alternative:
    """`link` is to lead to `path` by way of /etc/alternatives/`name`; the highest priority wins."""

    link: str
    name: str
    path: str
    priority: int


def alternatives(script: str) -> Iterator[Alternative]:
    """What a maintainer script would offer by `update-alternatives --install`, slaves included."""
    for line in script.replace("\\\n", " ").splitlines():
        call = _CALL.match(line)
        if call is None:
            continue
        try:
            words = shlex.split(call["words"])
        except ValueError:
            continue
        yield from _offered(words)


def _offered(words: Sequence[str]) -> Iterator[Alternative]:
    options = [index for index, word in enumerate(words) if word.startswith("--")]
    calls = [words[start:end] for start, end in zip(options, [*options[1:], len(words)], strict=True)]
    priority = None
    for call in calls:
        if call[0] == "--install" and len(call) == 5 and call[4].isdigit():
            priority = int(call[4])
        elif call[0] != "--slave" or len(call) != 4 or priority is None:
            continue
        link, name, path = call[1:4]
        if all(part.startswith("/") and is_plain(part[1:]) and "$" not in part for part in (link, path)):
            yield Alternative(merged(link[1:]), name, merged(path[1:]), priority)


def chosen_links(offers: Iterable[Alternative], paths: Iterable[str]) -> list[Entry]:
    """The links of the best offers, among those whose file is in `paths`."""
    present = set(paths)
    best: dict[str, Alternative] = {}
    for offer in offers:
        if offer.path not in present or not is_plain(offer.name) or "/" in offer.name:
            continue
        known = best.get(offer.name)
        if known is None or (offer.priority, offer.path) > (known.priority, known.path):
            best[offer.name] = offer
    links: dict[str, Entry] = {}
    for name, offer in sorted(best.items()):
        if offer.link in present or offer.link in links:
            continue
        links[offer.link] = symlink(offer.link, f"/{_FOLDER}/{name}")
        links[f"{_FOLDER}/{name}"] = symlink(f"{_FOLDER}/{name}", f"/{offer.path}")
    return list(links.values())
