"""NumPy arrays (https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html)."""

from __future__ import annotations

import re
from typing import Final

MAGIC: Final = b"\x93NUMPY"
HEAD: Final = 1 << 16

_OBJECT: Final = re.compile(rb"""['"][|<>=]?(?:O[48]?|object_?)['"]""")


def recognise(head: bytes) -> tuple[str, str | None] | None:
    """An array, and whether it holds pickled objects. A header longer than `head` counts as holding some."""
    if not head.startswith(MAGIC) or len(head) < 12 or head[6] not in {1, 2, 3}:
        return None
    width = 2 if head[6] == 1 else 4
    size = int.from_bytes(head[8 : 8 + width], "little")
    header = head[8 + width : 8 + width + size]
    if not header.lstrip().startswith(b"{") or b"descr" not in header:
        return None
    if len(header) < size or _OBJECT.search(header):
        return "npy", "holds pickled objects, which run code when they are loaded"
    return "npy", None
