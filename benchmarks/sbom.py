"""An SBOM of an image: written from its lock and base, as mlbuild does, and read out of the image by Trivy.

Both end with a CycloneDX document of the image of `benchmarks.build`. mlbuild is measured as it is in a build,
where Python runs already, and as a process of its own; Trivy with nothing cached, and with its layer cache.

Run as `make bench-sbom`. `--rounds N` repeats everything and prints medians.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Final

from benchmarks.build import REQUIREMENTS, write_project
from benchmarks.contenders import BASE, run
from benchmarks.measure import machine, seconds, table
from builder.lock_facts import inventory_packages
from builder.lock_reader import read_lock
from builder.settings import read_settings
from compliance.bases import find_base, read_bases
from compliance.inventory import Inventory
from compliance.sbom import to_cyclonedx
from compliance.scan.trivy import Trivy

PROGRAM: Final = """
import sys
from benchmarks.sbom import write_sbom
sys.stdout.buffer.write(write_sbom(sys.argv[1]))
"""


def write_sbom(lock: str | Path) -> bytes:
    """The document, from the files of lock and base alone."""
    base = find_base(read_bases(read_settings().bases), BASE, "amd64")
    packages = [*base.packages, *inventory_packages(read_lock(Path(lock)))]
    inventory = Inventory(base.os, tuple(sorted(packages, key=lambda package: package.purl)))
    return to_cyclonedx(inventory, name="bench")


def scan(binary: Path, layout: Path, cache: Path) -> str:
    return run(
        [
            *(str(binary), "image", "--quiet", "--format", "cyclonedx", "--cache-dir", str(cache)),
            *("--skip-db-update", "--offline-scan", "--skip-version-check", "--input", str(layout)),
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=3, help="how often everything is repeated (default 3)")
    rounds: int = parser.parse_args().rounds
    with tempfile.TemporaryDirectory(prefix="mlbuild-bench-") as name:
        root = Path(name)
        project = root / "project"
        write_project(project)
        build = [sys.executable, "-m", "builder", "--quiet", "-C", str(project), "build"]
        run(
            build,
            MLBUILD_CACHE=str(root / "cache"),
            MLBUILD_KEY=str(root / "key.pem"),
            MLBUILD_TRUSTED_KEYS=str(root / "trusted-keys"),
        )
        trivy = Trivy.find(root / "trivy").binary
        lock = project / "pylock.toml"
        write = [sys.executable, "-c", PROGRAM, str(lock)]
        layout = project / ".mlbuild" / "image"
        ours, alone, theirs = ("mlbuild", "as a process", "trivy image")
        times: dict[str, dict[str, list[float]]] = {
            scenario: {ours: [], alone: [], theirs: []} for scenario in ("nothing cached", "layers read before")
        }
        documents = {ours: run(write), theirs: scan(trivy, layout, root / "trivy")}
        for _ in range(rounds):
            shutil.rmtree(root / "trivy")
            for scenario in times.values():
                scenario[ours].append(seconds(lambda: write_sbom(lock)))
                scenario[alone].append(seconds(lambda: run(write)))
                scenario[theirs].append(seconds(lambda: scan(trivy, layout, root / "trivy")))
        print(f"{machine()}; medians of {rounds} rounds; {', '.join(REQUIREMENTS)}\n")
        print(table(times, ours=ours))
        for who, document in documents.items():
            purls = {part.get("purl") for part in json.loads(document)["components"]}
            print(f"\n{who} lists {len(purls - {None})} packages", end="")
        print()


if __name__ == "__main__":
    main()
