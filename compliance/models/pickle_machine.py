"""Pickles followed without being run: nothing is imported, called or built.

The opcode table is that of `pickletools` (protocols 0 to 5). Only what is needed to find the imports is
kept: short texts on the stack and in the memo.
"""

from __future__ import annotations

import io
import pickle
import pickletools
import re
from dataclasses import dataclass
from enum import StrEnum
from typing import BinaryIO, Final

MAX_OPERATIONS: Final = 300_000
MAX_PICKLES: Final = 8
MAX_TEXT: Final = 512
CHUNK: Final = 1 << 16
PROTO: Final = 0x80

_DOTTED: Final = re.compile(r"[^\W\d]\w*(?:\.[^\W\d]\w*)*")


class End(StrEnum):
    STOP = "stop"  # the pickle is whole
    BROKEN = "broken"  # no unpickler would get past this point
    CUT = "cut"  # the input or our patience ended first


@dataclass(frozen=True, slots=True)
class Walk:
    """What following a pickle showed. `imports` are dotted names in order of appearance."""

    end: End
    imports: tuple[str, ...]
    operations: int
    containers: bool


@dataclass(frozen=True, slots=True)
class _Operation:
    name: str
    argument: int
    lines: int
    pops: int
    to_mark: bool
    pushes: int


class _Broken(Exception):
    pass


class _Cut(Exception):
    pass


def _table() -> dict[int, _Operation]:
    table = {}
    for op in pickletools.opcodes:
        before = op.stack_before
        to_mark = pickletools.markobject in before
        lines = 2 if op.arg is pickletools.stringnl_noescape_pair else 1
        table[ord(op.code)] = _Operation(
            op.name,
            op.arg.n if op.arg else 0,
            lines,
            before.index(pickletools.markobject) if to_mark else len(before),
            to_mark,
            len(op.stack_after),
        )
    return table


_TABLE: Final = _table()
_STARTS: Final = frozenset(code for code, op in _TABLE.items() if not op.pops and not op.to_mark)
_TEXTS: Final = frozenset(
    {"UNICODE", "STRING", "BINSTRING", "SHORT_BINSTRING", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8"}
)
_CONTAINERS: Final = frozenset({"TUPLE", "LIST", "DICT", "APPEND", "APPENDS", "SETITEM", "SETITEMS"})
_PREFIXES: Final = {
    pickletools.TAKEN_FROM_ARGUMENT1: (1, False),
    pickletools.TAKEN_FROM_ARGUMENT4: (4, True),
    pickletools.TAKEN_FROM_ARGUMENT4U: (4, False),
    pickletools.TAKEN_FROM_ARGUMENT8U: (8, False),
}


class _Machine:
    """An unpickler that knows only texts: everything else on its stack is None."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._stack: list[str | None] = []
        self._marks: list[int] = []
        self._memo: dict[int, str | None] = {}
        self.imports: dict[str, None] = {}
        self.operations = 0
        self.containers = False

    def run(self, budget: int) -> End:
        try:
            while self.operations < budget:
                self.operations += 1
                operation = _TABLE.get(self._take(1)[0])
                if operation is None:
                    raise _Broken
                if operation.name == "STOP":
                    return End.STOP if self._stack else End.BROKEN
                self._step(operation)
        except _Broken:
            return End.BROKEN
        except _Cut:
            pass
        return End.CUT

    def _step(self, operation: _Operation) -> None:
        argument = self._argument(operation)
        name = operation.name
        if name == "MARK":
            self._marks.append(len(self._stack))
        elif name == "PROTO" and argument[0] > pickle.HIGHEST_PROTOCOL:
            raise _Broken
        elif name == "POP" and self._marks and self._marks[-1] == len(self._stack):
            self._marks.pop()
        elif name in _TEXTS:
            self._stack.append(_text(argument))
        elif name == "DUP":
            self._need(1)
            self._stack.append(self._stack[-1])
        elif name in {"PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE"}:
            self._need(1)
            self._memo[self._index(name, argument)] = self._stack[-1]
        elif name in {"GET", "BINGET", "LONG_BINGET"}:
            index = self._index(name, argument)
            if index not in self._memo:
                raise _Broken
            self._stack.append(self._memo[index])
        else:
            self._import(name, argument)
            self._pop(operation)
            self._stack.extend([None] * operation.pushes)
            self.containers |= operation.name in {
                "TUPLE",
                "LIST",
                "DICT",
                "APPENDS",
                "SETITEMS",
                "APPEND",
                "SETITEM",
            }

    def _import(self, name: str, argument: bytes) -> None:
        if name in {"GLOBAL", "INST"}:
            module, _, attribute = argument.decode("utf-8", "replace").partition("\n")
        elif name == "STACK_GLOBAL":
            self._need(2)
            module, attribute = (text if text is not None else "?" for text in self._stack[-2:])
        elif name in {"EXT1", "EXT2", "EXT4"}:
            self.imports[f"extension code {int.from_bytes(argument, 'little')}"] = None
            return
        else:
            return
        for text in (module, attribute):
            if text != "?" and not _DOTTED.fullmatch(text):
                raise _Broken
        self.imports[f"{module}.{attribute}"] = None

    def _pop(self, operation: _Operation) -> None:
        if operation.to_mark:
            if not self._marks:
                raise _Broken
            del self._stack[self._marks.pop() :]
        self._need(operation.pops)
        if operation.pops:
            del self._stack[-operation.pops :]

    def _need(self, count: int) -> None:
        if len(self._stack) - (self._marks[-1] if self._marks else 0) < count:
            raise _Broken

    def _index(self, name: str, argument: bytes) -> int:
        if name == "MEMOIZE":
            return len(self._memo)
        if name in {"PUT", "GET"}:
            if not argument.isdigit() or len(argument) > 10:
                raise _Broken
            return int(argument)
        return int.from_bytes(argument, "little")

    def _argument(self, operation: _Operation) -> bytes:
        """The argument's bytes; of a long one only the beginning, the rest is skipped."""
        if operation.argument == pickletools.UP_TO_NEWLINE:
            return b"\n".join(self._line() for _ in range(operation.lines))
        if operation.argument >= 0:
            return self._take(operation.argument)
        width, signed = _PREFIXES[operation.argument]
        size = int.from_bytes(self._take(width), "little", signed=signed)
        if size < 0:
            raise _Broken
        kept = self._take(min(size, MAX_TEXT + 1))
        self._skip(size - len(kept))
        return kept

    def _line(self) -> bytes:
        kept = line = self._stream.readline(CHUNK)
        while line and not line.endswith(b"\n"):
            line = self._stream.readline(CHUNK)
        if not line:
            raise _Cut
        return kept[: MAX_TEXT + 1].removesuffix(b"\n")

    def _take(self, size: int) -> bytes:
        data = self._stream.read(size)
        if len(data) < size:
            raise _Cut
        return data

    def _skip(self, size: int) -> None:
        while size > 0:
            size -= len(self._take(min(size, CHUNK)))


def _text(argument: bytes) -> str | None:
    if len(argument) > MAX_TEXT:
        return None
    return argument.decode("utf-8", "replace").strip("'\"")


def walk(stream: BinaryIO, budget: int = MAX_OPERATIONS) -> Walk:
    """Follow the pickle at the start of `stream`, and the ones after it where several stand in a row."""
    machine = _Machine(stream)
    end = machine.run(budget)
    imports, operations, containers = dict(machine.imports), machine.operations, machine.containers
    for _ in range(MAX_PICKLES - 1):
        if end is not End.STOP:
            break
        machine = _Machine(stream)
        following = machine.run(budget - operations)
        if following is not End.STOP and not machine.imports:
            break  # what follows is data of another kind, or nothing
        imports |= machine.imports
        operations += machine.operations
        end = following
    return Walk(end, tuple(imports), operations, containers)


def could_be(head: bytes) -> bool:
    """Whether a file that begins with `head` may be a pickle: its first opcodes make sense."""
    if len(head) < 2 or head[0] not in _STARTS:
        return False
    if head[0] == PROTO:
        return head[1] <= pickle.HIGHEST_PROTOCOL
    return walk(io.BytesIO(head), 2_000).end is not End.BROKEN
