"""Model formats that are protocol buffers and have no magic number: ONNX and TensorFlow SavedModel.

A file is one of them when its top level reads as that message from the first byte to the last.
"""

from __future__ import annotations

import re
from typing import BinaryIO, Final

MAX_FIELDS: Final = 10_000
CHUNK: Final = 1 << 20

_VARINT, _LENGTH = 0, 2
_ONNX: Final = {1: 0, 2: 2, 3: 2, 4: 2, 5: 0, 6: 2, 7: 2, 8: 2, 14: 2, 20: 2, 25: 2, 26: 2}
_ONNX_GRAPH: Final = {1, 2, 5, 10, 11, 12, 13, 14, 15, 16}
_ONNX_LATEST: Final = 64
_OPERATIONS: Final = re.compile(rb"\x12\x06PyFunc|\x12\x0bEagerPyFunc|\x12\x08ReadFile|\x12\x09WriteFile")


def could_be(head: bytes) -> bool:
    """Both messages begin with field 1, a small number: the version."""
    return len(head) > 3 and head[0] == 0x08 and 0 < head[1] <= _ONNX_LATEST and head[2] & 7 in {_VARINT, _LENGTH}


def recognise(stream: BinaryIO) -> tuple[str, str | None] | None:
    """ONNX or SavedModel, and why loading it may run code. None when it is neither."""
    size = stream.seek(0, 2)
    stream.seek(0)
    try:
        fields = _fields(stream, size)
    except ValueError:
        return None
    numbers = {number for number, _, _ in fields}
    if _is_saved_model(fields):
        return "tf-savedmodel", _operations(stream)
    if not {1, 7, 8} <= numbers or any(_ONNX.get(number) != wire for number, wire, _ in fields):
        return None
    graph = next(first for number, _, first in fields if number == 7)
    if graph and graph[0] >> 3 in _ONNX_GRAPH and graph[0] & 7 == _LENGTH:
        return "onnx", None
    return None


def _is_saved_model(fields: list[tuple[int, int, bytes]]) -> bool:
    """saved_model_schema_version = 1, then at least one MetaGraphDef that begins with its MetaInfoDef or graph."""
    kinds = [(number, wire) for number, wire, _ in fields]
    if kinds[:1] != [(1, _VARINT)] or len(kinds) < 2 or set(kinds[1:]) != {(2, _LENGTH)}:
        return False
    return fields[0][2] == b"\x01" and all(first[:1] in {b"\x0a", b"\x12"} for _, _, first in fields[1:])


def _operations(stream: BinaryIO) -> str | None:
    """Operations that reach out of the graph, by their names in NodeDef.op (field 2)."""
    stream.seek(0)
    found: set[str] = set()
    tail = b""
    while data := stream.read(CHUNK):
        found |= {match[2:].decode() for match in _OPERATIONS.findall(tail + data)}
        tail = data[-16:]
    return f"its graph runs {', '.join(sorted(found))}" if found else None


def _fields(stream: BinaryIO, size: int) -> list[tuple[int, int, bytes]]:
    """The top-level fields: number, wire type, value or first bytes. ValueError when it is no message."""
    fields = []
    while stream.tell() < size:
        tag = _varint(stream)
        number, wire = tag >> 3, tag & 7
        if wire == _VARINT:
            fields.append((number, wire, _varint(stream).to_bytes(10, "little").rstrip(b"\0")))
        elif wire == _LENGTH:
            length = _varint(stream)
            start = stream.tell()
            if start + length > size:
                raise ValueError("a field ends after the file")
            fields.append((number, wire, stream.read(min(length, 16))))
            stream.seek(start + length)
        else:
            raise ValueError("a wire type that neither message uses")
        if len(fields) > MAX_FIELDS:
            raise ValueError("too many fields")
    return fields


def _varint(stream: BinaryIO) -> int:
    value = 0
    for shift in range(0, 70, 7):
        byte = stream.read(1)
        if not byte:
            raise ValueError("ends within a number")
        value |= (byte[0] & 0x7F) << shift
        if not byte[0] & 0x80:
            return value
    raise ValueError("a number too long")
