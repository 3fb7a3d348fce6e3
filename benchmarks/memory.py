"""Peak memory of `mlbuild build` for a small and a large set of wheels: it should not grow with the image.

The wheels are made here: random bytes, a third of them deflated, in files of up to 256 MB, one wheel of each
set as large as half of it. Nothing is cached but the base. What is measured is the highest resident set of the
process that builds, as the kernel counts it (wait4), which is without page cache.

Run as `make bench-memory`. `--megabytes SMALL LARGE` takes other sizes.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import os
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from benchmarks.local_index import serve_index
from benchmarks.measure import machine

BASE: Final = "python3.11-slim"
MEGABYTES: Final = (100, 3000)
_CHUNK: Final = 1 << 20
_FILE: Final = 256 * _CHUNK


def make_wheel(folder: Path, name: str, size: int) -> Path:
    """A true wheel of about `size` bytes, written as a stream."""
    info = f"{name}-1.0.dist-info"
    path = folder / f"{name}-1.0-py3-none-any.whl"
    record = []
    with zipfile.ZipFile(path, "w", compresslevel=1) as archive:

        def add(member: str, chunks: Iterator[bytes], compression: int) -> None:
            state, length = hashlib.sha256(), 0
            entry = zipfile.ZipInfo(member)
            entry.compress_type = compression
            with archive.open(entry, "w", force_zip64=True) as stream:
                for chunk in chunks:
                    stream.write(chunk)
                    state.update(chunk)
                    length += len(chunk)
            digest = base64.urlsafe_b64encode(state.digest()).rstrip(b"=").decode()
            record.append(f"{member},sha256={digest},{length}")

        add(f"{name}/__init__.py", iter([b""]), zipfile.ZIP_STORED)
        for number, start in enumerate(range(0, size, _FILE)):
            compression = zipfile.ZIP_DEFLATED if number % 3 == 0 else zipfile.ZIP_STORED
            length = min(_FILE, size - start)
            add(f"{name}/{number}.bin", (os.urandom(_CHUNK) for _ in range(-(-length // _CHUNK))), compression)
        metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n".encode()
        add(f"{info}/METADATA", iter([metadata]), zipfile.ZIP_STORED)
        wheel = b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        add(f"{info}/WHEEL", iter([wheel]), zipfile.ZIP_STORED)
        archive.writestr(f"{info}/RECORD", "\n".join([*record, f"{info}/RECORD,,", ""]))
    return path


def make_wheels(folder: Path, megabytes: int) -> dict[str, Path]:
    """Wheels of `megabytes` together: one of half of it, and ten that share the rest."""
    folder.mkdir()
    size = megabytes * 1_000_000
    sizes = {"half": size // 2, **{f"tenth{number}": size // 20 for number in range(10)}}
    return {name: make_wheel(folder, name, part) for name, part in sizes.items()}


def write_project(project: Path, names: Iterable[str]) -> None:
    project.mkdir()
    (project / "app.py").write_text("print()\n")
    (project / "mlbuild.yaml").write_text(
        f"image: training/memory\nbase: {BASE}\ndependencies: [{', '.join(names)}]\napp: {{include: [app.py]}}\n"
    )


def mlbuild(root: Path, project: Path, *arguments: str, **variables: str) -> int:
    """Run mlbuild and return the highest resident set of its process, in bytes."""
    environment = {
        **os.environ,
        "MLBUILD_CACHE": str(root / "cache"),
        "MLBUILD_KEY": str(root / "key.pem"),
        "MLBUILD_TRUSTED_KEYS": str(root / "trusted-keys"),
        **variables,
    }
    command = [sys.executable, "-m", "builder", "--quiet", "-C", str(project), *arguments]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise SystemExit(f"mlbuild {' '.join(arguments)} ended with {process.returncode}")
    return usage.ru_maxrss * 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--megabytes", type=int, nargs=2, default=MEGABYTES, metavar=("SMALL", "LARGE"))
    sets: tuple[int, int] = parser.parse_args().megabytes
    print(f"{machine()}; wheels made for this, all layers made anew\n")
    print(f"{'set of wheels':<16}{'build':>10}{'peak memory':>14}")
    peaks = []
    for megabytes in sets:
        with tempfile.TemporaryDirectory(prefix="mlbuild-bench-") as name:
            root = Path(name)
            wheels = make_wheels(root / "wheels", megabytes)
            project = root / "project"
            write_project(project, wheels)
            with serve_index(wheels) as index:
                mlbuild(root, project, "base", "build", BASE)
                mlbuild(root, project, "lock", UV_DEFAULT_INDEX=index, UV_NO_CACHE="1")
                started = time.perf_counter()
                peaks.append(mlbuild(root, project, "build"))
                taken = time.perf_counter() - started
            print(f"{f'{megabytes:,} MB':<16}{taken:>8.1f} s{peaks[-1] / 1e6:>11.1f} MB", flush=True)
    print(f"\nthe larger takes {(peaks[-1] - peaks[0]) / 1e6:+.1f} MB")


if __name__ == "__main__":
    main()
