"""Layers are read forward, in bounded memory, and hostile ones are refused."""

from __future__ import annotations

import io
import struct
import tarfile
from pathlib import Path

import pytest
import zstandard
from isal import igzip

from compliance.errors import InvalidInput
from compliance.oci.digest import Digest
from compliance.oci.layer import LayerStream, open_layer
from compliance.oci.layer_members import members


def tarred(*files: tuple[str, bytes], format: int = tarfile.PAX_FORMAT) -> bytes:
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w", format=format) as archive:
        for name, content in files:
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return target.getvalue()


@pytest.mark.parametrize("compress", [bytes, igzip.compress, zstandard.ZstdCompressor().compress])
def test_gzip_zstd_and_plain_layers_give_the_same_tar(tmp_path: Path, compress: type[bytes]) -> None:
    tar = tarred(("a", b"one"), ("b" * 300, b"two"))
    (tmp_path / "blob").write_bytes(compress(tar))
    with open_layer(tmp_path / "blob") as stream:
        found = [(path, content.read()) for path, _, content in members(stream) if content]
        assert stream.finish() == Digest.of(tar)
    assert found == [("/a", b"one"), ("/" + "b" * 300, b"two")]


def test_gzip_and_zstd_in_several_frames_are_one_tar(tmp_path: Path) -> None:
    tar = tarred(("a", bytes(100_000)))
    skippable = struct.pack("<II", 0x184D2A50, 4) + b"note"
    for compress in (igzip.compress, zstandard.ZstdCompressor().compress):
        blob = compress(tar[:50_000]) + compress(tar[50_000:])
        (tmp_path / "blob").write_bytes(blob + (skippable if compress is not igzip.compress else b""))
        with open_layer(tmp_path / "blob") as stream:
            assert stream.finish() == Digest.of(tar)


@pytest.mark.parametrize("compress", [igzip.compress, zstandard.ZstdCompressor().compress])
def test_a_bomb_is_cut_off(tmp_path: Path, compress: type[bytes]) -> None:
    (tmp_path / "blob").write_bytes(compress(bytes(50_000_000)))
    with open_layer(tmp_path / "blob", limit=1_000_000) as stream:
        with pytest.raises(InvalidInput, match="decompresses to more than 1,000,000 bytes"):
            stream.finish()
        assert stream.tell() < 3_000_000


@pytest.mark.parametrize("compress", [igzip.compress, zstandard.ZstdCompressor().compress])
@pytest.mark.parametrize("damage", [lambda blob: blob[:-20], lambda blob: blob[:20] + bytes(20) + blob[40:]])
def test_a_damaged_blob_is_refused_or_has_another_diff_id(
    tmp_path: Path, compress: type[bytes], damage: type[bytes]
) -> None:
    tar = tarred(("a", bytes(range(256)) * 400))
    (tmp_path / "blob").write_bytes(damage(compress(tar)))
    try:
        with open_layer(tmp_path / "blob") as stream:
            actual = stream.finish()
    except InvalidInput:
        return
    assert actual != Digest.of(tar)


def test_a_blob_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="layer x cannot be read"), open_layer(tmp_path / "no", name="layer x"):
        pass


def test_content_that_nobody_read_is_skipped() -> None:
    stream = LayerStream(io.BytesIO(tarred(("a", bytes(5000)), ("b", b"x"))), "the layer", 1 << 20)
    assert [path for path, _, _ in members(stream)] == ["/a", "/b"]
