from __future__ import annotations

import contextlib
import io
import os
import socket
from pathlib import Path

import pytest

from builder.errors import BuilderError
from builder.layers.app import NEVER, AppInput, app_entries, app_inputs, find_files
from builder.layers.tar import Entry, Kind, write_layer
from compliance.errors import InvalidInput
from compliance.oci.digest import Digest


def project(root: Path, *paths: str) -> Path:
    for path in paths:
        target = root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(path)
    return root


def found(root: Path, *include: str, exclude: tuple[str, ...] = ()) -> list[str]:
    return [file.path for file in find_files(AppInput(root, include or ("**",), exclude))]


def entries(root: Path) -> dict[str, Entry]:
    files = find_files(AppInput(root))
    digests = [Digest.of(b"" if file.target else file.source.read_bytes()) for file in files]
    return {entry.path: entry for entry in app_entries(zip(files, digests, strict=True))}


def test_everything_sensible_is_taken(tmp_path: Path) -> None:
    project(tmp_path, "app.py", "pkg/mod.py", "model/a/b.onnx", ".env", "tests/test_app.py")
    assert found(tmp_path) == [".env", "app.py", "model/a/b.onnx", "pkg/mod.py", "tests/test_app.py"]


@pytest.mark.parametrize("name", [name.replace("*", "mod") for name in NEVER])
def test_what_no_image_needs_is_left_out_at_any_depth(tmp_path: Path, name: str) -> None:
    project(tmp_path, "app.py", f"{name}/file", f"deep/down/{name}/file", "deep/app.py")
    assert found(tmp_path) == ["app.py", "deep/app.py"]
    assert found(tmp_path, "app.py", "deep/**") == ["app.py", "deep/app.py"]


def test_virtual_environment_of_any_name_is_left_out(tmp_path: Path) -> None:
    project(tmp_path, "app.py", "myenv/pyvenv.cfg", "myenv/lib/python3.11/site-packages/x.py")
    assert found(tmp_path) == ["app.py"]


def test_spec_and_lock_are_left_out_on_top_only(tmp_path: Path) -> None:
    project(tmp_path, "mlbuild.yaml", "pylock.toml", "sub/pylock.toml")
    assert found(tmp_path) == ["sub/pylock.toml"]


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("*.py", ["a.py"]),
        ("**/*.py", ["a.py", "model/deep/c.py", "pkg/b.py"]),
        ("model", ["model/deep/c.py", "model/m.onnx"]),
        ("model/", ["model/deep/c.py", "model/m.onnx"]),
        ("./model/*", ["model/deep/c.py", "model/m.onnx"]),
        ("model/*.onnx", ["model/m.onnx"]),
        ("model/**", ["model/deep/c.py", "model/m.onnx"]),
        ("m*/d?ep/[a-c].py", ["model/deep/c.py"]),
        ("**/deep", ["model/deep/c.py"]),
        ("pkg/**/b.py", ["pkg/b.py"]),
    ],
)
def test_patterns(tmp_path: Path, pattern: str, expected: list[str]) -> None:
    project(tmp_path, "a.py", "pkg/b.py", "model/m.onnx", "model/deep/c.py")
    assert found(tmp_path, pattern) == expected
    everything = found(tmp_path)
    assert found(tmp_path, exclude=(pattern,)) == [path for path in everything if path not in expected]


def test_pattern_that_chooses_nothing_is_refused(tmp_path: Path) -> None:
    project(tmp_path, "app.py")
    with pytest.raises(InvalidInput, match=r"'modle/\*\*' under app.include chooses no file"):
        find_files(AppInput(tmp_path, ("app.py", "modle/**")))


def test_empty_project_gives_nothing(tmp_path: Path) -> None:
    assert found(tmp_path) == []


def test_project_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="cannot be read"):
        found(tmp_path / "gone")


def test_modes_are_normalised(tmp_path: Path) -> None:
    project(tmp_path, "run.sh", "data", "odd")
    (tmp_path / "run.sh").chmod(0o750)
    (tmp_path / "data").chmod(0o600)
    (tmp_path / "odd").chmod(0o6677)
    tree = entries(tmp_path)
    assert {path: entry.mode for path, entry in tree.items()} == {
        "app/run.sh": 0o755,
        "app/data": 0o644,
        "app/odd": 0o644,
    }


def test_link_inside_stays_a_link(tmp_path: Path) -> None:
    project(tmp_path, "model/v1/m.onnx")
    (tmp_path / "model" / "current").symlink_to("v1")
    (tmp_path / "m").symlink_to(tmp_path / "model" / "v1" / "m.onnx")
    tree = entries(tmp_path)
    assert (tree["app/model/current"].kind, tree["app/model/current"].target) == (Kind.SYMLINK, "v1")
    assert (tree["app/m"].kind, tree["app/m"].target) == (Kind.SYMLINK, "model/v1/m.onnx")
    assert "app/model/current/m.onnx" not in tree


@pytest.mark.parametrize("target", ["/etc/passwd", "../outside", "sub/../../outside", "escape/outside", "."])
def test_link_that_leads_outside_is_refused(tmp_path: Path, target: str) -> None:
    root = project(tmp_path / "project", "app.py", "sub/x")
    (tmp_path / "outside").write_text("secret")
    if target == "escape/outside":  # through another link that leads outside
        (root / "link").symlink_to("sub/escape/outside")
        (root / "sub" / "escape").symlink_to("../..")
    elif target == ".":
        (root / "link").symlink_to(tmp_path)
    else:
        (root / "link").symlink_to(target)
    with pytest.raises(InvalidInput, match=r"is a link to .*, which is outside the project"):
        found(root)
    assert found(root, "app.py") == ["app.py"]


def test_link_that_leaves_and_comes_back_is_made_direct(tmp_path: Path) -> None:
    root = project(tmp_path / "project", "sub/x")
    (root / "link").symlink_to("../project/sub/x")
    assert entries(root)["app/link"].target == "sub/x"


def test_dangling_link_stays(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("gone")
    assert entries(tmp_path)["app/link"].target == "gone"


def test_socket_is_refused(tmp_path: Path) -> None:
    with contextlib.chdir(tmp_path), socket.socket(socket.AF_UNIX) as listener:  # a socket's path must be short
        listener.bind("s")
        with pytest.raises(InvalidInput, match="neither file, directory nor link"):
            found(tmp_path)


def test_file_that_changes_meanwhile_is_noticed(tmp_path: Path) -> None:
    project(tmp_path, "data")
    entry = entries(tmp_path)["app/data"]
    (tmp_path / "data").write_text("atad")
    with pytest.raises(BuilderError, match="changed while the image was built"):
        write_layer([entry], io.BytesIO())


def test_inputs_name_path_mode_target_and_content(tmp_path: Path) -> None:
    project(tmp_path, "data")
    (tmp_path / "link").symlink_to("data")
    seen = set()
    for change in ("nothing", "content", "mode", "name", "target"):
        if change == "content":
            (tmp_path / "data").write_text("other")
        elif change == "mode":
            (tmp_path / "data").chmod(0o755)
        elif change == "name":
            (tmp_path / "data").rename(tmp_path / "atad")
        elif change == "target":
            (tmp_path / "link").unlink()
            (tmp_path / "link").symlink_to("atad")
        files = find_files(AppInput(tmp_path))
        digests = [Digest.of(b"" if file.target else file.source.read_bytes()) for file in files]
        seen.add(app_inputs(zip(files, digests, strict=True)))
    assert len(seen) == 5


def test_name_that_is_not_utf8_is_refused(tmp_path: Path) -> None:
    (tmp_path / os.fsdecode(b"caf\xe9.py")).write_text("")
    with pytest.raises(InvalidInput, match="is not UTF-8"):
        found(tmp_path)
