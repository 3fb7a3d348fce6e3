"""What shared objects need is read while the wheel becomes a layer, and is the same as when read by itself."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from builder.cache import Cache
from builder.elf import CHUNK, HEAD, TAIL
from builder.errors import BuilderError
from builder.layers.inputs import WheelInput
from builder.objects import objects_of_wheels, unread_wheels
from builder.progress import Quiet
from builder.wheel_layers import make_wheel_layers
from builder.wheel_plan import LayerRules, settled_plan
from compliance.oci.layer import open_layer
from compliance.oci.layer_members import members
from tests.builder.elf_file import shared_object

if TYPE_CHECKING:
    from tests.builder.conftest import MakeWheel

RULES = LayerRules(1)


def large_object() -> bytes:
    """A shared object of more than `Rewindable` keeps, whose dynamic segment is at its end."""
    return shared_object(needed=["libc.so.6"], soname="liblarge.so", padding=(HEAD + TAIL + 3) * CHUNK + 77)


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "cache")


def make(wheels: list[WheelInput], cache: Cache) -> list[Path]:
    return [layer.path for layer in make_wheel_layers(settled_plan(wheels, RULES, cache), cache, Quiet())]


def test_objects_are_the_same_as_when_read_by_themselves(
    make_wheel: MakeWheel, cache: Cache, tmp_path: Path
) -> None:
    large = large_object()
    files = {
        "demo/__init__.py": b"x = 1\n",
        "demo/large.so": large,
        "demo/cut.so": large[:3_000_000],
        "demo/small.so": b"\x7fELF",
        "demo/text.so": b"no object",
        "demo/empty.so": b"",
        "demo-1.0.data/scripts/tool": b"#!python\nprint()\n",
        "demo-1.0.data/scripts/program": large,
    }
    wheels = [make_wheel(files), make_wheel({"other/__init__.py": b""}, name="other")]
    make(wheels, cache)
    assert unread_wheels(wheels, cache) == frozenset()
    read = objects_of_wheels(wheels, Cache(tmp_path / "another"), Quiet())
    assert objects_of_wheels(wheels, cache, Quiet()) == read
    assert {item.path for item in read[0].objects} >= {"demo/large.so", "demo-1.0.data/scripts/program"}


def test_of_files_that_another_wheel_covers_the_objects_are_read_too(make_wheel: MakeWheel, cache: Cache) -> None:
    large = large_object()
    a, b = (make_wheel({f"{name}/x.py": b"x", "shared/x.so": large}, name=name) for name in ("a1", "a6"))
    (path,) = {*make([a], cache)}
    assert path
    make([a, b], cache)
    for objects in objects_of_wheels([a, b], cache, Quiet()):
        assert [item.path for item in objects.objects] == ["shared/x.so"]


def test_the_layer_is_the_same_whether_its_objects_are_known(make_wheel: MakeWheel, tmp_path: Path) -> None:
    wheels = [make_wheel({"demo/large.so": large_object()})]
    fresh, known = Cache(tmp_path / "fresh"), Cache(tmp_path / "known")
    objects_of_wheels(wheels, known, Quiet())
    (first,), (second,) = make(wheels, fresh), make(wheels, known)
    assert first.name == second.name
    with open_layer(first) as layer:
        assert any(name.endswith("demo/large.so") for name, _, _ in members(layer))


def test_of_a_wheel_that_is_refused_nothing_is_kept(make_wheel: MakeWheel, cache: Cache) -> None:
    wheel = make_wheel({"demo/large.so": large_object()})
    raw = bytearray(wheel.path.read_bytes())
    raw[len(raw) // 3] ^= 0xFF
    wheel.path.write_bytes(raw)
    with pytest.raises(BuilderError):
        make([wheel], cache)
    assert unread_wheels([wheel], cache) == {wheel.sha256}
