"""A base built from its lock, with hand-made packages and a server in place of mirror and snapshot archive."""

import hashlib
import http.server
import os
import shutil
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from builder.bases.build import COMPRESSION, build_base
from builder.cache import Cache
from builder.errors import BuilderError
from builder.fetch import FetchError
from builder.progress import Quiet
from compliance.base_files import LockedDeb
from compliance.bases import BaseDefinition
from compliance.oci.digest import Digest
from compliance.oci.layout import Layout
from tests.builder.bases.conftest import CREATED, expected


class Handler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def web(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """A web server: its address and the directory it serves."""
    root = tmp_path / "web"
    root.mkdir()
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=root)) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", root
        server.shutdown()
        thread.join()


@pytest.fixture
def definition(
    web: tuple[str, Path], make_deb: Any, make_recipe: Any, needed: Any, tmp_path: Path
) -> BaseDefinition:
    """A base whose packages are on the mirror, and whose lock says what they give."""
    address, root = web
    recipe = make_recipe(
        archives=[
            {
                "name": "debian",
                "mirror": f"{address}/debian",
                "snapshot": f"{address}/archive/debian",
                "suites": ["stable"],
            }
        ]
    )
    (root / "debian" / "pool").mkdir(parents=True)
    debs: dict[str, Path] = {}
    packages = []
    for name, files in sorted(needed.items()):
        deb = make_deb(name, "3.11.2-6+b1", files=files)
        shutil.move(deb, root / "debian" / "pool" / deb.name)
        raw = (root / "debian" / "pool" / deb.name).read_bytes()
        sha256 = hashlib.sha256(raw).hexdigest()
        debs[sha256] = root / "debian" / "pool" / deb.name
        packages.append(
            LockedDeb(
                name=name,
                version="3.11.2-6+b1",
                architecture="amd64",
                source=name,
                source_version="3.11.2-6",
                archive="debian",
                path=f"pool/{deb.name}",
                size=len(raw),
                sha256=sha256,
            )
        )
    return BaseDefinition(
        recipe, expected(recipe, packages, debs, tmp_path), CREATED, COMPRESSION.writer, tmp_path / "tiny"
    )


def changed(definition: BaseDefinition, **changes: Any) -> BaseDefinition:
    """The same base with another lock."""
    image = definition.image.model_copy(update=changes)
    return BaseDefinition(
        definition.recipe, image, definition.created, definition.compressor, definition.directory
    )


def test_the_result_is_what_the_lock_says(definition: BaseDefinition, tmp_path: Path) -> None:
    built = build_base(definition, Cache(tmp_path / "cache"), Quiet())
    assert Digest.of(built.manifest.to_json()) == definition.digest
    assert tuple(layer.diff_id for layer in built.layers) == definition.image.diff_ids
    assert built.config.config.user == "65532:65532"
    assert built.config.created == "2026-11-22T14:00:00Z"


def test_neither_umask_nor_zone_nor_directory_nor_order_of_files_matters(
    definition: BaseDefinition, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", "Pacific/Kiritimati")
    monkeypatch.chdir(tmp_path)
    before = os.umask(0o077)
    try:
        built = build_base(definition, Cache(Path("elsewhere")), Quiet())
    finally:
        os.umask(before)
    assert Digest.of(built.manifest.to_json()) == definition.digest


def test_the_second_time_nothing_is_fetched_or_made(
    definition: BaseDefinition, web: tuple[str, Path], tmp_path: Path
) -> None:
    first = build_base(definition, Cache(tmp_path / "cache"), Quiet())
    shutil.rmtree(web[1] / "debian")
    for package in definition.image.packages:
        Cache(tmp_path / "cache").path(Digest(f"sha256:{package.sha256}")).unlink()
    assert build_base(definition, Cache(tmp_path / "cache"), Quiet()) == first


def test_a_base_can_be_written_as_an_oci_layout(definition: BaseDefinition, tmp_path: Path) -> None:
    described = build_base(definition, Cache(tmp_path / "cache"), Quiet()).write(tmp_path / "layout")
    layout = Layout(tmp_path / "layout")
    assert layout.index().manifests == (described,)
    assert described.digest == definition.digest
    manifest, config = layout.image(described.digest)
    assert config.rootfs.diff_ids == definition.image.diff_ids
    assert all(layout.has(layer.digest) for layer in manifest.layers)


def test_a_package_that_the_mirror_dropped_comes_from_the_snapshot(
    definition: BaseDefinition, web: tuple[str, Path], tmp_path: Path
) -> None:
    root = web[1]
    gone = definition.image.packages[0].path
    kept = root / "archive" / "debian" / "20261122T140000Z" / gone
    kept.parent.mkdir(parents=True)
    shutil.move(root / "debian" / gone, kept)
    built = build_base(definition, Cache(tmp_path / "cache"), Quiet())
    assert Digest.of(built.manifest.to_json()) == definition.digest


def test_a_package_that_is_nowhere_is_named(
    definition: BaseDefinition, web: tuple[str, Path], tmp_path: Path
) -> None:
    (web[1] / "debian" / definition.image.packages[0].path).unlink()
    with pytest.raises(FetchError, match=r"base-passwd 3\.11\.2-6\+b1 cannot be had") as caught:
        build_base(definition, Cache(tmp_path / "cache"), Quiet())
    assert caught.value.remedy is not None
    assert "mlbuild base lock tiny" in caught.value.remedy


def test_a_package_with_other_bytes_is_refused(
    definition: BaseDefinition, web: tuple[str, Path], tmp_path: Path
) -> None:
    path = web[1] / "debian" / definition.image.packages[0].path
    raw = bytearray(path.read_bytes())
    raw[-20] ^= 1
    path.write_bytes(raw)
    with pytest.raises(FetchError, match="base-passwd"):
        build_base(definition, Cache(tmp_path / "cache"), Quiet())


def test_a_file_that_is_another_package_than_locked_is_refused(definition: BaseDefinition, tmp_path: Path) -> None:
    first, *rest = definition.image.packages
    renamed = changed(definition, packages=(first.model_copy(update={"version": "4.0"}), *rest))
    with pytest.raises(BuilderError, match=r"locked as base-passwd 4\.0 says its Version is '3\.11\.2-6\+b1'"):
        build_base(renamed, Cache(tmp_path / "cache"), Quiet())


def test_a_result_that_is_not_the_locks_is_refused_and_not_kept(
    definition: BaseDefinition, tmp_path: Path
) -> None:
    other = changed(definition, diff_ids=(Digest("sha256:" + "0" * 64),))
    for _ in range(2):
        with pytest.raises(BuilderError, match="the base tiny does not match its lock: its layer is") as caught:
            build_base(other, Cache(tmp_path / "cache"), Quiet())
    assert caught.value.remedy is not None
    assert "mlbuild base lock tiny" in caught.value.remedy


def test_settings_that_are_not_the_locks_are_refused(definition: BaseDefinition, tmp_path: Path) -> None:
    other = changed(definition, config=Digest("sha256:" + "0" * 64))
    with pytest.raises(BuilderError, match="the base tiny does not match its lock: its settings differ"):
        build_base(other, Cache(tmp_path / "cache"), Quiet())


class Listening(Quiet):
    def __init__(self) -> None:
        self.steps: list[str] = []

    def step(self, text: str) -> None:
        self.steps.append(text)


def test_the_same_content_from_another_compressor_is_used_and_said_so(
    definition: BaseDefinition, tmp_path: Path
) -> None:
    other = changed(definition, manifest=Digest("sha256:" + "0" * 64))
    progress = Listening()
    built = build_base(other, Cache(tmp_path / "cache"), progress)
    assert built.config.rootfs.diff_ids == definition.image.diff_ids
    assert any("compressed otherwise than in the lock" in step for step in progress.steps)
