"""The SBOM of what was built last: written when something in it has changed, else the one that is there."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version
from typing import Final

from builder.state import State
from compliance.inventory import Inventory, ModelFile
from compliance.oci.digest import Digest

NAME: Final = "sbom.cdx.json"
_MADE_FROM: Final = "sbom.made-from"
_WRITERS: Final = ("mlbuild", "cyclonedx-python-lib")


def sbom_of(inventory: Inventory, name: str, models: Sequence[ModelFile], state: State) -> bytes:
    """The CycloneDX document of the image `name`, which is in `state` then.

    The one there is taken where it was written of the same things by the same versions, and is as it was.
    """
    written_by = [f"{writer} {version(writer)}" for writer in _WRITERS]
    made_from = Digest.of(repr((written_by, name, inventory, tuple(models))).encode())
    before = state.read(NAME)
    if before is not None and state.read(_MADE_FROM) == _note(made_from, before):
        return before
    from compliance.sbom import to_cyclonedx  # imported where one is written: the library takes long

    sbom = to_cyclonedx(inventory, name=name, models=models)
    state.write(NAME, sbom)
    state.write(_MADE_FROM, _note(made_from, sbom))
    return sbom


def _note(made_from: Digest, sbom: bytes) -> bytes:
    return f"{made_from} {Digest.of(sbom)}".encode()
