"""Builds a source distribution (PEP 517): its .tar.gz comes on standard input, the result goes to standard output.

With the argument `requires` the result is a JSON list of what the backend wants besides what pyproject.toml
says; with `wheel` it is the wheel's file name, a line feed, and the wheel. Whatever the backend itself prints
goes to standard error.
"""

import importlib
import io
import json
import os
import sys
import tarfile
import tempfile
import tomllib
from pathlib import Path

LEGACY = "setuptools.build_meta:__legacy__"


def unpacked(folder: Path) -> Path:
    """The source tree in a new folder."""
    with tarfile.open(fileobj=io.BytesIO(sys.stdin.buffer.read())) as archive:
        if hasattr(tarfile, "data_filter"):
            archive.extraction_filter = tarfile.data_filter
        archive.extractall(folder)  # noqa: S202 - in a sandbox, as nobody
    found = [item for item in folder.iterdir() if item.is_dir()]
    if len(found) != 1:
        sys.exit(f"the archive holds {len(found)} folders at its top instead of one")
    return found[0]


def main() -> None:
    result = os.dup(1)
    os.dup2(2, 1)
    with tempfile.TemporaryDirectory() as scratch:
        source, output = unpacked(Path(scratch, "source")), Path(scratch, "wheel")
        output.mkdir()
        os.chdir(source)
        project = source / "pyproject.toml"
        system = tomllib.loads(project.read_text("utf-8")).get("build-system", {}) if project.is_file() else {}
        sys.path[:0] = [str(source / path) for path in system.get("backend-path", [])]
        module, _, attributes = system.get("build-backend", LEGACY).partition(":")
        backend = importlib.import_module(module)
        for attribute in filter(None, attributes.split(".")):
            backend = getattr(backend, attribute)
        if sys.argv[1] == "requires":
            hook = getattr(backend, "get_requires_for_build_wheel", list)
            answer = json.dumps(hook()).encode()
        else:
            name = backend.build_wheel(str(output))
            answer = name.encode() + b"\n" + (output / name).read_bytes()
        with os.fdopen(result, "wb") as stream:
            stream.write(answer)


main()
