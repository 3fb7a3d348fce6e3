"""Building one image from one lock on one base: mlbuild, and `buildah bud` with pip and with uv.

All three start from the same base layer and the same pins with hashes, and are timed until there is an OCI
layout on disk that can be pushed: for buildah that is `bud --layers` and `push oci:`. pip and uv run inside
the base, mounted from outside, since the base holds neither. Scenarios, in this order for each contender:

- cold: nothing cached at all, downloads included
- wheels cached: downloads (pip's and uv's cache) kept, image and layers forgotten
- nothing changed: the same command again
- app changed: one line of the application
- one dependency changed: a small one, to a version that was not used before

Run as `make bench-build`. `--rounds N` repeats everything and prints medians.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

from benchmarks.measure import machine, seconds, table

SCENARIOS: Final = ("cold", "wheels cached", "nothing changed", "app changed", "one dependency changed")
BASE: Final = "python3.11-slim"
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


class Contender:
    """One way to build. `root` is a directory of its own; `project` holds the files that are built."""

    def __init__(self, name: str, root: Path, project: Path) -> None:
        self.name = name
        self.root = root
        self.project = project
        root.mkdir()

    def forget_everything(self) -> None:
        raise NotImplementedError

    def forget_images(self) -> None:
        raise NotImplementedError

    def build(self) -> None:
        raise NotImplementedError


class Mlbuild(Contender):
    """mlbuild, as a command. Layers are part of its cache; downloads are the wheels in it."""

    def build(self) -> None:
        self._mlbuild("build")

    def forget_everything(self) -> None:
        shutil.rmtree(self.root / "cache", ignore_errors=True)
        shutil.rmtree(self.project / ".mlbuild", ignore_errors=True)
        self._mlbuild("base", "build", BASE)  # the others are given the base as well

    def forget_images(self) -> None:
        shutil.rmtree(self.project / ".mlbuild", ignore_errors=True)
        layers = self.root / "cache" / "layers"
        kept = self.root / "base-layer"
        shutil.rmtree(layers)
        shutil.copytree(kept, layers)

    def keep_base(self) -> None:
        shutil.copytree(self.root / "cache" / "layers", self.root / "base-layer", dirs_exist_ok=True)

    def _mlbuild(self, *arguments: str) -> None:
        run(
            [sys.executable, "-m", "builder", "--quiet", "-C", str(self.project), *arguments],
            MLBUILD_CACHE=str(self.root / "cache"),
            MLBUILD_KEY=str(self.root / "key.pem"),
            MLBUILD_TRUSTED_KEYS=str(self.root / "trusted-keys"),
        )


class Buildah(Contender):
    """`buildah bud` with an installer that is mounted into the base."""

    def __init__(self, name: str, root: Path, project: Path, base: Path, install: str, tool: Path) -> None:
        super().__init__(name, root, project)
        self._storage = ["--root", str(root / "storage"), "--runroot", str(root / "run")]
        self._base = base
        self._tool = tool
        self._containerfile = root / "Containerfile"
        self._containerfile.write_text(
            f"FROM localhost/{base.name}\nUSER 0\nCOPY requirements.lock /tmp/requirements.lock\n{install}\n"
            'COPY app.py /app/app.py\nUSER 65532\nCMD ["python", "/app/app.py"]\n'
        )

    def forget_everything(self) -> None:
        shutil.rmtree(self.root / "download-cache", ignore_errors=True)
        (self.root / "download-cache").mkdir()
        self.forget_images()

    def forget_images(self) -> None:
        if (self.root / "storage").exists():
            run(["buildah", *self._storage, "rmi", "--all", "--force"])
        run(["buildah", *self._storage, "pull", f"oci:{self._base.name}"], cwd=self._base.parent)

    def build(self) -> None:
        certificates = "/etc/ssl/certs/ca-certificates.crt"
        run(
            [
                *("buildah", *self._storage, "bud", "--layers", "--isolation", "chroot", "--network", "host"),
                *("--volume", f"{self._tool}:/tool:ro", "--volume", f"{self.root}/download-cache:/download-cache"),
                *("--volume", f"{certificates}:{certificates}:ro", "--pull-never"),
                *("--file", str(self._containerfile), "--tag", "bench", str(self.project)),
            ]
        )
        shutil.rmtree(self.root / "layout", ignore_errors=True)
        run(["buildah", *self._storage, "push", "--quiet", "bench", f"oci:{self.root}/layout:bench"])


def run(command: list[str], *, cwd: Path | None = None, **environment: str) -> str:
    done = subprocess.run(
        command, cwd=cwd, env={**os.environ, **environment}, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}")
    return done.stdout


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
    from builder.lock import read_lock

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


PIP: Final = (
    'RUN ["/opt/venv/bin/python", "/tool/pip", "install", "--quiet", "--no-deps", "--require-hashes", '
    '"--cache-dir", "/download-cache", "--root-user-action", "ignore", "-r", "/tmp/requirements.lock"]'
)
UV: Final = (
    "ENV SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt\n"
    'RUN ["/tool/uv", "pip", "install", "--quiet", "--no-deps", "--require-hashes", "--link-mode", "copy", '
    '"--python", "/opt/venv/bin/python", "--cache-dir", "/download-cache", "-r", "/tmp/requirements.lock"]'
)


def scenarios(contender: Contender, root: Path) -> dict[str, float]:
    """Every scenario once, for one contender, on a fresh copy of the project."""
    project = contender.project
    shutil.rmtree(project, ignore_errors=True)
    shutil.copytree(root / "project", project)
    contender.forget_everything()
    if isinstance(contender, Mlbuild):
        contender.keep_base()
    times = {"cold": seconds(contender.build)}
    contender.forget_images()
    times["wheels cached"] = seconds(contender.build)
    times["nothing changed"] = seconds(contender.build)
    (project / "app.py").write_text("print('second')\n")
    times["app changed"] = seconds(contender.build)
    for name in ("requirements.txt", "requirements.lock", "pylock.toml"):
        shutil.copy(root / "changed" / name, project / name)
    times["one dependency changed"] = seconds(contender.build)
    return times


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
        results: dict[str, dict[str, list[float]]] = {
            scenario: {contender.name: [] for contender in contenders} for scenario in SCENARIOS
        }
        for number in range(rounds):
            for contender in contenders:
                print(f"round {number + 1} of {rounds}: {contender.name}", file=sys.stderr)
                for scenario, taken in scenarios(contender, root).items():
                    results[scenario][contender.name].append(taken)
        print(f"{machine()}; medians of {rounds} rounds; {', '.join(REQUIREMENTS)}\n")
        print(table(results, ours="mlbuild"))


def write_base(root: Path) -> Path:
    """The base as an OCI layout that buildah takes."""
    from builder.bases import build_base
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
