"""What bytecode does to the start of a program: examples/iris-serving with and without, and with the base's too.

    python -m benchmarks.bytecode [--rounds N]

A program in an image is not its own user's to write to, so without bytecode in the image every start compiles
every module anew. Each round starts the interpreter in a container of each image and imports what the example
imports. What counts is processor time, which other work on the machine disturbs little. The third image is the
second with the standard library compiled as well, which no base has.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from benchmarks.measure import machine, table
from builder import pipeline
from builder.buildah import Buildah
from builder.inside.sandbox import Sandbox
from builder.pipeline import BuiltProject
from builder.progress import Quiet
from builder.project import open_project
from builder.settings import read_settings
from builder.workshop import Workshop

EXAMPLE: Final = Path(__file__).resolve().parent.parent / "examples" / "iris-serving"
IMPORTS: Final = "import fastapi, uvicorn, sklearn.ensemble, skops.io"
LIBRARY: Final = "import asyncio, email.message, http.client, logging.config, ssl, xml.etree.ElementTree"
TWO_STARTS: Final = """
import resource, subprocess, sys
def spent():
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
for _ in range(2):
    before = spent()
    subprocess.run([sys.executable, '-c', sys.argv[1]], check=True)
    print(spent() - before)
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    print(machine())
    with tempfile.TemporaryDirectory(prefix="mlbuild-bench-") as scratch, ExitStack() as stack:
        plain, compiled = (build(Path(scratch), bytecode) for bytecode in (False, True))
        images = {
            "without": stack.enter_context(container(plain)),
            "bytecode": stack.enter_context(container(compiled)),
            "and stdlib": stack.enter_context(container(compiled)),
        }
        compile_library(images["and stdlib"])
        measured: dict[str, dict[str, list[float]]] = {}
        for scenario, program in (("import of the example", IMPORTS), ("import of the library", LIBRARY)):
            times: dict[str, list[float]] = {name: [] for name in images}
            for _ in range(rounds):
                for name, sandbox in images.items():
                    times[name].append(start(sandbox, program))
            measured[scenario] = times
        print(table(measured, "bytecode"))
        sizes = [sum(layer.size for layer in built.image.manifest.layers) for built in (plain, compiled)]
        print(f"image, compressed: {sizes[0] / 1e6:.0f} MB without, {sizes[1] / 1e6:.0f} MB with bytecode")


def build(scratch: Path, bytecode: bool) -> BuiltProject:
    project = scratch / f"bytecode-{bytecode}".lower()
    shutil.copytree(EXAMPLE, project, ignore=shutil.ignore_patterns(".mlbuild"))
    spec = project / "mlbuild.yaml"
    spec.write_text(spec.read_text(encoding="utf-8") + f"bytecode: {str(bytecode).lower()}\n", encoding="utf-8")
    settings = read_settings(key=scratch / "key.pem", trusted_keys=scratch / "keys")
    return pipeline.build(open_project(project), Workshop(settings, Quiet(), now=datetime.now(UTC)))


@contextmanager
def container(built: BuiltProject) -> Iterator[Sandbox]:
    root = built.layout.root
    target = root.parent.parent / f"mlbuild-{uuid.uuid4().hex[:16]}"  # buildah names the image after it
    shutil.copytree(root, target)
    with Buildah().container(f"oci:{target.name}", within=target.parent, keep_image=False) as made:
        yield Sandbox(made)


def compile_library(sandbox: Sandbox) -> None:
    library = "import sysconfig, compileall, sys; path = sysconfig.get_path('stdlib'); "
    mode = "import py_compile; mode = py_compile.PycInvalidationMode.UNCHECKED_HASH; "
    run = "compileall.compile_dir(path, quiet=2, invalidation_mode=mode)"
    sandbox.run(["python", "-c", library + mode + run], user="root")


def start(sandbox: Sandbox, program: str) -> float:
    """Seconds of processor time of the interpreter, all it does included, the files having been read before."""
    with tempfile.TemporaryFile() as result:
        sandbox.run(["python", "-c", TWO_STARTS, program], stdout=result)
        result.seek(0)
        return float(result.read().split()[1])


if __name__ == "__main__":
    sys.exit(main())
