"""The shipped bases, from Debian's archives: what is in them, what scanners see, and that Python runs in them."""

import hashlib
import json
import os
import shutil
import struct
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from builder.bases.build import BuiltBase, build_base
from builder.bases.lock import lock_base
from builder.bases.outdated import standings
from builder.cache import Cache
from builder.progress import Quiet
from compliance.bases import BaseDefinition, find_base, read_bases
from compliance.evidence import Absent, Database
from compliance.inventory import Inventory
from compliance.oci.digest import Digest
from compliance.sbom import to_cyclonedx
from compliance.scan.bolt import write_bolt
from compliance.scan.database import TrivyDatabase
from compliance.scan.trivy import Trivy

pytestmark = pytest.mark.acceptance

ROOT = Path(__file__).parents[3]
EM_AARCH64 = 183  # ELF e_machine
SLIM = ROOT / "base-images" / "python3.11-slim"


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Cache:
    return Cache(tmp_path_factory.mktemp("cache"))


def base_of(name: str, architecture: str = "amd64") -> BaseDefinition:
    return find_base(read_bases(ROOT / "base-images"), name, architecture)


@pytest.fixture(scope="module", params=["python3.11-slim", "python3.13-slim", "python3.13-cuda"])
def slim(request: pytest.FixtureRequest) -> BaseDefinition:
    return base_of(request.param)


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
        "from builder.bases.build import build_base\n"
        "from builder.cache import Cache\n"
        "from builder.progress import Quiet\n"
        "from compliance.bases import find_base, read_bases\n"
        f"base = find_base(read_bases(Path({str(ROOT / 'base-images')!r})), {slim.name!r}, 'amd64')\n"
        "print(build_base(base, Cache(Path('cache')), Quiet()).layers[0].path)\n"
    )
    environment = {**os.environ, "TZ": "Asia/Kolkata", "LC_ALL": "C", "PYTHONHASHSEED": "7", "HOME": str(tmp_path)}
    result = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
    )
    again = (tmp_path / result.stdout.strip()).read_bytes()
    assert hashlib.sha256(again).hexdigest() == built.layers[0].descriptor.digest.hex


def test_there_is_no_shell_no_package_manager_and_nothing_that_changes_user(
    members: dict[str, tarfile.TarInfo], slim: BaseDefinition
) -> None:
    programs = {name for name in members if name.startswith(("usr/bin/", "usr/sbin/", "usr/local/"))}
    assert programs == {"usr/bin/python3", f"usr/bin/python{slim.python}"}
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
    assert report["Metadata"]["OS"]["Name"].split(".")[0] == slim.os.version
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
import locale, uuid, os, pwd, sys, time, zlib, zoneinfo, zipfile
import importlib, pathlib
library = f'python{sys.version_info.major}.{sys.version_info.minor}'
modules = sorted(pathlib.Path(f'/usr/lib/{library}/lib-dynload').glob('*.so'))
assert len(modules) > 20
for module in modules:
    importlib.import_module(module.name.partition('.')[0])
if sys.version_info < (3, 12):
    import distutils.util
ctypes.CDLL('libgomp.so.1'), ctypes.CDLL('libstdc++.so.6')
assert len(ssl.create_default_context().get_ca_certs()) > 100
del os.environ['SSL_CERT_FILE']
assert len(ssl.create_default_context().get_ca_certs()) > 100
assert sqlite3.connect(':memory:').execute('select 1').fetchone() == (1,)
assert locale.setlocale(locale.LC_ALL, '') == 'C.UTF-8'
assert (os.getuid(), os.getgid(), pwd.getpwuid(os.getuid()).pw_name) == (65532, 65532, 'nonroot')
assert (os.getcwd(), os.path.expanduser('~'), sys.prefix) == ('/app', '/home/nonroot', '/opt/venv')
assert sys.path[-1] == f'/opt/venv/lib/{library}/site-packages', sys.path
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


def fetch_wheels(target: Path, python: str, *names: str) -> Path:
    command = [f"{Path(sys.executable).parent}/uv", "pip", "install", "--no-deps", "--target", str(target)]
    command += ["--only-binary", ":all:", "--python-version", python, "--python-platform", "x86_64-manylinux_2_28"]
    subprocess.run([*command, *names], capture_output=True, check=True)
    return target


def test_a_wheel_with_cpp_code_runs(run: Run, slim: BaseDefinition, tmp_path: Path) -> None:
    wheels = fetch_wheels(tmp_path / "wheels", slim.python, "numpy")
    program = "import numpy; print(round(numpy.linalg.det([[1, 2], [3, 4]])))"
    result = run(
        "python", "-c", program, options=("--volume", f"{wheels}:/wheels:ro", "--env", "PYTHONPATH=/wheels")
    )
    assert result.stdout == "-2\n", result.stderr


CUDA_WHEELS = ("nvidia-cufile==1.17.1.22", "nvidia-cuda-runtime==13.2.86")
LOAD_CUDA = """
import ctypes
for name in ('libcudart.so.13', 'libcufile.so.0', 'libcufile_rdma.so.1'):
    ctypes.CDLL(f'/wheels/nvidia/cu13/lib/{name}', ctypes.RTLD_GLOBAL)
print(ctypes.CDLL('libcudart.so.13').cudaGetDeviceCount(ctypes.byref(ctypes.c_int())))
"""
NO_DRIVER = 35  # cudaErrorInsufficientDriver: the library is whole, and asks for a driver that no test machine has


def test_cuda_wheels_find_every_library_in_the_base_for_cuda_only(
    run: Run, slim: BaseDefinition, tmp_path: Path
) -> None:
    wheels = fetch_wheels(tmp_path / "wheels", slim.python, *CUDA_WHEELS)
    result = run("python", "-c", LOAD_CUDA, options=("--volume", f"{wheels}:/wheels:ro"))
    if slim.cuda:
        assert result.stdout == f"{NO_DRIVER}\n", result.stderr
    else:
        assert "libmlx5.so.1: cannot open shared object file" in result.stderr


def test_what_the_nvidia_runtime_reads_is_in_the_base_for_cuda_only(
    built: BuiltBase, members: dict[str, tarfile.TarInfo], slim: BaseDefinition
) -> None:
    told = {line for line in built.config.config.env if line.startswith("NVIDIA_")}
    expected = {
        "NVIDIA_VISIBLE_DEVICES=all",
        "NVIDIA_DRIVER_CAPABILITIES=compute,utility",
        f"NVIDIA_REQUIRE_CUDA=cuda>={slim.cuda}",
    }
    assert told == (expected if slim.cuda else set())
    assert "etc/debian_version" in members  # tells the runtime which directory the driver's libraries go to


def test_advisories_of_its_suite_are_matched_with_its_packages(slim: BaseDefinition, tmp_path: Path) -> None:
    bucket = f"debian {slim.os.version}".encode()
    found = "CVE-2099-0001"
    (tmp_path / "database" / "db").mkdir(parents=True)
    write_bolt(
        tmp_path / "database" / "db" / "trivy.db",
        {
            bucket: {b"openssl": {found.encode(): b'{"FixedVersion": "99"}'}},
            b"debian 1": {b"zlib": {found.encode(): b'{"FixedVersion": "99"}'}},
            b"vulnerability": {found.encode(): b'{"Title": "made up", "Severity": "HIGH"}'},
            b"data-source": {bucket: b'{"ID": "debian", "Name": "Debian", "URL": ""}'},
        },
    )
    times = dict.fromkeys(("UpdatedAt", "DownloadedAt"), "2026-01-01T00:00:00Z")
    metadata = {"Version": 2, "NextUpdate": "2099-01-01T00:00:00Z", **times}
    (tmp_path / "database" / "db" / "metadata.json").write_text(json.dumps(metadata))
    content = Database("test", Digest.of(b""), datetime(2026, 1, 1, tzinfo=UTC))
    sbom = to_cyclonedx(Inventory(slim.os, slim.packages), name=slim.name)
    scan = Trivy.find(tmp_path / "cache").match(sbom, [TrivyDatabase("test", tmp_path / "database", content)])
    assert [(one.id, one.purl) for one in scan.vulnerabilities] == [
        (found, package.purl) for package in slim.packages if package.source_name == "openssl"
    ]
    assert len(scan.vulnerabilities) == 1


@pytest.mark.parametrize("name", ["python3.11-slim", "python3.13-slim"])
def test_the_base_for_arm_is_made_here_and_holds_programs_for_arm_only(name: str, cache: Cache) -> None:
    base = base_of(name, "arm64")
    built = build_base(base, cache, Quiet())
    assert Digest.of(built.manifest.to_json()) == base.digest
    assert built.config.architecture == "arm64"
    with tarfile.open(built.layers[0].path) as archive:
        files = (archive.extractfile(member) for member in archive if member.isreg())
        heads = [stream.read(20) for stream in files if stream is not None]
    machines = [struct.unpack("<H", head[18:20])[0] for head in heads if head.startswith(b"\x7fELF")]
    assert len(machines) > 300
    assert set(machines) == {EM_AARCH64}


@pytest.mark.skipif(shutil.which("apt-get") is None, reason="only apt can resolve Debian packages")
def test_locking_again_gives_a_lock_that_builds_and_then_stays_as_it_is(cache: Cache, tmp_path: Path) -> None:
    folder = tmp_path / "python3.11-slim"
    folder.mkdir()
    recipe = (SLIM / "base.yaml").read_text()
    assert "architectures: [amd64, arm64]" in recipe
    (folder / "base.yaml").write_text(recipe.replace("[amd64, arm64]", "[amd64]"))
    (first,) = lock_base(folder, cache, Quiet(), now=datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=UTC))
    written = (folder / "base.lock.toml").read_bytes()
    assert first.created == datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    assert Digest.of(build_base(first, cache, Quiet()).manifest.to_json()) == first.digest
    (second,) = lock_base(folder, cache, Quiet(), now=datetime(2027, 1, 1, tzinfo=UTC))
    assert second == first
    assert (folder / "base.lock.toml").read_bytes() == written


@pytest.mark.skipif(shutil.which("apt-get") is None, reason="only apt can read a Debian archive")
def test_the_archives_say_how_far_behind_the_shipped_bases_are(tmp_path: Path) -> None:
    """What is pending today differs from day to day; that each answer is a step forward does not."""
    bases = [base_of("python3.11-slim"), base_of("python3.13-slim", "arm64")]
    locks = [(base.directory / "base.lock.toml").read_bytes() for base in bases]
    for standing in standings(bases, Quiet(), now=datetime(2026, 11, 22, tzinfo=UTC)):
        assert not isinstance(standing.updates, Absent), standing.updates
        for update in standing.updates:
            assert update.locked != update.available
            assert update.archive in {None, "debian", "debian-security"}
        assert standing.days_left > 300
    assert [(base.directory / "base.lock.toml").read_bytes() for base in bases] == locks
