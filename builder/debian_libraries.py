"""Which Debian package has a shared library: a table made from the archive's own index of contents."""

from __future__ import annotations

import re
import tomllib
from functools import cache
from importlib.resources import files
from typing import Final

from compliance.inventory import OperatingSystem

_VERSIONED: Final = re.compile(r".+\.so(?:\.[0-9]+){2,}")


def package_with(library: str, system: OperatingSystem) -> str | None:
    """The package of this release that holds `library`, as `libgl1` does `libGL.so.1`; None when unknown.

    The table has the shortest version of a name: `libpython3.11.so.1.0` is found as `libpython3.11.so.1`.
    """
    table = _table().get(f"{system.id}-{system.version}", {})
    name = library
    while name not in table and _VERSIONED.fullmatch(name):
        name = name.rpartition(".")[0]
    return table.get(name)


@cache
def _table() -> dict[str, dict[str, str]]:
    return tomllib.loads((files("builder") / "debian_libraries.toml").read_text(encoding="utf-8"))
