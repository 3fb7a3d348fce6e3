"""The program that the base's interpreter compiles with, run by this one: bytes depend on the source alone."""

from __future__ import annotations

import importlib.util
import marshal
import struct
import subprocess
import sys
from collections.abc import Sequence

import pytest

from builder.inside.programs import program

SOURCES = {
    "/opt/venv/a.py": b"import os\nNAME = 'a'\ndef f(x):\n    return x in {'p', 'q', None, 'r'}\n",
    "/opt/venv/b.py": b"from os import path\nNAME = 'a'\nclass A:\n    x = y = 1\n    def f(self, n=NAME): pass\n",
    "/opt/venv/latin.py": b"# -*- coding: latin-1 -*-\nX = '\xe9'\n",
    "/opt/venv/empty.py": b"",
    "/opt/venv/large.py": b"X = [\n" + b"'some text', 1.5, (1, 2),\n" * 20_000 + b"]\n",
}
NO_PYTHON = {
    "/opt/venv/two.py": b"print 'two'\n",
    "/opt/venv/nul.py": b"x = '\0'\n",
    "/opt/venv/not_utf8.py": b"x = '\xff'\n",
    "/opt/venv/deep.py": b"(" * 5000 + b")" * 5000,
}


def compiled(sources: Sequence[tuple[str, bytes]], **environment: str) -> list[bytes]:
    asked = b"".join(
        struct.pack(">QQ", len(path.encode()), len(text)) + path.encode() + text for path, text in sources
    )
    command = [sys.executable, "-P", "-s", "-S", "-B", "-W", "ignore", "-c", program("compile_sources")]
    done = subprocess.run(command, input=asked, stdout=subprocess.PIPE, check=True, env=environment)
    found, rest = [], done.stdout
    while rest:
        size = struct.unpack(">Q", rest[:8])[0]
        found.append(rest[8 : 8 + size])
        rest = rest[8 + size :]
    return found


@pytest.fixture(scope="module")
def together() -> list[bytes]:
    return compiled(list(SOURCES.items()), PYTHONHASHSEED="0")


def test_a_source_alone_gives_the_bytes_it_gives_among_others(together: list[bytes]) -> None:
    alone = [compiled([item], PYTHONHASHSEED="0")[0] for item in SOURCES.items()]
    assert together == alone


@pytest.mark.parametrize("step", [1, 4, 7])
def test_order_and_surroundings_do_not_matter(together: list[bytes], step: int) -> None:
    sources = list((SOURCES | NO_PYTHON).items())
    items = [sources[number * step % len(sources)] for number in range(3 * len(sources))]
    wanted = dict(zip(SOURCES, together, strict=True))
    found = compiled(items, PYTHONHASHSEED="0", HOME=f"/{step}", LC_ALL="C", TZ="Asia/Tokyo")
    for (path, _), made in zip(items, found, strict=True):
        assert made == wanted.get(path, b"")


def test_it_is_unchecked_hash_bytecode_of_that_source() -> None:
    for (path, text), made in zip(SOURCES.items(), compiled(list(SOURCES.items())), strict=True):
        assert made[:4] == importlib.util.MAGIC_NUMBER
        assert int.from_bytes(made[4:8], "little") == 0b01
        assert made[8:16] == importlib.util.source_hash(text)
        code = marshal.loads(made[16:])  # noqa: S302 - made right here
        assert code.co_filename == path


@pytest.mark.parametrize("path", NO_PYTHON)
def test_what_is_no_python_is_left_out(path: str) -> None:
    assert compiled([(path, NO_PYTHON[path])]) == [b""]
