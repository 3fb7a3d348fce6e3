"""An image as the dynamic loader sees it: which object is found for a name, and what is not found (ld.so(8)).

Nothing is run. Where an object asks for a library it is searched as glibc does: by DT_RPATH, LD_LIBRARY_PATH,
DT_RUNPATH, then in the system's directories (bases carry no ld.so.cache). One that is found nowhere
so counts as found when the wheel itself, one that it depends on, or one that only carries libraries holds it under
this name: Python code loads such libraries first (`ctypes.CDLL`, an import of the other package), and the
loader then takes the one that is there. Libraries of the graphics driver come from the machine.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from builder.elf import SharedObject
from builder.objects import LayerObjects

DRIVER: Final = re.compile(r"lib(?:cuda|cudadebugger|nvcuvid|nvoptix|nvidia-[a-z0-9-]+)\.so(?:\.[0-9.]+)?")
"""What the NVIDIA container runtime brings into a container from the machine's driver."""

_MULTIARCH: Final = {"EM_X86_64-64": "x86_64-linux-gnu", "EM_AARCH64-64": "aarch64-linux-gnu"}
_LINKS: Final = 40
_NUMBERS: Final = re.compile(r"\d+")


@dataclass(frozen=True, slots=True)
class Placed:
    """An object at its place in the image; `owner` is the wheel it came from, empty for the base."""

    object: SharedObject
    path: str
    owner: str = ""

    @property
    def folder(self) -> str:
        return posixpath.dirname(self.path)


@dataclass(frozen=True, slots=True)
class Problem:
    """What keeps `asker` from being loaded: `library` is nowhere, or found without `version`.

    `at_most` is the newest version of the same series that the library found does have.
    """

    asker: Placed
    library: str
    version: str | None = None
    at_most: str | None = None
    found: Placed | None = None


@dataclass(slots=True)
class LoaderView:
    """The image. `depends` says which wheels a wheel may expect to be loaded already; `provided` are
    libraries that somebody vouches for."""

    machine: str
    library_path: Sequence[str] = ()
    provided: Collection[str] = ()
    depends: Mapping[str, Collection[str]] = field(default_factory=dict)
    _objects: dict[str, Placed] = field(default_factory=dict)
    _links: dict[str, str] = field(default_factory=dict)
    _names: dict[str, list[Placed]] = field(default_factory=dict)
    _steps: dict[str, tuple[tuple[Placed, ...], tuple[Problem, ...]]] = field(default_factory=dict)

    def add_layer(self, layer: LayerObjects) -> None:
        self._links.update((f"/{path}", target) for path, target in layer.links)
        for item in layer.objects:
            self.add(Placed(item, f"/{item.path}"))

    def add(self, placed: Placed) -> None:
        """Objects of other machines are left out: the loader passes them by."""
        if placed.object.machine == self.machine and not is_foreign(placed.object):
            self._objects[placed.path] = placed
            for name in {placed.object.soname or "", posixpath.basename(placed.path)} - {""}:
                self._names.setdefault(name, []).append(placed)

    def has(self, placed: Placed) -> bool:
        """Whether the object is one for this image."""
        return placed.path in self._objects

    def problems(self, start: Placed) -> Iterator[tuple[Problem, tuple[Placed, ...]]]:
        """Whatever keeps `start` from being loaded, each with the objects that lead from `start` to it."""
        ways: dict[str, tuple[Placed, ...]] = {start.path: (start,)}
        waiting = [start]
        for placed in waiting:
            found, problems = self._step(placed)
            for problem in problems:
                yield problem, ways[placed.path]
            for needed in found:
                if needed.path not in ways:
                    ways[needed.path] = (*ways[placed.path], needed)
                    waiting.append(needed)

    def needs(self, placed: Placed) -> tuple[Placed, ...]:
        """The objects that are found for what it needs."""
        return self._step(placed)[0]

    def _step(self, placed: Placed) -> tuple[tuple[Placed, ...], tuple[Problem, ...]]:
        known = self._steps.get(placed.path)
        if known is None:
            known = self._steps[placed.path] = self._look(placed)
        return known

    def _look(self, placed: Placed) -> tuple[tuple[Placed, ...], tuple[Problem, ...]]:
        wanted = dict(placed.object.wants)
        found: list[Placed] = []
        problems: list[Problem] = []
        for library in placed.object.needed:
            match = self.find(library, placed)
            if match is not None:
                found.append(match)
                problems.extend(_lacking(placed, library, wanted.get(library, ()), match))
            elif library not in self.provided and not DRIVER.fullmatch(library):
                problems.append(Problem(placed, library))
        return tuple(found), tuple(problems)

    def find(self, library: str, asker: Placed) -> Placed | None:
        """The object that `asker` gets for a library's name."""
        if "/" in library:
            return self._objects.get(self._resolve(library))
        for folder in self._folders(asker):
            match = self._objects.get(self._resolve(posixpath.join(folder, library)))
            if match is not None:
                return match
        near = {asker.owner, *self.depends.get(asker.owner, ())}
        return next((item for item in self._names.get(library, ()) if item.owner in near and item.owner), None)

    def _folders(self, asker: Placed) -> Iterator[str]:
        own = asker.object
        if not own.runpath:
            yield from _expanded(own.rpath, asker)
        yield from self.library_path
        yield from _expanded(own.runpath, asker)
        multiarch = _MULTIARCH.get(self.machine)
        if multiarch is not None:
            yield from (f"/lib/{multiarch}", f"/usr/lib/{multiarch}")
        yield from ("/lib", "/usr/lib", "/lib64", "/usr/lib64")

    def _resolve(self, path: str) -> str:
        """`path` with the symbolic links on it followed."""
        parts = [part for part in path.split("/") if part][::-1]
        done, followed = "", 0
        while parts:
            part = parts.pop()
            if part in {".", ".."}:
                done = posixpath.dirname(done).rstrip("/") if part == ".." else done
                continue
            target = self._links.get(f"{done}/{part}")
            if target is None or followed == _LINKS:
                done = f"{done}/{part}"
                continue
            followed += 1
            done = "" if target.startswith("/") else done
            parts.extend([piece for piece in target.split("/") if piece][::-1])
        return done


def is_foreign(item: SharedObject) -> bool:
    """Whether it was linked for musl, which such images do not have: wheels carry it for other systems."""
    names = (*item.needed, item.interpreter or "")
    return any(name.startswith("libc.musl-") or "/ld-musl-" in name for name in names)


def _expanded(folders: Iterable[str], asker: Placed) -> Iterator[str]:
    for folder in folders:
        for name in ("ORIGIN", "{ORIGIN}"):
            folder = folder.replace(f"${name}", asker.folder)
        yield folder


def _lacking(asker: Placed, library: str, versions: Iterable[str], found: Placed) -> Iterator[Problem]:
    """The versions that `found` does not define. One that defines none is taken as it is, as ld.so does."""
    given = found.object.gives
    for version in versions:
        if given and version not in given:
            series = version.rpartition("_")[0]
            same = [name for name in given if name.rpartition("_")[0] == series and _number(name)]
            yield Problem(asker, library, version, max(same, key=_number, default=None), found)


def _number(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in _NUMBERS.findall(version.rpartition("_")[2]))
