"""Compiles Python sources to bytecode: from standard input to standard output, in the same order.

In: for each source the lengths of its path and of its text (two big-endian 64-bit numbers), path, text.
Out: for each source the length of its .pyc, and the .pyc; length 0 for a text that cannot be compiled.

Each source is compiled in a process forked from the same state. What `marshal` writes depends on which
strings the process has interned and how often they are referred to; so bytes depend on nothing but the
source, its path and the interpreter, whatever is compiled before or beside it.
"""

import importlib.machinery
import importlib.util
import marshal
import os
import struct
import sys
from collections import deque
from typing import BinaryIO

UNCHECKED_HASH = 0b01  # PEP 552: a hash follows, and the source need not be looked at
LENGTH = struct.Struct(">Q")


def compiled(path: str, source: bytes) -> bytes:
    """The .pyc of a source, or nothing when it is no Python that this interpreter takes."""
    loader = importlib.machinery.SourceFileLoader("source", path)
    try:
        code = loader.source_to_code(source, path)
    except (SyntaxError, ValueError, RecursionError, OverflowError):
        return b""
    flags = UNCHECKED_HASH.to_bytes(4, "little")
    return importlib.util.MAGIC_NUMBER + flags + importlib.util.source_hash(source) + marshal.dumps(code)


def forked(path: str, source: bytes) -> tuple[int, int]:
    """Start compiling in a process of its own: its number, and where its result can be read."""
    reading, writing = os.pipe()
    child = os.fork()
    if child:
        os.close(writing)
        return child, reading
    os.close(reading)
    status = 1
    try:
        with os.fdopen(writing, "wb") as stream:
            stream.write(compiled(path, source))
        status = 0
    finally:
        os._exit(status)


def collect(started: tuple[int, int], sink: BinaryIO) -> None:
    child, reading = started
    with os.fdopen(reading, "rb") as stream:
        result = stream.read()
    _, status = os.waitpid(child, 0)
    if status:
        sys.exit(f"compiling ended with status {status}")
    sink.write(LENGTH.pack(len(result)))
    sink.write(result)


def main() -> None:
    source, sink = sys.stdin.buffer, sys.stdout.buffer
    running: deque[tuple[int, int]] = deque()
    while head := source.read(2 * LENGTH.size):
        path_size, text_size = LENGTH.unpack(head[: LENGTH.size])[0], LENGTH.unpack(head[LENGTH.size :])[0]
        path = source.read(path_size).decode()
        running.append(forked(path, source.read(text_size)))
        if len(running) > (os.cpu_count() or 1):
            collect(running.popleft(), sink)
    while running:
        collect(running.popleft(), sink)
    sink.flush()


main()
