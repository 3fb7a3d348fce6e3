"""Building one image from one lock on one base: mlbuild, and `buildah bud` with pip and with uv.

All three start from the same base layer and the same pins with hashes, and are timed until there is an OCI
layout on disk that can be pushed: for buildah that is `bud --layers` and `push oci:`, whose time is also told
by itself. pip and uv run inside the base, mounted from outside, since the base holds neither. Scenarios, in
this order for each contender:

- cold: nothing cached at all, downloads included
- wheels cached: downloads (pip's and uv's cache) kept, image and layers forgotten
- nothing changed: the same command again
- app changed: one line of the application
- one dependency changed: a small one, to a version that was not used before

After the last one it is told how many bytes of blobs the new image has that the one before has not: what a push
would send.

Run as `make bench-build`. `--rounds N` repeats everything and prints medians.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from benchmarks.contenders import BASE, PIP, UV, Buildah, Contender, Mlbuild, run
from benchmarks.measure import machine, seconds, table
from compliance.oci.layout import Layout

SCENARIOS: Final = ("cold", "wheels cached", "nothing changed", "app changed", "one dependency changed")
REQUIREMENTS: Final = ("scikit-learn", "pandas", "xgboost", "fastapi", "uvicorn")
SMALL: Final = ("idna", "idna==3.10")
"""The dependency that changes: a requirement, and the older version it is pinned to."""

SPEC: Final = f"""\
image: training/bench
base: {BASE}
requirements: [requirements.txt]
app: {{include: [app.py]}}
command: [python, app.py]
"""


def write_project(directory: Path) -> None:
    directory.mkdir()
    (directory / "mlbuild.yaml").write_text(SPEC)
    (directory / "app.py").write_text("print('first')\n")
    (directory / "requirements.txt").write_text("\n".join(REQUIREMENTS) + "\n")


def lock(directory: Path, root: Path) -> None:
    """Lock by mlbuild, and write the same pins with hashes for pip and uv."""
    run(
        [sys.executable, "-m", "builder", "--quiet", "-C", str(directory), "lock"],
        MLBUILD_CACHE=str(root / "lock-cache"),
    )
    from builder.lock_reader import read_lock

    wheels = read_lock(directory / "pylock.toml").wheels
    pins = [f"{wheel.name}=={wheel.version} --hash=sha256:{wheel.sha256}" for wheel in wheels]
    (directory / "requirements.lock").write_text("\n".join(pins) + "\n")


def change_dependency(project: Path, root: Path) -> None:
    lines = [*REQUIREMENTS, SMALL[1]]
    (project / "requirements.txt").write_text("\n".join(lines) + "\n")
    lock(project, root)


def installers(root: Path) -> tuple[Path, Path]:
    """pip, unpacked, and the uv binary, each in a directory to mount."""
    pip, uv = root / "pip", root / "uv"
    run([sys.executable, "-m", "uv", "pip", "install", "--quiet", "--target", str(pip), "pip"])
    uv.mkdir()
    from uv import find_uv_bin

    shutil.copy(find_uv_bin(), uv / "uv")
    return pip, uv


@dataclass
class Measured:
    """What one contender took, by scenario: seconds in all, seconds of writing the layout, bytes to push.

    `changed_layer` is how many of the bytes to push are the largest layer among them.
    """

    times: dict[str, float] = field(default_factory=dict)
    writing: dict[str, float] = field(default_factory=dict)
    to_push: int = 0
    changed_layer: int = 0


def blobs(layout: Path) -> dict[str, int]:
    """The blobs of a layout's one image, and their sizes in bytes."""
    found = Layout(layout)
    manifest, _ = found.image(found.index().manifests[0].digest)
    return {blob.digest: blob.size for blob in (manifest.config, *manifest.layers)}


def scenarios(contender: Contender, root: Path) -> Measured:
    """Every scenario once, for one contender, on a fresh copy of the project."""
    measured = Measured()

    def take(scenario: str) -> None:
        measured.times[scenario] = seconds(contender.build)
        measured.writing[scenario] = contender.writing

    project = contender.project
    shutil.rmtree(project, ignore_errors=True)
    shutil.copytree(root / "project", project)
    contender.forget_everything()
    if isinstance(contender, Mlbuild):
        contender.keep_base()
    take("cold")
    contender.forget_images()
    take("wheels cached")
    take("nothing changed")
    (project / "app.py").write_text("print('second')\n")
    take("app changed")
    before = blobs(contender.layout)
    for name in ("requirements.txt", "requirements.lock", "pylock.toml"):
        shutil.copy(root / "changed" / name, project / name)
    take("one dependency changed")
    after = blobs(contender.layout)
    new = [size for digest, size in after.items() if digest not in before]
    measured.to_push, measured.changed_layer = sum(new), max(new)
    return measured


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=3, help="how often everything is repeated (default 3)")
    rounds: int = parser.parse_args().rounds
    with tempfile.TemporaryDirectory(prefix="mlbuild-bench-") as name:
        root = Path(name)
        write_project(root / "project")
        lock(root / "project", root)
        shutil.copytree(root / "project", root / "changed")
        change_dependency(root / "changed", root)
        base = write_base(root)
        pip, uv = installers(root)
        contenders: list[Contender] = [
            Mlbuild("mlbuild", root / "with-mlbuild", root / "project-mlbuild"),
            Buildah("buildah+pip", root / "with-pip", root / "project-pip", base, PIP, pip),
            Buildah("buildah+uv", root / "with-uv", root / "project-uv", base, UV, uv),
        ]
        measured: dict[str, list[Measured]] = {contender.name: [] for contender in contenders}
        for number in range(rounds):
            for contender in contenders:
                print(f"round {number + 1} of {rounds}: {contender.name}", file=sys.stderr)
                measured[contender.name].append(scenarios(contender, root))
        report(measured, rounds)


def report(measured: Mapping[str, Sequence[Measured]], rounds: int) -> None:
    print(f"{machine()}; medians of {rounds} rounds; {', '.join(REQUIREMENTS)}\n")
    times = {
        scenario: {name: [one.times[scenario] for one in each] for name, each in measured.items()}
        for scenario in SCENARIOS
    }
    print(table(times, ours="mlbuild"))
    print("\nof which buildah's `push oci:`, which compresses what `bud` made")
    for scenario in SCENARIOS:
        shares = [
            f"{name} {statistics.median(one.writing[scenario] for one in each):.2f} s"
            for name, each in measured.items()
            if any(one.writing[scenario] for one in each)
        ]
        print(f"{scenario:<24}{'  '.join(shares)}")
    print("\nbytes of blobs that are new after one dependency changed, and of the one layer that changed")
    for name, each in measured.items():
        last = each[-1]
        more = last.to_push / last.changed_layer - 1
        print(f"{name:<24}{last.to_push / 1e6:,.2f} MB  {last.changed_layer / 1e6:,.2f} MB  (+{more:.1%})")


def write_base(root: Path) -> Path:
    """The base as an OCI layout that buildah takes."""
    from builder.bases.build import build_base
    from builder.cache import Cache
    from builder.progress import Quiet
    from builder.settings import read_settings
    from compliance.bases import find_base, read_bases

    definition = find_base(read_bases(read_settings().bases), BASE, "amd64")
    layout = root / "base"
    build_base(definition, Cache(root / "base-cache"), Quiet()).write(layout)
    return layout


if __name__ == "__main__":
    main()
