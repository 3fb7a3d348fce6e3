"""Small true ELF files: a 64-bit shared object with nothing in it but what the dynamic loader reads."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence

X86_64, AARCH64 = 62, 183

_HEADER = struct.Struct("<16sHHIQQQIHHHHHH")
_SEGMENT = struct.Struct("<IIQQQQQQ")
_NEEDED, _STRTAB, _STRSZ, _SONAME, _RPATH, _RUNPATH = 1, 5, 10, 14, 15, 29
_VERDEF, _VERDEFNUM, _VERNEED, _VERNEEDNUM = 0x6FFFFFFC, 0x6FFFFFFD, 0x6FFFFFFE, 0x6FFFFFFF


def shared_object(
    *,
    needed: Sequence[str] = (),
    soname: str | None = None,
    rpath: str | None = None,
    runpath: str | None = None,
    wants: Mapping[str, Sequence[str]] | None = None,
    gives: Sequence[str] = (),
    machine: int = X86_64,
    interpreter: str | None = None,
    padding: int = 0,
    weak: bool = False,
) -> bytes:
    """The bytes of one. `padding` lies between the tables and the dynamic segment, as code does in a real one."""
    strings = bytearray(b"\0")

    def text(value: str) -> int:
        strings.extend(value.encode() + b"\0")
        return len(strings) - len(value.encode()) - 1

    tags = [(_NEEDED, text(name)) for name in needed]
    tags += [
        (tag, text(value)) for tag, value in ((_SONAME, soname), (_RPATH, rpath), (_RUNPATH, runpath)) if value
    ]
    verneed = _verneed(
        [(text(name), [text(item) for item in names]) for name, names in (wants or {}).items()], weak
    )
    verdef = _verdef([text(name) for name in gives])
    loader = text(interpreter) if interpreter else None
    count = 3 if interpreter else 2
    start = _HEADER.size + count * _SEGMENT.size
    needs_at = start + len(strings)
    gives_at = needs_at + len(verneed)
    dynamic_at = gives_at + len(verdef) + padding
    tags += [(_STRTAB, start), (_STRSZ, len(strings))]
    if wants:
        tags += [(_VERNEED, needs_at), (_VERNEEDNUM, len(wants))]
    if gives:
        tags += [(_VERDEF, gives_at), (_VERDEFNUM, len(gives))]
    dynamic = b"".join(struct.pack("<qQ", *tag) for tag in [*tags, (0, 0)])
    size = dynamic_at + len(dynamic)
    segments = [_segment(1, 0, size), _segment(2, dynamic_at, len(dynamic))]
    if loader is not None and interpreter is not None:
        segments.append(_segment(3, start + loader, len(interpreter) + 1))
    identity = b"\x7fELF\x02\x01\x01".ljust(16, b"\0")
    header = _HEADER.pack(
        identity, 3, machine, 1, 0, _HEADER.size, 0, 0, _HEADER.size, _SEGMENT.size, count, 0, 0, 0
    )
    return header + b"".join(segments) + bytes(strings) + verneed + verdef + bytes(padding) + dynamic


def _segment(kind: int, offset: int, size: int) -> bytes:
    return _SEGMENT.pack(kind, 4, offset, offset, offset, size, size, 8)


def _verneed(libraries: Sequence[tuple[int, Sequence[int]]], weak: bool) -> bytes:
    found = b""
    for number, (name, versions) in enumerate(libraries):
        size = 16 * (1 + len(versions))
        last = number == len(libraries) - 1
        found += struct.pack("<HHIII", 1, len(versions), name, 16, 0 if last else size)
        for place, version in enumerate(versions):
            after = 0 if place == len(versions) - 1 else 16
            found += struct.pack("<IHHII", 0, 2 if weak else 0, 2, version, after)
    return found


def _verdef(names: Sequence[int]) -> bytes:
    found = b""
    for number, name in enumerate(names):
        after = 0 if number == len(names) - 1 else 28
        found += struct.pack("<HHHHIII", 1, 0, number + 1, 1, 0, 20, after) + struct.pack("<II", name, 0)
    return found
