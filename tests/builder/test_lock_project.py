"""Locking against a real index on a local port, with the real uv."""

import os
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path

import pytest

from builder.cache import Cache
from builder.lock import lock_project
from builder.lock_pins import is_current
from builder.lock_reader import read_lock
from builder.lockfile import LockFile
from builder.progress import Quiet
from builder.spec import read_spec
from compliance.bases import BaseDefinition, find_base, read_bases
from compliance.errors import InvalidInput, Unavailable
from tests.builder.wheel_index import Index, make_wheel, serve_index

NOW = datetime(2026, 1, 1, tzinfo=UTC)
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def base() -> BaseDefinition:
    return find_base(read_bases(ROOT / "base-images"), "python3.11-slim", "amd64")


@pytest.fixture
def index(tmp_path: Path) -> Iterator[Index]:
    files = tmp_path / "files"
    files.mkdir()
    make_wheel(files, "app-server", requires=["tools>=1", "speed; extra == 'fast'"], extras=["fast"])
    make_wheel(files, "tools", requires=["base-kit", "never; sys_platform == 'win32'"], headers=["License: MIT"])
    make_wheel(files, "base-kit", tag="cp311-cp311-manylinux_2_28_x86_64")
    make_wheel(files, "speed")
    make_wheel(files, "never")
    with serve_index(files) as running:
        yield running


class Workplace:
    """A project directory that is locked against one index."""

    def __init__(self, root: Path, base: BaseDefinition, index_url: str, **environment: str) -> None:
        self.directory = root / "project"
        self.directory.mkdir()
        self.base = base
        self.cache = Cache(root / "cache")
        self.environment: Mapping[str, str] = {
            "PATH": os.environ["PATH"],
            "HOME": str(root),
            "UV_CACHE_DIR": str(root / "uv"),
            "UV_HTTP_RETRIES": "0",
            "UV_DEFAULT_INDEX": index_url,
            "PIP_CONFIG_FILE": os.devnull,
            **environment,
        }
        self.spec_path = self.directory / "mlbuild.yaml"
        self.spec_path.write_text(f"image: serving/demo\nbase: {base.name}\nrequirements: [requirements.txt]\n")

    def lock(self, requirements: str, *, upgrade: bool = False, sdists: bool = True) -> LockFile:
        (self.directory / "requirements.txt").write_text(requirements)
        return lock_project(
            read_spec(self.spec_path),
            self.spec_path,
            self.base,
            self.cache,
            Quiet(),
            now=NOW,
            upgrade=upgrade,
            sdists=sdists,
            environment=self.environment,
        )


@pytest.fixture
def workplace(tmp_path: Path, base: BaseDefinition, index: Index) -> Workplace:
    return Workplace(tmp_path, base, index.url)


def test_locks_what_the_requirements_mean(workplace: Workplace, index: Index) -> None:
    lock = workplace.lock("app-server\n")
    assert [(wheel.name, wheel.chain, wheel.depends_on) for wheel in lock.wheels] == [
        ("app-server", ("app-server",), ("tools",)),
        ("base-kit", ("app-server", "tools", "base-kit"), ()),
        ("tools", ("app-server", "tools"), ("base-kit",)),
    ]
    server, kit, tools = lock.wheels
    assert (server.direct, kit.direct) == (True, False)
    assert tools.licence == "MIT"
    assert {wheel.index for wheel in lock.wheels} == {index.url}
    assert kit.size == (index.files / kit.filename).stat().st_size
    assert kit.upload_time is not None
    assert kit.upload_time.isoformat() == "2026-01-02T03:04:05+00:00"


def test_an_extra_brings_its_own(workplace: Workplace) -> None:
    lock = workplace.lock("app-server[fast]\n")
    speed = next(wheel for wheel in lock.wheels if wheel.name == "speed")
    assert speed.chain == ("app-server", "speed")
    assert next(wheel for wheel in lock.wheels if wheel.name == "app-server").depends_on == ("speed", "tools")


def test_what_was_locked_is_current(workplace: Workplace) -> None:
    lock = workplace.lock("app-server\n")
    assert read_lock(lock.path) == lock
    assert is_current(lock, read_spec(workplace.spec_path), workplace.base)[0]


def test_locking_again_keeps_versions_and_bytes(workplace: Workplace, index: Index) -> None:
    first = workplace.lock("tools\n")
    written = first.path.stat().st_mtime_ns
    make_wheel(index.files, "base-kit", "2.0")
    again = workplace.lock("tools\n")
    assert again.digest == first.digest
    assert again.path.stat().st_mtime_ns == written


def test_one_more_requirement_changes_nothing_else(workplace: Workplace, index: Index) -> None:
    before = workplace.lock("tools\n").path.read_text().splitlines()
    make_wheel(index.files, "base-kit", "2.0")
    after = workplace.lock("tools\nspeed\n").path.read_text().splitlines()
    assert [line for line in before if line not in after and not line.startswith("inputs")] == []


def test_upgrade_lets_versions_move(workplace: Workplace, index: Index) -> None:
    workplace.lock("tools\n")
    make_wheel(index.files, "base-kit", "2.0")
    lock = workplace.lock("tools\n", upgrade=True)
    assert {wheel.name: wheel.version for wheel in lock.wheels} == {"tools": "1.0", "base-kit": "2.0"}


def test_a_lock_that_cannot_be_read_is_replaced(workplace: Workplace) -> None:
    good = workplace.lock("tools\n")
    good.path.write_text("this is not TOML")
    assert workplace.lock("tools\n").digest == good.digest


def test_dependencies_in_the_spec_count_too(workplace: Workplace) -> None:
    workplace.spec_path.write_text(workplace.spec_path.read_text() + "dependencies: [speed]\n")
    lock = workplace.lock("tools\n")
    assert [wheel.name for wheel in lock.wheels if wheel.direct] == ["speed", "tools"]


def test_a_pyproject_is_read_and_never_built(workplace: Workplace) -> None:
    (workplace.directory / "pyproject.toml").write_text(
        '[build-system]\nrequires = ["nothing-of-the-kind"]\nbuild-backend = "gone"\n'
        '[project]\nname = "mine"\nversion = "1"\ndependencies = ["tools"]\n'
    )
    text = workplace.spec_path.read_text()
    workplace.spec_path.write_text(text.replace("[requirements.txt]", "[pyproject.toml, requirements.txt]"))
    lock = workplace.lock("speed\n")
    assert [wheel.name for wheel in lock.wheels if wheel.direct] == ["speed", "tools"]


def test_no_dependencies_is_a_lock_too(workplace: Workplace) -> None:
    lock = workplace.lock("# nothing yet\n")
    assert lock.wheels == ()
    assert read_lock(lock.path) == lock


def test_a_wheel_by_its_address(workplace: Workplace, index: Index) -> None:
    lock = workplace.lock(f"speed @ {index.file_url('speed-1.0-py3-none-any.whl')}\n")
    assert [(wheel.name, wheel.version, wheel.index) for wheel in lock.wheels] == [("speed", "1.0", None)]


def test_a_package_without_a_fitting_wheel_is_named(workplace: Workplace, index: Index) -> None:
    make_wheel(index.files, "mac-only", tag="cp311-cp311-macosx_11_0_arm64")
    with pytest.raises(InvalidInput, match="mac-only") as failure:
        workplace.lock("mac-only\n")
    assert failure.value.at is not None
    assert failure.value.at.path.name == "requirements.txt"
    assert "wheel" in (failure.value.remedy or "")
    assert not (workplace.directory / "pylock.toml").exists()


def test_a_package_that_only_has_source_is_named(workplace: Workplace, index: Index) -> None:
    (index.files / "from-source-1.0.tar.gz").write_bytes(b"never opened")
    with pytest.raises(InvalidInput, match="from-source") as failure:
        workplace.lock("from-source\n", sdists=False)
    assert index.bytes_of("from-source-1.0.tar.gz") == 0
    assert "--no-sdist" in (failure.value.remedy or "")


def test_requirements_that_contradict_each_other(workplace: Workplace) -> None:
    with pytest.raises(InvalidInput, match=r"cannot be met for Python 3\.11"):
        workplace.lock("app-server\ntools<1\n")


def test_an_index_that_is_down_is_not_the_users_mistake(
    tmp_path: Path, base: BaseDefinition, index: Index
) -> None:
    with serve_index(index.files) as other:
        url = other.url
    with pytest.raises(Unavailable, match="uv could not resolve"):
        Workplace(tmp_path, base, url).lock("tools\n")


def test_local_wheels_never_reach_a_lock(tmp_path: Path, base: BaseDefinition, index: Index) -> None:
    local = tmp_path / "local"
    local.mkdir()
    make_wheel(local, "speed", "9.0")
    workplace = Workplace(tmp_path, base, index.url, UV_FIND_LINKS=str(local))
    with pytest.raises(InvalidInput, match="speed was not found as a wheel on an index"):
        workplace.lock("speed\n")


def test_pips_index_is_used_and_its_local_ones_are_not(tmp_path: Path, base: BaseDefinition, index: Index) -> None:
    config = tmp_path / "pip.conf"
    config.write_text(f"[global]\nindex-url = {index.url}\nextra-index-url = file:///srv/wheels/simple\n")
    workplace = Workplace(tmp_path, base, "unused", PIP_CONFIG_FILE=str(config))
    workplace.environment = {
        key: value for key, value in workplace.environment.items() if key != "UV_DEFAULT_INDEX"
    }
    assert workplace.lock("speed\n").wheels[0].index == index.url


@pytest.mark.parametrize("place", ["environment", "file"])
def test_credentials_are_used_and_never_written(
    tmp_path: Path, base: BaseDefinition, index: Index, place: str
) -> None:
    index.login = ("reader", "s3cret-t0ken")
    in_file = place == "file"
    workplace = Workplace(tmp_path, base, index.url if in_file else index.url_with_login)
    if in_file:
        host = f"127.0.0.1:{index.port}"
        netrc = tmp_path / ".netrc"
        netrc.write_text(f"machine {host.partition(':')[0]} login reader password s3cret-t0ken\n")
        netrc.chmod(0o600)
    lock = workplace.lock("app-server\n")
    assert len(lock.wheels) == 3
    text = lock.path.read_text()
    assert "s3cret-t0ken" not in text
    assert "reader" not in text
    assert f'indexes = ["{index.url}"]' in text


@pytest.mark.acceptance
def test_the_public_index(tmp_path: Path, base: BaseDefinition) -> None:
    workplace = Workplace(tmp_path, base, "https://pypi.org/simple")
    workplace.environment = {**os.environ, "UV_CACHE_DIR": str(tmp_path / "uv")}
    lock = workplace.lock("fastapi\nscikit-learn\nuvicorn[standard]\n")
    names = {wheel.name: wheel for wheel in lock.wheels}
    assert {"numpy", "pydantic-core", "starlette", "uvloop"} <= names.keys()
    assert names["numpy"].filename.endswith("x86_64.whl")
    assert names["uvloop"].chain == ("uvicorn", "uvloop")
    assert names["starlette"].licence == "BSD-3-Clause"
    assert all(wheel.size and wheel.upload_time and wheel.chain for wheel in lock.wheels)


def test_a_lock_of_another_tool_is_not_replaced(workplace: Workplace) -> None:
    path = workplace.directory / "pylock.toml"
    path.write_text('lock-version = "1.0"\ncreated-by = "other"\npackages = []\n')
    with pytest.raises(InvalidInput, match=r"pylock\.toml: was written by other, and would be replaced"):
        workplace.lock("tools\n")


def test_a_file_that_the_hashes_do_not_allow_is_not_locked(workplace: Workplace) -> None:
    right, wrong = workplace.lock("base-kit==1.0\n").wheels[0].sha256, "0" * 64
    line = "base-kit==1.0 ; sys_platform == 'linux' --hash=sha256:{}\n"
    other = "base-kit==1.0 ; sys_platform == 'win32' --hash=sha256:{}\n"
    assert workplace.lock(line.format(right) + other.format(wrong)).wheels[0].sha256 == right
    with pytest.raises(InvalidInput) as failure:
        workplace.lock("# ours\n" + line.format(wrong))
    assert failure.value.message == (
        f"{workplace.directory}/requirements.txt:2: base_kit-1.0-cp311-cp311-manylinux_2_28_x86_64.whl has "
        f"sha256 {right}, which is not among the hashes of base-kit here"
    )
    (workplace.directory / "limits.txt").write_text(f"base-kit==1.0 --hash=sha256:{wrong}\n")
    with pytest.raises(InvalidInput, match=f"limits.txt:1: .* has sha256 {right}"):
        workplace.lock("base-kit\n-c limits.txt\n")


def test_a_lock_of_files_that_the_hashes_no_longer_allow_is_not_current(workplace: Workplace) -> None:
    lock = workplace.lock("base-kit==1.0\n")
    spec = read_spec(workplace.spec_path)
    requirements = workplace.directory / "requirements.txt"
    requirements.write_text(f"base-kit==1.0 --hash=sha256:{lock.wheels[0].sha256}\n")
    assert is_current(lock, spec, workplace.base) == (True, "the lock answers the spec")
    requirements.write_text(f"base-kit==1.0 --hash=sha256:{'0' * 64}\n")
    assert is_current(lock, spec, workplace.base) == (False, "the requirements allow other files, by their hashes")
