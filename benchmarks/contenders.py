"""Those who build the same image, each as a person would run it, in a directory of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Final

from benchmarks.measure import seconds

BASE: Final = "python3.11-slim"

PIP: Final = (
    'RUN ["/opt/venv/bin/python", "/tool/pip", "install", "--quiet", "--no-deps", "--require-hashes", '
    '"--cache-dir", "/download-cache", "--root-user-action", "ignore", "-r", "/tmp/requirements.lock"]'
)
UV: Final = (
    "ENV SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt\n"
    'RUN ["/tool/uv", "pip", "install", "--quiet", "--no-deps", "--require-hashes", "--link-mode", "copy", '
    '"--python", "/opt/venv/bin/python", "--cache-dir", "/download-cache", "-r", "/tmp/requirements.lock"]'
)


class Contender(ABC):
    """One way to build. `root` is a directory of its own; `project` holds the files that are built."""

    def __init__(self, name: str, root: Path, project: Path) -> None:
        self.name = name
        self.root = root
        self.project = project
        self.writing = 0.0
        """Seconds of the last build that went into writing the layout, where that is a command of its own."""
        root.mkdir()

    @abstractmethod
    def forget_everything(self) -> None: ...

    @abstractmethod
    def forget_images(self) -> None: ...

    @abstractmethod
    def build(self) -> None: ...

    @property
    @abstractmethod
    def layout(self) -> Path: ...


class Mlbuild(Contender):
    """mlbuild, as a command. Layers are part of its cache; downloads are the wheels in it."""

    def build(self) -> None:
        self._mlbuild("build")

    @property
    def layout(self) -> Path:
        return self.project / ".mlbuild" / "image"

    def forget_everything(self) -> None:
        shutil.rmtree(self.root / "cache", ignore_errors=True)
        shutil.rmtree(self.project / ".mlbuild", ignore_errors=True)
        self._mlbuild("base", "build", BASE)  # the others are given the base as well

    def forget_images(self) -> None:
        shutil.rmtree(self.project / ".mlbuild", ignore_errors=True)
        layers = self.root / "cache" / "layers"
        kept = self.root / "base-layer"
        records = self.root / "cache" / "records"
        for notes in (layers, records / "trees", records / "elf"):
            shutil.rmtree(notes, ignore_errors=True)
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
        shutil.rmtree(self.layout, ignore_errors=True)
        push = ["buildah", *self._storage, "push", "--quiet", "bench", f"oci:{self.layout}:bench"]
        self.writing = seconds(lambda: run(push))

    @property
    def layout(self) -> Path:
        return self.root / "layout"


def run(command: list[str], *, cwd: Path | None = None, **environment: str) -> str:
    done = subprocess.run(
        command, cwd=cwd, env={**os.environ, **environment}, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}")
    return done.stdout
