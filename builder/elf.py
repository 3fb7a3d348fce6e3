"""What a shared object asks of the dynamic loader: read from its dynamic segment (System V gABI, chapter 5).

Only headers, the dynamic segment, the strings it names and the GNU version tables are read. From a stream
that cannot be sought, such as a member of a wheel, `Rewindable` makes one that can, in bounded memory.
"""

from __future__ import annotations

import io
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import BinaryIO, Final, cast

from elftools.common.exceptions import ELFError
from elftools.common.utils import parse_cstring_from_stream, struct_parse
from elftools.construct import ConstructError
from elftools.elf.elffile import ELFFile

MAGIC: Final = b"\x7fELF"

CHUNK: Final = 1 << 20
HEAD: Final = 8
"""Chunks kept from the start of a stream, where linkers put symbol and version tables."""
TAIL: Final = 8
"""Chunks kept from where it was read last."""
_MANY: Final = 10_000
"""Entries of all tables together; real objects have some hundreds."""
_WEAK: Final = 2  # VER_FLG_WEAK
_UNREADABLE: Final = (ELFError, ConstructError, UnicodeDecodeError, ValueError, OverflowError, KeyError)


@dataclass(frozen=True, slots=True)
class SharedObject:
    """A dynamic ELF file. `path` is relative to the wheel or the root of the file system that it is from.

    `machine` is `EM_X86_64-64` and the like: objects of different machines never meet. `rpath` and
    `runpath` are as written, with `$ORIGIN`; an object that has a `runpath` has its `rpath` ignored.
    `wants` are the versions it needs, by library (weak ones left out); `gives` those it defines.
    """

    path: str
    machine: str
    soname: str | None = None
    interpreter: str | None = None
    needed: tuple[str, ...] = ()
    rpath: tuple[str, ...] = ()
    runpath: tuple[str, ...] = ()
    wants: tuple[tuple[str, tuple[str, ...]], ...] = ()
    gives: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The last part of its path."""
        return self.path.rpartition("/")[2]


def read_shared_object(stream: BinaryIO, path: str) -> SharedObject | None:
    """What the object in a seekable stream asks for; None when the loader has nothing to do for it.

    That is a file which is no ELF file or a damaged one, a static program, an object file for linking.
    """
    try:
        return _Reader(stream).shared_object(path)
    except _UNREADABLE:
        return None


class _Reader:
    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._left = _MANY
        self._elf = ELFFile(stream)
        start, size = self._elf["e_phoff"], self._elf["e_phentsize"]
        layout = self._elf.structs.Elf_Phdr
        self._segments = [
            struct_parse(layout, stream, start + number * size) for number in self._entries(self._elf["e_phnum"])
        ]
        self._tags: dict[str | int, list[int]] = {}

    def shared_object(self, path: str) -> SharedObject | None:
        dynamic = next((part for part in self._segments if part["p_type"] == "PT_DYNAMIC"), None)
        if dynamic is None:
            return None
        entry = self._elf.structs.Elf_Dyn
        for number in self._entries(dynamic["p_filesz"] // entry.sizeof()):
            tag = struct_parse(entry, self._stream, dynamic["p_offset"] + number * entry.sizeof())
            if tag["d_tag"] == "DT_NULL":
                break
            self._tags.setdefault(tag["d_tag"], []).append(tag["d_val"])
        return SharedObject(
            path=path,
            machine=f"{self._elf['e_machine']}-{self._elf.elfclass}",
            soname=next(self._texts("DT_SONAME"), None),
            interpreter=self._interpreter(),
            needed=tuple(self._texts("DT_NEEDED")),
            rpath=tuple(_folders(self._texts("DT_RPATH"))),
            runpath=tuple(_folders(self._texts("DT_RUNPATH"))),
            wants=tuple(self._versions_needed()),
            gives=tuple(self._versions_defined()),
        )

    def _entries(self, count: int) -> Iterator[int]:
        """Counts the entries of a table. Raises ELFError when all tables have more than any real ones."""
        for number in range(count):
            self._left -= 1
            if self._left < 0:
                raise ELFError("tables without end")
            yield number

    def _interpreter(self) -> str | None:
        for part in self._segments:
            if part["p_type"] == "PT_INTERP":
                return self._string(part["p_offset"])
        return None

    def _texts(self, tag: str) -> Iterator[str]:
        for offset in self._tags.get(tag, ()):
            yield self._text(offset)

    def _text(self, offset: int) -> str:
        return self._string(self._offset_of("DT_STRTAB") + offset)

    def _string(self, offset: int) -> str:
        found = parse_cstring_from_stream(self._stream, offset)
        if found is None:
            raise ELFError("a string has no end")
        return found.decode("utf-8")

    def _offset_of(self, tag: str) -> int:
        """Where in the file the table is whose address this tag holds."""
        address = self._tags[tag][0]
        for part in self._segments:
            if part["p_type"] == "PT_LOAD" and 0 <= address - part["p_vaddr"] < part["p_filesz"]:
                return int(address - part["p_vaddr"] + part["p_offset"])
        raise ELFError(f"the address of {tag} is in no segment")

    def _versions_needed(self) -> Iterator[tuple[str, tuple[str, ...]]]:
        if "DT_VERNEED" not in self._tags:
            return
        structs, at = self._elf.structs, self._offset_of("DT_VERNEED")
        for _ in self._entries(self._tags["DT_VERNEEDNUM"][0]):
            need = struct_parse(structs.Elf_Verneed, self._stream, at)
            names, inner = [], at + need["vn_aux"]
            for _ in self._entries(need["vn_cnt"]):
                version = struct_parse(structs.Elf_Vernaux, self._stream, inner)
                if not version["vna_flags"] & _WEAK:
                    names.append(self._text(version["vna_name"]))
                inner += version["vna_next"]
            yield self._text(need["vn_file"]), tuple(names)
            at += need["vn_next"]

    def _versions_defined(self) -> Iterator[str]:
        if "DT_VERDEF" not in self._tags:
            return
        structs, at = self._elf.structs, self._offset_of("DT_VERDEF")
        for _ in self._entries(self._tags["DT_VERDEFNUM"][0]):
            definition = struct_parse(structs.Elf_Verdef, self._stream, at)
            name = struct_parse(structs.Elf_Verdaux, self._stream, at + definition["vd_aux"])
            yield self._text(name["vda_name"])
            at += definition["vd_next"]


def _folders(texts: Iterator[str]) -> Iterator[str]:
    for text in texts:
        yield from (folder for folder in text.split(":") if folder)


class Rewindable(io.RawIOBase):
    """A stream that can only be read forwards, made seekable by opening it again where need be.

    Its first chunks and those read last are kept, so that the few far jumps which reading a dynamic
    segment takes open it once. `size` is known beforehand; `head` and `tail` are chunks of CHUNK bytes that
    are known too: the first ones, and others by number.
    """

    def __init__(
        self,
        open_: Callable[[], BinaryIO],
        size: int,
        head: Iterable[bytes] = (),
        tail: Iterable[tuple[int, bytes]] = (),
    ) -> None:
        self._open, self._size = open_, size
        self._source: BinaryIO | None = None
        self._next = 0
        self._head = list(head)
        self._tail = deque(tail, maxlen=TAIL)
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        if start + offset < 0:
            raise ValueError("a position before the start")
        self._at = start + offset
        return self._at

    def tell(self) -> int:
        return self._at

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override] # what BufferedReader passes
        if self._at >= self._size:
            return 0
        number, inside = divmod(self._at, CHUNK)
        part = self._chunk(number)[inside : inside + len(buffer)]
        buffer[: len(part)] = part
        self._at += len(part)
        return len(part)

    def close(self) -> None:
        if self._source is not None:
            self._source.close()
        super().close()

    def _chunk(self, number: int) -> bytes:
        if number < len(self._head):
            return self._head[number]
        for kept, chunk in self._tail:
            if kept == number:
                return chunk
        if self._source is None or number < self._next:
            if self._source is not None:
                self._source.close()
            self._source, self._next = self._open(), 0
        while self._next <= number:
            chunk = _exactly(self._source, CHUNK)
            if self._next == len(self._head) < HEAD:
                self._head.append(chunk)
            self._tail.append((self._next, chunk))
            self._next += 1
        return chunk


def seekable(open_: Callable[[], BinaryIO], size: int) -> BinaryIO:
    """The stream that `open_` opens, of `size` bytes, as one to seek in; in at most some 16 MB of memory."""
    return cast(BinaryIO, io.BufferedReader(Rewindable(open_, size), 1 << 16))


def _exactly(stream: BinaryIO, size: int) -> bytes:
    parts, missing = [], size
    while missing and (part := stream.read(missing)):
        parts.append(part)
        missing -= len(part)
    return b"".join(parts)
