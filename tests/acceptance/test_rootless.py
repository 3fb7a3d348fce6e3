"""What runs inside an image, as an ordinary user: steps, bytecode, a package built from source, `mlbuild test`.

The user is made up for the test: in a mount namespace of its own, where /etc/passwd and /etc/subuid have one more
line. Nothing of the machine changes.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from builder.cache import Cache
from compliance.oci.layout import Layout
from tests.builder.wheel_index import make_sdist, make_wheel, serve_index
from tests.workplace import ROOT, Workplace

pytestmark = [pytest.mark.acceptance, pytest.mark.xdist_group("examples")]

USER = 61234
SUBORDINATE = 1_700_000_000
BACKEND = """
import base64, hashlib, os, zipfile

def build_wheel(directory, config_settings=None, metadata_directory=None):
    info = "from_source-1.0.dist-info"
    files = {
        "from_source.py": b"MADE = 'from source'\\n",
        f"{info}/METADATA": b"Metadata-Version: 2.1\\nName: from-source\\nVersion: 1.0\\n",
        f"{info}/WHEEL": b"Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n",
    }
    hashes = {path: base64.urlsafe_b64encode(hashlib.sha256(data).digest()) for path, data in files.items()}
    rows = [f"{path},sha256={hashes[path].decode().rstrip('=')},{len(data)}" for path, data in files.items()]
    files[f"{info}/RECORD"] = "\\n".join([*rows, f"{info}/RECORD,,", ""]).encode()
    with zipfile.ZipFile(os.path.join(directory, "from_source-1.0-py3-none-any.whl"), "w") as archive:
        for path, data in files.items():
            archive.writestr(path, data)
    return "from_source-1.0-py3-none-any.whl"
"""
STEP = "import os; open('/app/made.txt', 'w').write(str(os.getuid())); os.chown('/app/made.txt', 65532, 65532)"
SPEC = f"""\
image: serving/rootless
base: python3.11-slim
dependencies: [tools, from-source]
command: [python, -c, "print(open('made.txt').read(), __import__('from_source').MADE)"]
bytecode: true
steps: [{{run: [python, -c, {json.dumps(STEP)}], user: root}}]
app: {{include: [app.py]}}
"""


def reachable(path: Path) -> bool:
    """Whether anybody may go there."""
    return all(folder.stat().st_mode & 0o001 for folder in path.resolve().parents)


def interpreter() -> list[str]:
    """A Python of this version that anybody can run."""
    version = sys.version_info[:2]
    for candidate in (sys.executable, "/usr/bin/python3"):
        said = "import sys; print(*sys.version_info[:2])"
        if Path(candidate).exists() and reachable(Path(candidate)):
            found = subprocess.run([candidate, "-c", said], capture_output=True, text=True, check=True).stdout
            if tuple(map(int, found.split())) == version:
                return [candidate]
    pytest.skip(f"there is no Python {'.'.join(map(str, version))} here that an ordinary user can run")


@dataclass(frozen=True)
class OrdinaryUser:
    """Somebody with a home below `root`, subordinate ids, and nothing else."""

    root: Path
    environment: dict[str, str] = field(default_factory=dict)

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        settings = [f"{name}={value}" for name, value in self.environment.items()]
        become = ["setpriv", f"--reuid={USER}", f"--regid={USER}", "--init-groups", "env", "-i", *settings]
        enter = ["unshare", "--mount", "--propagation", "private", "sh", str(self.root / "enter")]
        return subprocess.run(
            [*enter, *become, *command], capture_output=True, text=True, check=False, timeout=600, cwd="/"
        )

    def mlbuild(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return self.run(*interpreter(), "-c", "from builder.cli import main; main()", *arguments)

    def own(self) -> None:
        """Give the user all that is below `root`."""
        for path in (self.root, *self.root.rglob("*")):
            os.chown(path, USER, USER, follow_symlinks=False)


@pytest.fixture
def user() -> Iterator[OrdinaryUser]:
    if os.geteuid() != 0:
        pytest.skip("these tests run as an ordinary user already, so those of steps and sources do it all")
    for program in ("newuidmap", "setpriv", "unshare"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed (Debian: packages uidmap, util-linux)")
    if not reachable(ROOT / "builder"):
        pytest.skip(f"an ordinary user cannot read {ROOT}")
    with tempfile.TemporaryDirectory(prefix="mlbuild-rootless-") as name:
        root = Path(name)
        lines = {
            "passwd": f"mlbuild-test:x:{USER}:{USER}::{root}:/bin/sh\n",
            "group": f"mlbuild-test:x:{USER}:\n",
            "subuid": f"mlbuild-test:{SUBORDINATE}:65536\n",
            "subgid": f"mlbuild-test:{SUBORDINATE}:65536\n",
        }
        mounts = []
        for file, line in lines.items():
            there = Path("/etc") / file
            if not there.exists():
                pytest.skip(f"there is no {there} to put a line into")
            (root / file).write_text(there.read_text() + line)
            mounts.append(f"mount --bind {root / file} {there}")
        (root / "enter").write_text("\n".join(["set -e", *mounts, 'exec "$@"', ""]))
        packages = sysconfig.get_path("purelib")
        environment = {
            "HOME": name,
            "XDG_RUNTIME_DIR": name,
            "PATH": f"/usr/bin:/bin:/usr/sbin:/sbin:{ROOT / '.venv' / 'bin'}",
            "PYTHONPATH": f"{ROOT}:{packages}",
            "PYTHONDONTWRITEBYTECODE": "1",
            "MLBUILD_CACHE": f"{name}/cache",
            "MLBUILD_KEY": f"{name}/key.pem",
            "MLBUILD_TRUSTED_KEYS": f"{name}/keys",
            "UV_CACHE_DIR": f"{name}/uv",
            "PIP_CONFIG_FILE": os.devnull,
        }
        person = OrdinaryUser(root, environment)
        person.own()
        mapped = person.run("buildah", "unshare", "true")
        if mapped.returncode != 0:
            pytest.skip(f"an ordinary user cannot make a user namespace here: {mapped.stderr.strip()}")
        yield person


def take_base(workplace: Workplace, iris: Path, cache: Path) -> None:
    """Put the base that `iris` stands on into another cache."""
    layout = Layout(iris / ".mlbuild" / "image")
    manifest, _ = layout.image(layout.index().manifests[0].digest)
    digest = manifest.layers[0].digest
    mine, other = Cache(workplace.root / "cache"), Cache(cache)
    other.put([mine.path(digest).read_bytes()], digest)
    shutil.copytree(mine.root / "layers", other.root / "layers", dirs_exist_ok=True)


def test_without_root_the_same_image_comes_out_and_can_be_tried(
    workplace: Workplace, iris: Path, user: OrdinaryUser, tmp_path: Path
) -> None:
    files = user.root / "files"
    project = user.root / "project"
    files.mkdir()
    project.mkdir()
    make_wheel(files, "tools")
    backend = '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
    make_sdist(files, "from-source", {"pyproject.toml": backend, "backend.py": BACKEND})
    (project / "app.py").write_text("print()\n")
    (project / "mlbuild.yaml").write_text(SPEC)
    take_base(workplace, iris, user.root / "cache")
    user.own()
    with serve_index(files) as index:
        user.environment["UV_DEFAULT_INDEX"] = index.url
        built = user.mlbuild("--json", "-C", str(project), "build")
        assert built.returncode == 0, built.stderr
        assert "Running step 1" in built.stderr
        shutil.copytree(project, tmp_path / "project", ignore=shutil.ignore_patterns(".mlbuild"))
        root = workplace.with_settings(UV_DEFAULT_INDEX=index.url, PIP_CONFIG_FILE=os.devnull)
        again = root.mlbuild("--json", "-C", str(tmp_path / "project"), "build")
        assert again.returncode == 0, again.stderr
    assert json.loads(built.stdout)["image"] == json.loads(again.stdout)["image"]
    assert (project / ".mlbuild").stat().st_uid == USER

    tried = user.mlbuild("-C", str(project), "test")
    assert tried.returncode == 0, tried.stdout + tried.stderr
    assert "import from_source" in tried.stdout
    ran = user.mlbuild("-q", "-C", str(project), "run")
    assert ran.stdout == "0 from source\n", ran.stderr
