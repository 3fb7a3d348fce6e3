import hashlib
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from builder.errors import BuilderError
from builder.metadata import TAIL, WheelMetadata, read_metadata
from builder.progress import Quiet
from builder.uv import ResolvedWheel
from compliance.errors import Unavailable
from compliance.retries import Retries
from tests.builder.wheel_index import Index, make_wheel, serve_index
from tests.cutting_proxy import cutting_proxy

HASTY = Retries(tries=3, first_wait=0.01)


@pytest.fixture
def index(tmp_path: Path) -> Iterator[Index]:
    files = tmp_path / "files"
    files.mkdir()
    with serve_index(files) as running:
        yield running


def _resolved(index: Index, path: Path, *, size: int | None = None) -> ResolvedWheel:
    data = path.read_bytes()
    name, version, _ = path.name.split("-", 2)
    return ResolvedWheel(
        name=name.replace("_", "-"),
        version=version,
        filename=path.name,
        url=index.file_url(path.name),
        sha256=hashlib.sha256(data).hexdigest(),
        size=len(data) if size is None else size or None,
        upload_time=None,
        index=index.url,
    )


def _read(wheel: ResolvedWheel, cache: Path) -> WheelMetadata:
    cache.mkdir(exist_ok=True)
    return read_metadata([wheel], cache, {}, Quiet(), retries=HASTY)[wheel.name]


def test_of_a_big_wheel_only_the_end_is_fetched(index: Index, tmp_path: Path) -> None:
    path = make_wheel(
        index.files,
        "big",
        requires=["numpy>=2"],
        headers=["License-Expression: MIT"],
        files={"big/weights.bin": bytes(5_000_000)},
    )
    assert _read(_resolved(index, path), tmp_path / "cache") == WheelMetadata(("numpy>=2",), "MIT")
    assert index.bytes_of(path.name) == TAIL


def test_a_directory_longer_than_what_is_fetched_at_once(index: Index, tmp_path: Path) -> None:
    many = {f"many/module_{number}.py": b"x" for number in range(3000)}
    path = make_wheel(index.files, "many", requires=["a"], files={"many/data": bytes(2_000_000), **many})
    assert _read(_resolved(index, path), tmp_path / "cache").requires == ("a",)
    assert index.bytes_of(path.name) < 1_000_000


def test_an_index_that_gives_no_size(index: Index, tmp_path: Path) -> None:
    path = make_wheel(index.files, "big", requires=["a"], files={"big/data": bytes(1_000_000)})
    assert _read(_resolved(index, path, size=0), tmp_path / "cache").requires == ("a",)
    assert index.bytes_of(path.name) == TAIL


def test_without_byte_ranges_the_whole_wheel_is_fetched_and_checked(index: Index, tmp_path: Path) -> None:
    index.ranges = False
    path = make_wheel(index.files, "plain", requires=["a"], files={"plain/data": bytes(100_000)})
    wheel = _resolved(index, path)
    assert _read(wheel, tmp_path / "cache").requires == ("a",)
    index.altered = path.read_bytes().replace(b"Requires-Dist: a", b"Requires-Dist: b")
    with pytest.raises(BuilderError, match="sha256 is another one"):
        _read(wheel, tmp_path / "other-cache")


def test_what_was_read_is_not_fetched_again(index: Index, tmp_path: Path) -> None:
    path = make_wheel(index.files, "once")
    first = _read(_resolved(index, path), tmp_path / "cache")
    fetched = len(index.log)
    assert _read(_resolved(index, path), tmp_path / "cache") == first
    assert len(index.log) == fetched


def test_the_licence_file_counts_where_metadata_does_not_say(index: Index, tmp_path: Path) -> None:
    text = b"Permission is hereby granted, free of charge, to any person to deal in the Software."
    files = {"quiet-1.0.dist-info/licenses/LICENSE": text}
    path = make_wheel(index.files, "quiet", headers=["License-File: LICENSE"], files=files)
    assert _read(_resolved(index, path), tmp_path / "cache").licence == "MIT"


def test_a_cache_that_cannot_be_read_is_made_anew(index: Index, tmp_path: Path) -> None:
    path = make_wheel(index.files, "again")
    wheel = _resolved(index, path)
    first = _read(wheel, tmp_path / "cache")
    (tmp_path / "cache" / f"{wheel.sha256}.json").write_text("{")
    assert _read(wheel, tmp_path / "cache") == first


def test_several_wheels_at_once(index: Index, tmp_path: Path) -> None:
    paths = [make_wheel(index.files, f"part-{number}", requires=[f"r{number}"]) for number in range(20)]
    found = read_metadata([_resolved(index, path) for path in paths], tmp_path, {}, Quiet(), workers=4)
    assert {name: metadata.requires for name, metadata in found.items()} == {
        f"part-{number}": (f"r{number}",) for number in range(20)
    }


def test_a_wheel_that_says_it_is_another(index: Index, tmp_path: Path) -> None:
    path = make_wheel(index.files, "honest", says="impostor")
    with pytest.raises(BuilderError, match="says that it is 'impostor'"):
        _read(_resolved(index, path), tmp_path / "cache")


def test_a_size_that_is_not_what_the_index_said(index: Index, tmp_path: Path) -> None:
    path = make_wheel(index.files, "short")
    with pytest.raises(BuilderError, match="bytes, the index said"):
        _read(_resolved(index, path, size=path.stat().st_size + 1), tmp_path / "cache")


def test_something_that_is_not_a_zip(index: Index, tmp_path: Path) -> None:
    path = index.files / "broken-1.0-py3-none-any.whl"
    path.write_bytes(b"this is not a wheel")
    with pytest.raises(BuilderError, match="is not a wheel"):
        _read(_resolved(index, path), tmp_path / "cache")


def test_a_zip_without_metadata(index: Index, tmp_path: Path) -> None:
    path = index.files / "bare-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("bare.py", "")
    with pytest.raises(BuilderError, match="holds no METADATA"):
        _read(_resolved(index, path), tmp_path / "cache")


def test_a_wheel_that_is_gone(index: Index, tmp_path: Path) -> None:
    path = make_wheel(index.files, "gone")
    wheel = _resolved(index, path)
    path.unlink()
    with pytest.raises(Unavailable, match="answers 404"):
        _read(wheel, tmp_path / "cache")
    assert len(index.log) == 1


@pytest.mark.parametrize("status", [429, 500, 503])
def test_an_index_that_is_busy_is_asked_again(index: Index, tmp_path: Path, status: int) -> None:
    wheel = _resolved(index, make_wheel(index.files, "busy", requires=["a"]))
    index.statuses = [status, status]
    assert _read(wheel, tmp_path / "cache").requires == ("a",)


def test_an_index_that_stays_busy(index: Index, tmp_path: Path) -> None:
    wheel = _resolved(index, make_wheel(index.files, "busy"))
    index.statuses = [503] * 10
    with pytest.raises(Unavailable, match="answers 503"):
        _read(wheel, tmp_path / "cache")
    assert len(index.log) == 3


def test_a_cut_connection_is_made_again(index: Index, tmp_path: Path) -> None:
    wheel = _resolved(index, make_wheel(index.files, "cut", requires=["a"]))
    with cutting_proxy(f"127.0.0.1:{index.port}") as proxy:
        proxy.answer_cuts = [100, 300]
        through = wheel.url.replace(str(index.port), str(proxy.port))
        assert _read(replace(wheel, url=through), tmp_path / "cache").requires == ("a",)
    assert len(index.log) == 3


def test_an_index_that_is_down(index: Index, tmp_path: Path) -> None:
    path = make_wheel(index.files, "down")
    wheel = _resolved(index, path)
    with serve_index(index.files) as other:
        port = other.port
    closed = wheel.url.replace(str(index.port), str(port))
    with pytest.raises(Unavailable, match="cannot be read"):
        _read(replace(wheel, url=closed), tmp_path / "cache")
