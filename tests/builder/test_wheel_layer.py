from __future__ import annotations

import base64
import csv
import hashlib
import io
import tarfile
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from builder.errors import BuilderError
from builder.layers.archive import open_archive
from builder.layers.tar import Entry, Kind, write_layer
from builder.layers.wheel import Environment, WheelInput, open_wheel
from tests.examples import examples

if TYPE_CHECKING:
    from tests.builder.conftest import MakeWheel

SITE = "opt/venv/lib/python3.11/site-packages"
BAD = Path(__file__).parent / "data" / "wheels-bad"


ENVIRONMENT = Environment()


def read(wheel: WheelInput, environment: Environment = ENVIRONMENT) -> dict[str, tuple[int, bytes]]:
    """Path, mode and bytes of everything a wheel becomes, read back from the layer's tar."""
    blob = io.BytesIO()
    with open_wheel(wheel, environment) as entries:
        write_layer(entries, blob)
    blob.seek(0)
    tree = {}
    with tarfile.open(fileobj=blob, mode="r:gz") as archive:
        for member in archive:
            content = archive.extractfile(member)
            if content is not None:
                tree[member.name] = (member.mode, content.read())
    return tree


def test_files_go_to_site_packages_with_their_metadata(make_wheel: MakeWheel) -> None:
    tree = read(make_wheel({"demo/__init__.py": b"x = 1\n", "demo.pth": b"import demo\n"}))
    assert tree[f"{SITE}/demo/__init__.py"] == (0o644, b"x = 1\n")
    assert tree[f"{SITE}/demo.pth"] == (0o644, b"import demo\n")
    assert tree[f"{SITE}/demo-1.0.dist-info/INSTALLER"] == (0o644, b"mlbuild\n")
    assert f"{SITE}/demo-1.0.dist-info/REQUESTED" not in tree
    assert f"{SITE}/demo-1.0.dist-info/direct_url.json" not in tree


def test_requested_marks_what_the_user_asked_for(make_wheel: MakeWheel) -> None:
    assert read(make_wheel(direct=True))[f"{SITE}/demo-1.0.dist-info/REQUESTED"] == (0o644, b"")


def test_every_scheme_of_data_has_its_place(make_wheel: MakeWheel) -> None:
    data = "demo-1.0.data"
    tree = read(
        make_wheel(
            {
                f"{data}/purelib/pure.py": b"1",
                f"{data}/platlib/plat.so": b"2",
                f"{data}/scripts/tool": b"3",
                f"{data}/headers/demo.h": b"4",
                f"{data}/data/share/jupyter/kernel.json": b"5",
                f"{data}/data/etc/demo.conf": b"6",
            }
        )
    )
    assert tree[f"{SITE}/pure.py"][1] == b"1"
    assert tree[f"{SITE}/plat.so"][1] == b"2"
    assert tree["opt/venv/bin/tool"] == (0o755, b"3")
    assert tree["opt/venv/include/site/python3.11/demo/demo.h"][1] == b"4"
    assert tree["opt/venv/share/jupyter/kernel.json"][1] == b"5"
    assert tree["opt/venv/etc/demo.conf"][1] == b"6"
    assert not any(".data" in path for path in tree)


def test_headers_go_under_the_normalised_project_name(make_wheel: MakeWheel) -> None:
    wheel = make_wheel({"My_Demo-1.0.data/headers/a.h": b""}, name="My_Demo")
    assert "opt/venv/include/site/python3.11/my-demo/a.h" in read(wheel)


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        (b"#!python\nprint(1)\n", b"#!/opt/venv/bin/python\nprint(1)\n"),
        (b"#!pythonw -x\nprint(1)\n", b"#!/opt/venv/bin/python\nprint(1)\n"),
        (b"#!python", b"#!/opt/venv/bin/python\n"),
        (b"#!/bin/sh\necho 1\n", b"#!/bin/sh\necho 1\n"),
        (b"\x7fELF#!python\n", b"\x7fELF#!python\n"),
        (b"", b""),
    ],
)
def test_shebang_of_scripts_becomes_the_environments(
    make_wheel: MakeWheel, script: bytes, expected: bytes
) -> None:
    assert read(make_wheel({"demo-1.0.data/scripts/tool": script}))["opt/venv/bin/tool"] == (0o755, expected)


def test_shebang_outside_scripts_stays(make_wheel: MakeWheel) -> None:
    assert read(make_wheel({"demo/tool.py": b"#!python\n"}))[f"{SITE}/demo/tool.py"][1] == b"#!python\n"


def test_entry_points_become_scripts(make_wheel: MakeWheel) -> None:
    tree = read(
        make_wheel(
            entry_points="[console_scripts]\ndemo = demo.cli:app.main [extra]\n"
            "[gui_scripts]\ndemo-gui = demo:gui\n[other]\nx = demo:nothing\n"
        )
    )
    mode, script = tree["opt/venv/bin/demo"]
    assert mode == 0o755
    assert script.startswith(b"#!/opt/venv/bin/python\n")
    assert b"from demo.cli import app\n" in script
    assert b"sys.exit(app.main())" in script
    assert "opt/venv/bin/demo-gui" in tree
    assert "opt/venv/bin/x" not in tree


def test_entry_point_replaces_a_wrapper_shipped_in_the_wheel(make_wheel: MakeWheel) -> None:
    files = {"demo-1.0.data/scripts/demo": b"stale", "demo-1.0.data/scripts/demo-script.py": b"stale"}
    tree = read(make_wheel(files, entry_points="[console_scripts]\ndemo = demo:main\n"))
    assert b"stale" not in tree["opt/venv/bin/demo"][1]
    assert "opt/venv/bin/demo-script.py" not in tree


def test_execute_bit_is_the_wheels(make_wheel: MakeWheel) -> None:
    tree = read(make_wheel({"demo/run": b"", "demo/lib.so": b""}, executable=("demo/run",)))
    assert tree[f"{SITE}/demo/run"][0] == 0o755
    assert tree[f"{SITE}/demo/lib.so"][0] == 0o644


def test_byte_code_is_left_out(make_wheel: MakeWheel) -> None:
    tree = read(make_wheel({"demo/__init__.py": b"", "demo/__pycache__/__init__.cpython-311.pyc": b"evil"}))
    assert not any("__pycache__" in path for path in tree)
    assert b"__pycache__" not in tree[f"{SITE}/demo-1.0.dist-info/RECORD"][1]


def test_what_an_installer_writes_is_not_taken_from_the_wheel(make_wheel: MakeWheel) -> None:
    info = "demo-1.0.dist-info"
    tree = read(
        make_wheel(
            {f"{info}/INSTALLER": b"evil", f"{info}/REQUESTED": b"evil", f"{info}/direct_url.json": b"evil"}
        )
    )
    assert tree[f"{SITE}/{info}/INSTALLER"][1] == b"mlbuild\n"
    assert not {f"{SITE}/{info}/REQUESTED", f"{SITE}/{info}/direct_url.json"} & tree.keys()


def record_is_true(tree: dict[str, tuple[int, bytes]], record: str, site: str = SITE) -> None:
    rows = list(csv.reader(io.StringIO(tree[record][1].decode())))
    listed = {}
    for path, digest, size in rows:
        parts = site.split("/")
        while path.startswith("../"):
            path, parts = path.removeprefix("../"), parts[:-1]
        listed["/".join([*parts, path])] = (digest, size)
    assert len(listed) == len(rows)
    assert listed.keys() == tree.keys()
    assert listed.pop(record) == ("", "")
    for path, (digest, size) in listed.items():
        data = tree[path][1]
        algorithm, _, value = digest.partition("=")
        assert base64.urlsafe_b64encode(hashlib.new(algorithm, data).digest()).rstrip(b"=").decode() == value
        assert int(size) == len(data)


def test_record_lists_everything_with_true_hashes(make_wheel: MakeWheel) -> None:
    data = "demo-1.0.data"
    wheel = make_wheel(
        {
            "demo/__init__.py": b"x",
            'demo/a "comma", and quotes.txt': b"y",
            "demo/文件.txt": b"z",
            f"{data}/scripts/tool": b"#!python\n",
            f"{data}/data/share/doc": b"d",
            f"{data}/headers/h.h": b"h",
        },
        entry_points="[console_scripts]\nmain = demo:main\n",
        direct=True,
    )
    record_is_true(read(wheel), f"{SITE}/demo-1.0.dist-info/RECORD")


@given(
    st.dictionaries(
        st.lists(st.text("abcé,\" '", min_size=1, max_size=5), min_size=1, max_size=3).map("/".join),
        st.binary(max_size=300),
        max_size=8,
    ).filter(
        lambda files: not any(f"{other}/" in f"{path}/" for path in files for other in files if other != path)
    ),
    st.sampled_from([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED]),
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_files_arrive_as_they_are(make_wheel: MakeWheel, files: dict[str, bytes], compression: int) -> None:
    tree = read(make_wheel({f"pkg/{path}": data for path, data in files.items()}, compression=compression))
    for path, data in files.items():
        assert tree[f"{SITE}/pkg/{path}"] == (0o644, data)
    record_is_true(tree, f"{SITE}/demo-1.0.dist-info/RECORD")


def test_another_prefix_and_python_change_every_place(make_wheel: MakeWheel) -> None:
    wheel = make_wheel(entry_points="[console_scripts]\ndemo = demo:main\n")
    tree = read(wheel, Environment("/srv/env", "3.12"))
    assert "srv/env/lib/python3.12/site-packages/demo/__init__.py" in tree
    assert tree["srv/env/bin/demo"][1].startswith(b"#!/srv/env/bin/python\n")


def test_large_member_is_streamed(make_wheel: MakeWheel) -> None:
    data = bytes(range(256)) * (5 << 12)
    assert read(make_wheel({"demo/model.bin": data}))[f"{SITE}/demo/model.bin"][1] == data


EXPECTED = {
    "content-damaged": "is damaged at demo/data.bin",
    "cut-short": "is no zip file",
    "dist-info-missing": "has 0 .dist-info directories instead of one",
    "dist-info-of-another-name": "keeps its metadata in evil-1.0.dist-info",
    "dist-info-twice": "has 2 .dist-info directories instead of one",
    "entry-points-are-no-ini": "entry_points.txt that cannot be read",
    "format-not-said": "is of wheel format None",
    "format-too-new": "is of wheel format 2.0",
    "metadata-missing": "has no demo-1.0.dist-info/METADATA",
    "metadata-of-another-name": "says in its METADATA that it is evil 1.0",
    "metadata-of-another-version": "says in its METADATA that it is demo 1.1",
    "names-differ-in-local-header": "calls demo/__init__.py by another name",
    "not-a-zip": "is no zip file",
    "path-is-absolute": "leads out of its place",
    "path-leads-up": "leads out of its place",
    "path-leads-up-in-data": "leads out of its place",
    "path-twice": "holds demo/__init__.py twice",
    "path-twice-by-two-schemes": "installs lib/python3.11/site-packages/demo/__init__.py twice",
    "path-with-backslash": "leads out of its place",
    "record-hash-is-md5": "by md5, which is weak",
    "record-hash-lies": "has a RECORD by which demo/__init__.py has sha256=",
    "record-is-no-csv": "has a RECORD that cannot be read",
    "record-is-not-text": "RECORD that is not UTF-8 text",
    "record-lists-a-stranger": "lists demo/stranger.py, which is not in it",
    "record-misses-a-file": "holds demo/__init__.py, which its RECORD does not list",
    "record-missing": "has no demo-1.0.dist-info/RECORD",
    "record-row-twice": "two different rows for demo/__init__.py",
    "record-size-lies": "has 7 bytes; it has 6",
    "replaces-the-environment": "would replace /opt/venv/pyvenv.cfg",
    "replaces-the-interpreter": "would replace /opt/venv/bin/python",
    "scheme-unknown": "belongs to no scheme",
    "script-injects-code": "names no function",
    "script-leads-up": "wants a script named '../../evil'",
    "script-replaces-the-interpreter": "would replace /opt/venv/bin/python",
    "script-without-function": "names no function",
    "size-lies": "has a RECORD by which demo/zeros has 1,048,576 bytes; it has 10",
}


def test_every_bad_wheel_is_tried() -> None:
    assert {path.stem for path in BAD.glob("*.whl")} == EXPECTED.keys()


@pytest.mark.parametrize("name", EXPECTED)
def test_bad_wheel_is_refused(name: str) -> None:
    wheel = WheelInput(BAD / f"{name}.whl", "demo", "1.0", "0" * 64)
    with pytest.raises(BuilderError) as caught:
        read(wheel)
    assert caught.value.message.startswith("demo 1.0: the wheel ")
    assert EXPECTED[name] in caught.value.message
    assert caught.value.remedy


def test_wheel_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BuilderError, match="the wheel cannot be read"):
        read(WheelInput(tmp_path / "gone.whl", "demo", "1.0", "0" * 64))


def test_row_without_hash_is_completed_from_the_bytes(make_wheel: MakeWheel, tmp_path: Path) -> None:
    wheel = make_wheel({"demo.py": b"x = 1\n"})
    bare = tmp_path / "bare.whl"
    with zipfile.ZipFile(wheel.path) as source, zipfile.ZipFile(bare, "w") as target:
        for name in source.namelist():
            data = source.read(name)
            if name.endswith("RECORD"):
                data = b"\n".join(
                    b"demo.py,," if line.startswith(b"demo.py") else line for line in data.split(b"\n")
                )
            target.writestr(name, data)
    tree = read(WheelInput(bare, "demo", "1.0", "0" * 64))
    record_is_true(tree, f"{SITE}/demo-1.0.dist-info/RECORD")


@given(st.data())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=examples(300))
def test_damaged_wheel_is_refused_or_read_truly(make_wheel: MakeWheel, data: st.DataObject) -> None:
    """Whatever bytes are altered: a clear refusal, or entries that are the original's."""
    wheel = make_wheel({"demo/__init__.py": b"x = 1\n" * 50, "demo-1.0.data/scripts/t": b"#!python\n"})
    expected = read(wheel)
    raw = bytearray(wheel.path.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    wheel.path.write_bytes(raw)
    try:
        found = read(wheel)
    except BuilderError:
        return
    assert {path: content for path, (_, content) in found.items()} == {
        path: content for path, (_, content) in expected.items()
    }


def test_entries_are_files_only(make_wheel: MakeWheel) -> None:
    with open_wheel(make_wheel(), Environment()) as entries:
        assert all(isinstance(entry, Entry) and entry.kind is Kind.FILE for entry in entries)


def test_member_that_inflates_to_more_than_its_size_is_refused() -> None:
    with open_archive(BAD / "size-lies.whl", "demo 1.0") as archive:
        stream = archive.stream(archive.members["demo/zeros"])
        with stream, pytest.raises(BuilderError, match="holds more of demo/zeros than the size it gives"):
            stream.read()
