"""What a pickle is called and why loading it may run code."""

from __future__ import annotations

import pickle
import re
from typing import BinaryIO, Final

from compliance.models.pickle_machine import MAX_OPERATIONS, PROTO, End, Walk, walk

_TORCH_MAGIC: Final = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19."
_WRITERS: Final = {
    "joblib.numpy_pickle.": "joblib",
    "sklearn.externals.joblib.numpy_pickle.": "joblib",
    "cloudpickle.": "cloudpickle",
    "dill.": "dill",
}
_DANGEROUS: Final = re.compile(
    r"(?:os|posix|nt|sys|subprocess|socket|shutil|pty|runpy|importlib|imp|code|codeop|ctypes|pickle|_pickle|"
    r"marshal|types|webbrowser|urllib|requests|http|asyncio|multiprocessing|threading|operator|functools|"
    r"timeit|cProfile|profile|pdb|bdb|pip|tempfile|pathlib|io|builtins|__builtin__)\."
)


def recognise(head: bytes, stream: BinaryIO) -> tuple[str, str | None] | None:
    """Whether `stream`, which begins with `head`, is a pickle: the format, and what loading it would import.

    Evidence is asked for, since any text can begin with an opcode: a protocol header and then either an
    orderly end or an import; or, for protocols 0 and 1 that have no header, an orderly end after more than
    a trifle, or a call. A pickle that breaks off counts once it imports: what comes before runs.
    """
    found = walk(stream)
    headed = len(head) > 1 and head[0] == PROTO and head[1] <= pickle.HIGHEST_PROTOCOL
    if headed:
        is_pickle = found.end is End.STOP or bool(found.imports) or found.operations >= MAX_OPERATIONS
    else:
        is_pickle = found.end is End.STOP and (bool(found.imports) or (found.containers and found.operations > 7))
    if not is_pickle:
        return None
    return _dialect(head, found), reason(found)


def _dialect(head: bytes, found: Walk) -> str:
    if head.startswith(_TORCH_MAGIC):
        return "pytorch"
    for prefix, name in _WRITERS.items():
        if any(each.startswith(prefix) for each in found.imports):
            return name
    return "pickle"


def reason(found: Walk, shown: int = 8) -> str | None:
    """Why loading such a pickle may run code, the most telling imports first; None when it imports nothing."""
    whole = found.end is End.STOP
    if not found.imports:
        return None if whole else "a pickle that could not be read to its end"
    ordered = sorted(found.imports, key=lambda name: not _DANGEROUS.match(name))
    rest = len(ordered) - shown
    text = "unpickling it imports " + ", ".join(ordered[:shown])
    if rest > 0 or not whole:
        text += f" and {rest} more" if rest > 0 and whole else " and possibly more"
    return text
