"""The members of a layer's tar are read in order, and what is hostile in them is refused."""

from __future__ import annotations

import io
import re
import tarfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compliance.errors import InvalidInput
from compliance.oci.layer import LayerStream
from compliance.oci.layer_members import UnsafeMember, absolute, members, require_safe
from tests.compliance.oci.test_oci_layer import tarred


def read(tar: bytes) -> list[tuple[str, bytes]]:
    stream = LayerStream(io.BytesIO(tar), "the layer", 1 << 30)
    return [(path, content.read() if content else b"") for path, _, content in members(stream)]


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
