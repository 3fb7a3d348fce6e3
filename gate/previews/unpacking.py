"""From uploaded files to a directory of policies, below a place of their own, however they were made."""

from __future__ import annotations

import re
import shutil
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import BinaryIO, Final, cast

from compliance.errors import InvalidInput
from compliance.oci.layer import open_layer
from compliance.oci.layer_members import members, require_safe
from compliance.policy.loader import DATA, VEX
from compliance.policy.waiver_document import WAIVERS
from gate.previews.messages import Uploaded

MAX_BYTES: Final = 64 << 20
"""All that an archive unpacks to; exploitation data is some 10 MB."""

MAX_MEMBERS: Final = 10_000
MAX_PARTS: Final = 8
ARCHIVES: Final = (".zip", ".tar.gz", ".tgz")

_NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._ +@-]{0,199}")
_FILE: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,199}\.yaml")
_WAIVER: Final = re.compile(rb"^rule[ \t]*:", re.MULTILINE)
_READ: Final = frozenset({".yaml", ".yml", ".json", ".csv"})
_NOT_ASKED: Final = frozenset({"advisories", "tests"})
"""Folders of a directory of policies that say nothing of how stored evidence is judged."""

_CHUNK: Final = 1 << 20
_DAMAGE: Final = (
    zipfile.BadZipFile,
    zlib.error,
    OSError,
    EOFError,
    NotImplementedError,
    RuntimeError,
    ValueError,
)


def is_archive(name: str) -> bool:
    return name.lower().endswith(ARCHIVES)


def snapshot(policies: Path, target: Path) -> Path:
    """A copy of what the policies of a directory are read from. Raises InvalidInput when it cannot be made."""
    try:
        target.mkdir(parents=True)
        for folder, pattern in (("", "*.y*ml"), (WAIVERS, "**/*.y*ml"), (VEX, "*"), (DATA, "*")):
            for path in sorted((policies / folder).glob(pattern)):
                if path.is_file():
                    copied = target / path.relative_to(policies)
                    copied.parent.mkdir(parents=True, exist_ok=True)
                    shutil.copyfile(path, copied)
    except OSError as error:
        raise InvalidInput(f"the policies in force cannot be copied: {error.strerror}") from error
    return target


def unpack(files: Sequence[Uploaded], place: Path, in_force: Path, target: Path) -> Path:
    """The directory of policies that was uploaded, below `target`; `place` is where the uploaded files are.

    An archive is all of it. Files are put over a copy of what is `in_force`. Raises InvalidInput for what cannot
    be accepted.
    """
    archives = [one for one in files if is_archive(one.name)]
    if not files or (archives and len(files) > 1):
        raise InvalidInput("send one archive, or policy files", remedy="Choose them once more.")
    if archives:
        target.mkdir()
        return _unpacked(archives[0].name, place / archives[0].stored, target)
    snapshot(in_force, target)
    for one in files:
        name = PurePosixPath(one.name.replace("\\", "/")).name
        if not _FILE.fullmatch(name):
            raise InvalidInput(
                f"{name!r} is no policy file",
                remedy="Send files that end in .yaml, or the whole directory as .zip or .tar.gz.",
            )
        raw = (place / one.stored).read_bytes()
        folder = target / WAIVERS if _is_waiver(name, raw, target) else target
        folder.mkdir(exist_ok=True)
        (folder / name).write_bytes(raw)
    return target


def _is_waiver(name: str, raw: bytes, target: Path) -> bool:
    """Whether a file goes among the waivers: as one that is there, or by its key `rule`, which no policy has."""
    if (target / name).exists():
        return False
    return (target / WAIVERS / name).exists() or _WAIVER.search(raw) is not None


def _unpacked(name: str, archive: Path, target: Path) -> Path:
    found = _of_zip(archive) if name.lower().endswith(".zip") else _of_tar(archive)
    left = MAX_BYTES
    try:
        for count, (path, content) in enumerate(found, start=1):
            if count > MAX_MEMBERS:
                raise InvalidInput(f"{name} holds more than {MAX_MEMBERS:,} files")
            if content is None or not _is_read(path):
                continue
            left -= _write(name, path, content, target, left)
    except _DAMAGE as error:
        raise InvalidInput(f"{name} cannot be unpacked", remedy="Make the archive again.") from error
    return _root(name, target)


def _of_zip(archive: Path) -> Iterator[tuple[str, BinaryIO | None]]:
    with zipfile.ZipFile(archive) as opened:
        for member in opened.infolist():
            if member.is_dir():
                yield member.filename, None
                continue
            with opened.open(member) as content:
                yield member.filename, cast(BinaryIO, content)


def _of_tar(archive: Path) -> Iterator[tuple[str, BinaryIO | None]]:
    """Links and devices are passed over: a policy that is one is missing, and nothing is read through it."""
    try:
        with open_layer(archive, limit=MAX_BYTES) as stream:
            for _, member, content in members(stream):
                require_safe(member)
                yield member.name, content
    except InvalidInput as error:
        raise _damaged() from error


def _chunks(content: BinaryIO) -> Iterator[bytes]:
    try:
        while chunk := content.read(_CHUNK):
            yield chunk
    except InvalidInput as error:
        raise _damaged() from error


def _damaged() -> InvalidInput:
    """What is wrong with a tar that cannot be read on; its reader speaks of layers, where nobody has any."""
    return InvalidInput(
        f"the archive is damaged, would be written elsewhere, or unpacks to more than {MAX_BYTES:,} bytes",
        remedy="Make it again: tar czf policies.tar.gz policies",
    )


def _is_read(path: str) -> bool:
    """Whether a member may be one of the files that policies are read from."""
    parts = PurePosixPath(path).parts
    return (
        not any(part.startswith((".", "__MACOSX")) and part not in {".", ".."} for part in parts)
        and not _NOT_ASKED & set(parts[:-1])
        and PurePosixPath(path).suffix.lower() in _READ
    )


def _write(name: str, path: str, content: BinaryIO, target: Path, left: int) -> int:
    """Write one member and return its size."""
    parts = PurePosixPath(path).parts
    if len(parts) > MAX_PARTS or not all(_NAME.fullmatch(part) for part in parts):
        raise InvalidInput(f"{name} holds {path[:200]!r}, which is no name for a policy file")
    written = target.joinpath(*parts)
    written.parent.mkdir(parents=True, exist_ok=True)
    size = 0
    try:
        with written.open("xb") as stream:
            for chunk in _chunks(content):
                size += len(chunk)
                if size > left:
                    raise InvalidInput(f"{name} unpacks to more than {MAX_BYTES:,} bytes")
                stream.write(chunk)
    except FileExistsError as error:
        raise InvalidInput(f"{name} holds {path!r} twice") from error
    return size


def _root(name: str, target: Path) -> Path:
    """Where the policies are: the folder of the uppermost files."""
    found = [path.parent for path in target.rglob("*.yaml") if path.parent.name != WAIVERS]
    highest = min((len(path.parts) for path in found), default=0)
    roots = sorted({path for path in found if len(path.parts) == highest})
    if len(roots) != 1:
        shown = " and ".join(str(one.relative_to(target)) for one in roots[:2])
        problem = f"could be meant to be {shown}" if roots else "holds no policy files (*.yaml)"
        raise InvalidInput(f"{name} {problem}", remedy="Pack one directory of policies.")
    return roots[0]
