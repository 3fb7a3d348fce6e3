"""The shipped base, from Debian's archives: what is in it, what scanners see, and that Python runs in it."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from builder.bases import BuiltBase, build_base, lock_base
from builder.cache import Cache
from builder.progress import Quiet
from compliance.bases import BaseDefinition, find_base, read_bases
from compliance.oci.digest import Digest

pytestmark = pytest.mark.acceptance

ROOT = Path(__file__).parents[3]
SLIM = ROOT / "base-images" / "python3.11-slim"


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Cache:
    return Cache(tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="module")
def slim() -> BaseDefinition:
    return find_base(read_bases(ROOT / "base-images"), "python3.11-slim", "amd64")


@pytest.fixture(scope="module")
def built(slim: BaseDefinition, cache: Cache) -> BuiltBase:
    return build_base(slim, cache, Quiet())


@pytest.fixture(scope="module")
def layout(built: BuiltBase, tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("layout") / "slim"
    built.write(directory)
    return directory


@pytest.fixture(scope="module")
def members(built: BuiltBase) -> dict[str, tarfile.TarInfo]:
    with tarfile.open(built.layers[0].path) as archive:
        return {member.name: member for member in archive}


def test_the_locked_digests_come_out(built: BuiltBase, slim: BaseDefinition) -> None:
    assert built.manifest.config.digest == slim.image.config
    assert Digest.of(built.manifest.to_json()) == slim.digest
    assert sum(layer.descriptor.size for layer in built.layers) == slim.size


def test_another_process_elsewhere_makes_the_same_bits(
    built: BuiltBase, slim: BaseDefinition, cache: Cache, tmp_path: Path
) -> None:
    """The packages are taken from the first cache, so that only the extraction is done again."""
    for package in slim.image.packages:
        found = cache.get(Digest(f"sha256:{package.sha256}"))
        assert found is not None
        with found.open("rb") as stream:
            Cache(tmp_path / "cache").put(
                iter(lambda: stream.read(1 << 20), b""), Digest(f"sha256:{package.sha256}")
            )
    program = (
        "import os, sys; os.umask(0o077)\n"
        "from pathlib import Path\n"
        "from builder.bases import build_base\n"
        "from builder.cache import Cache\n"
        "from builder.progress import Quiet\n"
        "from compliance.bases import find_base, read_bases\n"
        f"base = find_base(read_bases(Path({str(ROOT / 'base-images')!r})), 'python3.11-slim', 'amd64')\n"
        "print(build_base(base, Cache(Path('cache')), Quiet()).layers[0].path)\n"
    )
    environment = {**os.environ, "TZ": "Asia/Kolkata", "LC_ALL": "C", "PYTHONHASHSEED": "7", "HOME": str(tmp_path)}
    result = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
    )
    again = (tmp_path / result.stdout.strip()).read_bytes()
    assert hashlib.sha256(again).hexdigest() == built.layers[0].descriptor.digest.hex


def test_there_is_no_shell_no_package_manager_and_nothing_that_changes_user(
    members: dict[str, tarfile.TarInfo],
) -> None:
    programs = {name for name in members if name.startswith(("usr/bin/", "usr/sbin/", "usr/local/"))}
    assert programs == {"usr/bin/python3", "usr/bin/python3.11"}
    assert not [name for name, member in members.items() if member.isreg() and member.mode & 0o7000]
    assert not [name for name in members if name.endswith((".pyc", "__pycache__"))]
    assert not [name for name in members if name.startswith(("usr/share/man", "usr/share/perl", "etc/apt"))]
    assert members["tmp"].mode == 0o1777


def test_accounts_certificates_and_copyright_files_are_there(
    members: dict[str, tarfile.TarInfo], built: BuiltBase, slim: BaseDefinition
) -> None:
    with tarfile.open(built.layers[0].path) as archive:

        def text(name: str) -> str:
            stream = archive.extractfile(name)
            assert stream is not None
            return stream.read().decode()

        accounts = [line.split(":") for line in text("etc/passwd").splitlines()]
        bundle = text("etc/ssl/certs/ca-certificates.crt")
    assert {fields[6] for fields in accounts} == {"/usr/sbin/nologin"}
    assert ["nonroot", "*", "65532", "65532", "nonroot", "/home/nonroot"] in [fields[:6] for fields in accounts]
    assert bundle.count("BEGIN CERTIFICATE") > 100
    for package in slim.packages:
        documents = f"usr/share/doc/{package.name}"
        assert members[documents].issym() or f"{documents}/copyright" in members
        assert f"var/lib/dpkg/status.d/{package.name}" in members


def test_trivy_lists_exactly_the_locked_packages(layout: Path, slim: BaseDefinition, tmp_path: Path) -> None:
    trivy = shutil.which("trivy", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    assert trivy is not None
    command = [trivy, "image", "--input", str(layout), "--format", "json", "--list-all-pkgs", "--quiet"]
    command += ["--scanners", "license", "--offline-scan", "--skip-version-check", "--cache-dir", str(tmp_path)]
    report = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    assert report["Metadata"]["OS"]["Family"] == "debian"
    assert report["Metadata"]["OS"]["Name"].split(".")[0] == "12"
    found = [package for result in report["Results"] for package in result.get("Packages", [])]

    def full(package: dict[str, str], prefix: str) -> str:
        epoch, release = package.get(f"{prefix}Epoch"), package.get(f"{prefix}Release")
        version = package[f"{prefix}Version"] + (f"-{release}" if release else "")
        return f"{epoch}:{version}" if epoch else version

    assert sorted((p["Name"], full(p, ""), p["SrcName"], full(p, "Src"), p["Arch"]) for p in found) == sorted(
        (p.name, p.version, p.source_name, p.source_version, p.architecture) for p in slim.packages
    )


IMPORTS = """
import bz2, ctypes, ctypes.util, curses, decimal, hashlib, lzma, multiprocessing, readline, socket, sqlite3, ssl
import distutils.util, locale, uuid, os, pwd, sys, time, zlib, zoneinfo, zipfile
import importlib, pathlib
for module in pathlib.Path('/usr/lib/python3.11/lib-dynload').glob('*.so'):
    importlib.import_module(module.name.partition('.')[0])
ctypes.CDLL('libgomp.so.1'), ctypes.CDLL('libstdc++.so.6')
assert len(ssl.create_default_context().get_ca_certs()) > 100
del os.environ['SSL_CERT_FILE']
assert len(ssl.create_default_context().get_ca_certs()) > 100
assert sqlite3.connect(':memory:').execute('select 1').fetchone() == (1,)
assert locale.setlocale(locale.LC_ALL, '') == 'C.UTF-8'
assert (os.getuid(), os.getgid(), pwd.getpwuid(os.getuid()).pw_name) == (65532, 65532, 'nonroot')
assert (os.getcwd(), os.path.expanduser('~'), sys.prefix) == ('/app', '/home/nonroot', '/opt/venv')
assert sys.path[-1] == '/opt/venv/lib/python3.11/site-packages', sys.path
assert zoneinfo.ZoneInfo('Europe/Oslo') and time.tzname[0] == 'UTC' and socket.getservbyname('https') == 443
open('/tmp/x', 'w').close(), open('/home/nonroot/x', 'w').close()
try:
    open('/opt/venv/x', 'w')
except PermissionError:
    print('fine')
"""


Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def run(layout: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    """Runs a program in a container of the base, by buildah with a storage of its own."""
    storage = tmp_path_factory.mktemp("storage")
    buildah = ["buildah", "--root", f"{storage}/root", "--runroot", f"{storage}/run", "--storage-driver", "vfs"]
    made = subprocess.run([*buildah, "from", f"oci:{layout}"], capture_output=True, text=True, check=True)
    name = made.stdout.strip()

    def run(*program: str, options: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
        command = [*buildah, "run", "--isolation", "chroot", *options, name, "--", *program]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    yield run
    subprocess.run([*buildah, "rm", name], capture_output=True, check=True)


def test_python_runs_as_nobody_in_particular_with_all_of_its_library(run: Run) -> None:
    result = run("python3", "-W", "ignore", "-c", IMPORTS)
    assert (result.stdout, result.returncode) == ("fine\n", 0), result.stderr


def test_a_shell_cannot_be_started(run: Run) -> None:
    result = run("sh", "-c", "true")
    assert result.returncode != 0
    assert "executable file not found" in result.stderr


def test_a_wheel_with_cpp_code_runs(run: Run, tmp_path: Path) -> None:
    wheels = tmp_path / "wheels"
    command = [f"{Path(sys.executable).parent}/uv", "pip", "install", "--target", str(wheels)]
    command += ["--only-binary", ":all:", "--python-version", "3.11", "--python-platform", "x86_64-manylinux_2_28"]
    subprocess.run([*command, "numpy"], capture_output=True, check=True)
    program = "import numpy; print(round(numpy.linalg.det([[1, 2], [3, 4]])))"
    result = run(
        "python", "-c", program, options=("--volume", f"{wheels}:/wheels:ro", "--env", "PYTHONPATH=/wheels")
    )
    assert result.stdout == "-2\n", result.stderr


@pytest.mark.skipif(shutil.which("apt-get") is None, reason="only apt can resolve Debian packages")
def test_locking_again_gives_a_lock_that_builds_and_then_stays_as_it_is(cache: Cache, tmp_path: Path) -> None:
    folder = tmp_path / "python3.11-slim"
    folder.mkdir()
    shutil.copy(SLIM / "base.yaml", folder)
    (first,) = lock_base(folder, cache, Quiet(), now=datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=UTC))
    written = (folder / "base.lock.toml").read_bytes()
    assert first.created == datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    assert Digest.of(build_base(first, cache, Quiet()).manifest.to_json()) == first.digest
    (second,) = lock_base(folder, cache, Quiet(), now=datetime(2027, 1, 1, tzinfo=UTC))
    assert second == first
    assert (folder / "base.lock.toml").read_bytes() == written
