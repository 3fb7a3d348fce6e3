"""Layers are read forward, in bounded memory, and hostile ones are refused."""

from __future__ import annotations

import io
import re
import struct
import tarfile
from pathlib import Path

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st
from isal import igzip

from compliance.errors import InvalidInput
from compliance.oci.digest import Digest
from compliance.oci.layer import LayerStream, UnsafeMember, absolute, members, open_layer, require_safe


def tarred(*files: tuple[str, bytes], format: int = tarfile.PAX_FORMAT) -> bytes:
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w", format=format) as archive:
        for name, content in files:
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return target.getvalue()


def read(tar: bytes) -> list[tuple[str, bytes]]:
    stream = LayerStream(io.BytesIO(tar), "the layer", 1 << 30)
    return [(path, content.read() if content else b"") for path, _, content in members(stream)]


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


@pytest.mark.parametrize("format", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_every_tar_dialect_is_read(format: int) -> None:
    assert read(tarred(("a/b", b"c"), format=format)) == [("/a/b", b"c")]


def test_an_empty_tar_has_no_members() -> None:
    assert read(tarred()) == []


def header(name: bytes, size: bytes, kind: bytes = b"0") -> bytes:
    fields = name.ljust(100, b"\0") + b"0000644\0" + b"0000000\0" * 2 + size + b"00000000000\0"
    rest = kind + bytes(100) + b"ustar\0" + b"00"
    block = (fields + b" " * 8 + rest).ljust(512, b"\0")
    return block[:148] + b"%06o\0 " % sum(block) + block[156:]


@pytest.mark.parametrize(
    ("tar", "why"),
    [
        (b"", "not a valid tar"),
        (b"not a tar at all", "not a valid tar"),
        (b"x" * 2000, "not a valid tar"),
        (tarred(("a", b"1"))[:1024] + b"y" * 512 + bytes(1024), "goes wrong before byte 1,536"),
        (tarred(("a", b"1")) + b"hidden", "goes wrong before byte"),
        (header(b"a", b"00000001000\0") + b"short", "ends within|unexpected end"),
        (header(b"a", b"77777777777\0"), "ends within|unexpected end"),
        (header(b"a", b"\xff" * 11 + b"\xfe") + bytes(1024), "negative size|in order|not a valid tar"),
        (header(b"a", b"77777777777\0", b"x") + bytes(1024), "extended header of 8,589,934,591 bytes"),
        (header(b"a", b"77777777777\0", b"L") + bytes(1024), "extended header of 8,589,934,591 bytes"),
        (header(b"a", b"00000000000\0", b"S") + bytes(1024), "sparse"),
        (tarred(("a" * 5000, b"")), "too long paths"),
    ],
)
def test_hostile_tars_are_refused(tar: bytes, why: str) -> None:
    with pytest.raises(InvalidInput, match=why):
        read(tar)


def test_a_chain_of_extended_headers_is_refused() -> None:
    record = b"11 path=abc\n"
    link = header(b"p", b"%011o\0" % len(record), b"x") + record.ljust(512, b"\0")
    with pytest.raises(InvalidInput):
        read(link * 5000 + tarred(("a", b"")))


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("a/b", "/a/b"),
        ("./a/b/", "/a/b"),
        ("/a//b", "/a/b"),
        ("//a", "/a"),
        ("../../a", "/a"),
        ("a/../../b", "/b"),
        ("", "/"),
        ("caf\udce9", "/caf\\xe9"),
    ],
)
def test_a_member_is_where_its_name_says_within_the_image(name: str, path: str) -> None:
    assert absolute(name) == path


@given(st.binary(max_size=3000))
def test_any_bytes_are_a_tar_or_invalid_input(data: bytes) -> None:
    try:
        read(data)
    except InvalidInput:
        return


@given(st.data())
def test_a_damaged_tar_is_a_tar_or_invalid_input(data: st.DataObject) -> None:
    raw = bytearray(tarred(("a", b"1" * 600), ("b" * 200, b"2")))
    for _ in range(data.draw(st.integers(1, 8))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    try:
        read(bytes(raw))
    except InvalidInput:
        return


def odd(name: str, kind: bytes = tarfile.REGTYPE, target: str = "") -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, target
    return member


@pytest.mark.parametrize(
    ("member", "why"),
    [
        (odd("dev/sda", tarfile.BLKTYPE), "makes the device '/dev/sda'"),
        (odd("mem", tarfile.CHRTYPE), "makes the device '/mem'"),
        (odd("../a"), "writes outside its root, as '../a'"),
        (odd("a/../../b"), "writes outside its root"),
        (odd("/../b"), "writes outside its root"),
        (odd("../\udcff"), r"as '../\\xff'"),
        (odd("a", tarfile.LNKTYPE, "../../etc/shadow"), "links '/a' to a file outside its root"),
    ],
)
def test_a_member_that_does_harm_is_refused(member: tarfile.TarInfo, why: str) -> None:
    with pytest.raises(UnsafeMember, match=re.escape(why)):
        require_safe(member)


@pytest.mark.parametrize(
    "member",
    [
        odd("a/../b"),
        odd("./a/b"),
        odd("/a"),
        odd("..a/b.."),
        odd("a", tarfile.SYMTYPE, "../../../etc/passwd"),
        odd("a", tarfile.LNKTYPE, "b/../c"),
        odd("a", tarfile.FIFOTYPE),
        odd("a", tarfile.DIRTYPE),
    ],
)
def test_what_stays_inside_is_no_harm(member: tarfile.TarInfo) -> None:
    require_safe(member)
