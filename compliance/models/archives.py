"""Model formats that are zip archives: PyTorch, TorchScript, skops, Keras 3, and NumPy's npz."""

from __future__ import annotations

import re
import struct
import zipfile
import zlib
from typing import BinaryIO, Final

from compliance.errors import InvalidInput
from compliance.models import numpys, pickles
from compliance.models.pickle_machine import walk
from compliance.strict_json import parse_object

MAGIC: Final = b"PK\x03\x04"
MAX_DIRECTORY: Final = 64 << 20
MAX_JSON: Final = 16 << 20
MAX_ARRAYS: Final = 1000

_DAMAGE: Final = (zipfile.BadZipFile, zlib.error, OSError, EOFError, RuntimeError, ValueError, struct.error)
_DATA: Final = re.compile(r"(?:[^/]+/)?data\.pkl")
_EARLY_DATA: Final = re.compile(rb"PK\x03\x04.{22}.{4}(?:[^/\0]+/)?data\.pkl", re.DOTALL)
_LAMBDA: Final = re.compile(rb'"class_name"\s*:\s*"(?:[\w>]*>)?Lambda"')

LAMBDA_REASON: Final = "holds a Lambda layer, which is Python bytecode that runs with the model"
UNREADABLE: Final = "a zip whose pickle cannot be read, though loaders may be less particular"


def recognise(head: bytes, stream: BinaryIO) -> tuple[str, str | None] | None:
    """The format of a zip and why loading it may run code. None when it is a zip of another kind."""
    try:
        if _directory_size(stream) > MAX_DIRECTORY:
            return None
        with zipfile.ZipFile(stream) as archive:
            return _recognise(archive)
    except _DAMAGE:
        return ("pytorch", UNREADABLE) if _EARLY_DATA.search(head) else None


def _recognise(archive: zipfile.ZipFile) -> tuple[str, str | None] | None:
    names = archive.namelist()
    held = set(names)
    data = next((name for name in names if _DATA.fullmatch(name)), None)
    if data is not None:
        if data.removesuffix("data.pkl") + "constants.pkl" in held:
            return "torchscript", "holds TorchScript code that runs with the model"
        return "pytorch", _pickle_reason(archive, data)
    if "schema.json" in held and _json_has(archive, "schema.json", {"_skops_version", "protocol"}):
        return "skops", None
    if "config.json" in held and held & {"model.weights.h5", "metadata.json"}:
        if _json_has(archive, "config.json", {"class_name"}):
            unsafe = _LAMBDA.search(_read(archive, "config.json"))
            return "keras", LAMBDA_REASON if unsafe else None
        return None
    if names and all(name.endswith(".npy") for name in names):
        return _arrays(archive, names[:MAX_ARRAYS])
    return None


def _pickle_reason(archive: zipfile.ZipFile, name: str) -> str | None:
    try:
        with archive.open(name) as stream:
            return pickles.reason(walk(stream))  # type: ignore[arg-type] # readable, which is what counts
    except _DAMAGE:
        return UNREADABLE


def _json_has(archive: zipfile.ZipFile, name: str, members: set[str]) -> bool:
    try:
        return bool(members & parse_object(_read(archive, name), name, max_bytes=MAX_JSON).keys())
    except InvalidInput:
        return False


def _read(archive: zipfile.ZipFile, name: str) -> bytes:
    with archive.open(name) as stream:
        return stream.read(MAX_JSON + 1)


def _arrays(archive: zipfile.ZipFile, names: list[str]) -> tuple[str, str | None] | None:
    for name in names:
        with archive.open(name) as stream:
            found = numpys.recognise(stream.read(numpys.HEAD))
        if found is None:
            return None
        if found[1] is not None:
            return "npz", f"{name} {found[1]}"
    return "npz", None


_END: Final = struct.Struct("<4s4H2IH")
_END_64: Final = struct.Struct("<4sQ2H2I4Q")
_LOCATOR_64: Final = struct.Struct("<4sIQI")


def _directory_size(stream: BinaryIO) -> int:
    """Bytes of the central directory (APPNOTE 4.3.16, 4.3.14), which zipfile reads into memory at once."""
    size = stream.seek(0, 2)
    start = max(0, size - _END.size - 0xFFFF - _LOCATOR_64.size)
    stream.seek(start)
    tail = stream.read(size - start)
    end = tail.rfind(b"PK\x05\x06")
    if end < 0 or end + _END.size > len(tail):
        raise zipfile.BadZipFile("no end of central directory")
    directory = int(_END.unpack_from(tail, end)[5])
    locator = end - _LOCATOR_64.size
    if locator >= 0 and tail[locator : locator + 4] == b"PK\x06\x07":
        stream.seek(min(size, _LOCATOR_64.unpack_from(tail, locator)[2]))
        record = stream.read(_END_64.size)
        if len(record) == _END_64.size:
            directory = max(directory, int(_END_64.unpack(record)[8]))
    return directory
