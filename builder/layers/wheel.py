"""A wheel as layer entries: what `pip install --no-deps --no-compile` would leave in the environment.

By the binary distribution format (PEP 427) and the record of installed projects (PEP 376, PEP 627):
every file goes to its scheme's place, `#!python` in scripts becomes the environment's interpreter, entry
points become scripts, and RECORD lists what is installed with its hash and size. Files stream from the
zip into the layer; each is held against the wheel's own RECORD as it passes.

Where pip does otherwise: every file in `.data/scripts` is executable, since an archive made on Windows
cannot say so; byte code in `__pycache__` is left out, as PyPA's installer does; a wheel whose RECORD does
not tell the truth, or that would put a file outside the environment or over its interpreter, is refused.
"""

from __future__ import annotations

import configparser
import posixpath
import stat
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import BinaryIO, Final

from installer.records import Hash, RecordEntry
from installer.scripts import Script
from installer.utils import SCHEME_NAMES, Scheme, construct_record_file, parse_entrypoints, parse_metadata_file
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from builder.errors import BuilderError
from builder.layers.archive import Archive, open_archive, record_of, sha256_of
from builder.layers.inputs import Environment, WheelInput
from builder.layers.tar import Entry, is_plain, of_bytes

__all__ = ["INSTALLER", "Environment", "WheelInput", "open_wheel"]

INSTALLER: Final = b"mlbuild\n"

_SCRIPTS: Final = Scheme("scripts")
_PURELIB: Final = Scheme("purelib")
_NOT_INSTALLED: Final = frozenset(
    {"RECORD", "RECORD.jws", "RECORD.p7s", "INSTALLER", "REQUESTED", "direct_url.json"}
)
"""Files of a .dist-info that are the installer's to write, and signatures over the RECORD it replaces."""


Read = Callable[[Archive, zipfile.ZipInfo, RecordEntry], BinaryIO]
"""Opens a member of a wheel, to be held against its row in RECORD."""


@contextmanager
def open_wheel(
    wheel: WheelInput, environment: Environment, read: Read = Archive.stream
) -> Iterator[tuple[Entry, ...]]:
    """The entries of a wheel, each readable while the context lasts. `read` is how their bytes are had.

    Raises BuilderError when the wheel is damaged, is not the locked project and version, is of a newer
    wheel format, would leave its place, or has a RECORD that lies or misses a file. Hashes are compared
    when an entry is read.
    """
    with open_archive(wheel.path, str(wheel)) as archive:
        yield _Installation(wheel, environment, archive, read).entries()


@dataclass(frozen=True, slots=True)
class _Placed:
    """A file of the wheel: its place by scheme, and relative to the environment's prefix."""

    scheme: Scheme
    path: str
    place: str


class _Installation:
    """One wheel on its way into one environment."""

    def __init__(self, wheel: WheelInput, environment: Environment, archive: Archive, read: Read) -> None:
        self._wheel = wheel
        self._read = read
        self._environment = environment
        self._archive = archive
        self._project = canonicalize_name(wheel.name)
        self._dist_info = self._find_dist_info()
        self._entries: dict[str, Entry] = {}
        self._records: list[tuple[Scheme, RecordEntry]] = []

    def entries(self) -> tuple[Entry, ...]:
        self._check_identity()
        scripts = self._entry_points()
        rows = record_of(self._archive, f"{self._dist_info}/RECORD")
        for member in self._archive.members.values():
            placed = self._place(member.filename)
            if placed is not None and not (placed.scheme == _SCRIPTS and _generates(scripts, placed.path)):
                self._install(member, placed, rows[member.filename])
        for name, content in sorted(scripts.items()):
            self._write(_SCRIPTS, name, content, mode=0o755)
        self._write(_PURELIB, f"{self._dist_info}/INSTALLER", INSTALLER)
        if self._wheel.direct:
            self._write(_PURELIB, f"{self._dist_info}/REQUESTED", b"")
        self._write_record()
        return tuple(self._entries.values())

    def _find_dist_info(self) -> str:
        tops = {path.partition("/")[0] for path in self._archive.members}
        found = sorted(top for top in tops if top.endswith(".dist-info"))
        if len(found) != 1:
            raise self._refused(f"has {len(found)} .dist-info directories instead of one")
        return found[0]

    def _check_identity(self) -> None:
        """Name, version and format are what the lock says and what this code was written for."""
        metadata = parse_metadata_file(self._archive.text(f"{self._dist_info}/METADATA"))
        name, version = str(metadata["Name"]), str(metadata["Version"])
        if canonicalize_name(name) != self._project or not _same_version(version, self._wheel.version):
            raise self._refused(f"says in its METADATA that it is {name} {version}")
        stem = self._dist_info.removesuffix(".dist-info")
        if canonicalize_name(stem.rpartition("-")[0]) != self._project:
            raise self._refused(f"keeps its metadata in {self._dist_info}, which is another project's name")
        wheel_version = str(parse_metadata_file(self._archive.text(f"{self._dist_info}/WHEEL"))["Wheel-Version"])
        if wheel_version.partition(".")[0] != "1":
            raise self._refused(f"is of wheel format {wheel_version}; 1.x is understood")

    def _entry_points(self) -> dict[str, bytes]:
        """The scripts to generate, by name."""
        path = f"{self._dist_info}/entry_points.txt"
        if path not in self._archive.members:
            return {}
        scripts: dict[str, bytes] = {}
        try:
            for name, module, attribute, section in parse_entrypoints(self._archive.text(path)):
                if "/" in name or "\\" in name or not is_plain(name):
                    raise self._refused(f"wants a script named {name!r}")
                _, content = Script(name, module, attribute, section).generate(
                    self._environment.interpreter, "posix"
                )
                scripts[name] = content
        except (configparser.Error, AssertionError, AttributeError) as error:  # the last two: no module:attribute
            raise self._refused("has an entry_points.txt that cannot be read or names no function") from error
        return scripts

    def _place(self, path: str) -> _Placed | None:
        """Where a file of the wheel goes; None when it is not installed."""
        top, _, rest = path.partition("/")
        if (top == self._dist_info and rest in _NOT_INSTALLED) or "__pycache__" in path.split("/"):
            return None
        if not top.endswith(".data"):
            return self._placed(_PURELIB, path)
        scheme, _, inner = rest.partition("/")
        if scheme not in SCHEME_NAMES or not inner:
            raise self._refused(f"holds {path}, which belongs to no scheme of the wheel format")
        return self._placed(Scheme(scheme), inner)

    def _placed(self, scheme: Scheme, path: str) -> _Placed:
        place = self._environment.scheme(scheme, self._project) + path
        if place in self._environment.reserved:
            raise self._refused(f"would replace {self._environment.prefix}/{place}, which is the base's")
        if place in self._entries:
            raise self._refused(f"installs {place} twice")
        return _Placed(scheme, path, place)

    def _install(self, member: zipfile.ZipInfo, placed: _Placed, row: RecordEntry) -> None:
        """Add a file as it is in the wheel, or with its `#!python` replaced."""
        mode = 0o755 if placed.scheme == _SCRIPTS or _is_executable(member) else 0o644
        if placed.scheme == _SCRIPTS and self._archive.starts_with(member, b"#!python"):
            _, _, body = self._archive.read(member, row).partition(b"\n")
            self._write(placed.scheme, placed.path, f"#!{self._environment.interpreter}\n".encode() + body, mode)
            return
        content = partial(self._read, self._archive, member, row)
        self._entries[placed.place] = Entry(
            self._in_image(placed.place), mode=mode, size=member.file_size, content=content
        )
        self._record(placed.place, row.hash_, row.size)

    def _write(self, scheme: Scheme, path: str, content: bytes, mode: int = 0o644) -> None:
        placed = self._placed(scheme, path)
        self._entries[placed.place] = of_bytes(self._in_image(placed.place), content, mode)
        self._record(placed.place, sha256_of(content), len(content))

    def _write_record(self) -> None:
        placed = self._placed(_PURELIB, f"{self._dist_info}/RECORD")
        self._record(placed.place, None, None)
        with construct_record_file(self._records) as stream:
            self._entries[placed.place] = of_bytes(self._in_image(placed.place), stream.read())

    def _record(self, place: str, hash_: Hash | None, size: int | None) -> None:
        """Note an installed file; RECORD names it relative to site-packages."""
        path = posixpath.relpath(place, self._environment.site_packages)
        self._records.append((_PURELIB, RecordEntry(path, hash_, size)))

    def _in_image(self, place: str) -> str:
        return f"{self._environment.prefix.strip('/')}/{place}"

    def _refused(self, reason: str) -> BuilderError:
        return self._archive.refused(reason)


def _is_executable(member: zipfile.ZipInfo) -> bool:
    """Whether the zip says so: Unix permission bits of a regular file (pip reads them the same way)."""
    mode = member.external_attr >> 16
    return stat.S_ISREG(mode) and bool(mode & 0o111)


def _generates(scripts: Mapping[str, bytes], path: str) -> bool:
    """Whether a file in `.data/scripts` is a stale wrapper of an entry point, which is generated instead."""
    return any(path.removesuffix(suffix) in scripts for suffix in ("", ".exe", "-script.py", ".pya"))


def _same_version(found: str, locked: str) -> bool:
    try:
        return Version(found) == Version(locked)
    except InvalidVersion:
        return found == locked
