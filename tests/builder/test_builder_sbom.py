"""The SBOM of what was built last is kept for as long as it says the same."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from builder.sbom import NAME, sbom_of
from builder.state import State
from compliance.inventory import Ecosystem, Inventory, ModelFile, Origin, Package
from compliance.oci.digest import Digest
from compliance.sbom import to_cyclonedx

PACKAGE = Package("pkg:pypi/a@1.0", "a", "1.0", Ecosystem.PYPI, Origin.DEPENDENCY, layer=Digest.of(b"layer"))
INVENTORY = Inventory(None, (PACKAGE,))
MODEL = ModelFile("/app/model.onnx", "onnx", Origin.APP, "0" * 64, 1)


@pytest.fixture
def state(tmp_path: Path) -> State:
    return State.open(tmp_path / "state")


def changed_at(state: State) -> int:
    return (state.directory / NAME).stat().st_mtime_ns


def test_what_says_the_same_is_not_written_again(state: State) -> None:
    first = sbom_of(INVENTORY, "iris", (MODEL,), state)
    written = changed_at(state)
    assert first == to_cyclonedx(INVENTORY, name="iris", models=(MODEL,))
    assert sbom_of(INVENTORY, "iris", (MODEL,), State.open(state.directory)) == first
    assert changed_at(state) == written


@pytest.mark.parametrize(
    ("inventory", "name", "models"),
    [
        (INVENTORY, "other", (MODEL,)),
        (INVENTORY, "iris", ()),
        (Inventory(None, (replace(PACKAGE, licence="MIT"),)), "iris", (MODEL,)),
        (Inventory(None, (replace(PACKAGE, layer=Digest.of(b"another")),)), "iris", (MODEL,)),
    ],
)
def test_whatever_it_tells_of_is_told_when_it_changes(
    state: State, inventory: Inventory, name: str, models: tuple[ModelFile, ...]
) -> None:
    sbom_of(INVENTORY, "iris", (MODEL,), state)
    assert sbom_of(inventory, name, models, state) == to_cyclonedx(inventory, name=name, models=models)
    assert state.read(NAME) == to_cyclonedx(inventory, name=name, models=models)


@pytest.mark.parametrize("damage", [b"", b"{}", b"\xff"])
def test_what_was_altered_since_is_written_again(state: State, damage: bytes) -> None:
    wanted = sbom_of(INVENTORY, "iris", (), state)
    state.write(NAME, damage)
    assert sbom_of(INVENTORY, "iris", (), state) == wanted
    assert state.read(NAME) == wanted
