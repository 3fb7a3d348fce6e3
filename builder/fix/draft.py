"""A copy of what a lock is made from, to try changes on; and putting a change that was found in place."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from builder.lockfile import LockedWheel, LockFile
from builder.metadata import WheelMetadata, read_metadata
from builder.pipeline import settle_lock
from builder.project import Project
from builder.requirement_files import read_inputs
from builder.requirements import Inputs
from builder.spec import read_spec
from builder.uv import NoSolution, ResolvedWheel
from builder.workshop import Workshop
from compliance.errors import InvalidInput, Location

Texts = Mapping[Path, str]
"""The text of files by their place in the project."""


@dataclass(frozen=True, slots=True)
class Edit:
    """A file with other bytes than before; `before` is None where there was none."""

    path: Path
    before: bytes | None
    after: bytes


class Draft:
    """A project's spec, requirement files and lock, copied to `directory`."""

    def __init__(self, project: Project, workshop: Workshop, directory: Path) -> None:
        self.project = project
        self.inputs: Inputs = read_inputs(project.spec, project.spec_path)
        self._workshop = workshop
        paths = {project.spec_path, *self.inputs.read, *(lock.path for lock in self.inputs.locks)}
        self._anchor = Path(os.path.commonpath([os.path.normpath(path.parent) for path in paths]))
        self._directory = directory
        self.files = {path: path.read_bytes() for path in sorted(paths)}
        self.lock_bytes = project.lock_path.read_bytes() if project.lock_path.exists() else None
        for model in project.spec.models:
            if model.path is not None and (project.root / model.path).is_file():
                link = self._place(project.root / model.path)
                link.parent.mkdir(parents=True, exist_ok=True)
                link.symlink_to(project.root / model.path)

    @property
    def texts(self) -> dict[Path, str]:
        """The files as they are, by their place in the project."""
        return {path: raw.decode("utf-8-sig") for path, raw in self.files.items()}

    def lock(self, texts: Texts, pinned: bytes | None) -> tuple[Project, LockFile]:
        """Lock the project as if its files had these texts, keeping what fits of the lock `pinned`.

        Returns the project, in its own place, with the spec of `texts`. Raises InvalidInput when the
        requirements cannot be locked, with the names that files have in the project; it is a NoSolution where
        other requirements leave no room.
        """
        for path in self.files.keys() | texts.keys():
            place = self._place(path)
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(_encoded(texts[path], self.files.get(path)) if path in texts else self.files[path])
        spec_path = self._place(self.project.spec_path)
        draft = Project(spec_path, read_spec(spec_path))
        draft.lock_path.unlink(missing_ok=True)
        if pinned is not None:
            draft.lock_path.write_bytes(pinned)
        try:
            lock = settle_lock(draft, self._workshop)
        except InvalidInput as error:
            message = error.message.replace(str(self._directory.resolve()), str(self._anchor))
            kind = NoSolution if isinstance(error, NoSolution) else InvalidInput
            raise kind(message, remedy=error.remedy) from error
        finally:
            for path in texts.keys() - self.files.keys():
                self._place(path).unlink(missing_ok=True)
        return Project(self.project.spec_path, draft.spec), lock

    def metadata(self, wheels: Sequence[LockedWheel]) -> dict[str, WheelMetadata]:
        """What locked wheels say of themselves, by name. Raises Unavailable when an index does not answer."""
        resolved = [
            ResolvedWheel(
                one.name, one.version, one.filename, one.url, one.sha256, one.size, one.upload_time, one.index
            )
            for one in wheels
        ]
        workshop = self._workshop
        return read_metadata(resolved, workshop.cache.records("metadata"), os.environ, workshop.progress)

    def edits(self, texts: Texts, lock: bytes) -> tuple[Edit, ...]:
        """What differs from the project as it is: requirement files and spec by name, the lock last."""
        changed = [
            Edit(path, self.files.get(path), _encoded(text, self.files.get(path)))
            for path, text in sorted(texts.items())
        ]
        changed.append(Edit(self.project.lock_path, self.lock_bytes, lock))
        return tuple(edit for edit in changed if edit.before != edit.after)

    def _place(self, path: Path) -> Path:
        return self._directory.resolve() / Path(os.path.normpath(path)).relative_to(self._anchor)


def apply(edits: tuple[Edit, ...]) -> None:
    """Put the edits in place, each file at once or not at all.

    Raises InvalidInput, having written nothing, when a file is no longer what the edits were made for.
    """
    for edit in edits:
        now = edit.path.read_bytes() if edit.path.exists() else None
        if now != edit.before:
            raise InvalidInput(
                "has changed in the meantime, so nothing was written",
                at=Location(edit.path),
                remedy="Run `mlbuild fix` again.",
            )
    parts = []
    for edit in edits:
        target = edit.path.resolve()
        part = target.with_name(f".{target.name}.{os.getpid()}")
        part.write_bytes(edit.after)
        if edit.before is not None:
            shutil.copymode(target, part)
        parts.append((part, target))
    for part, target in parts:
        part.replace(target)


def _encoded(text: str, before: bytes | None) -> bytes:
    """UTF-8, with the mark at the start that the file had."""
    marked = before is not None and before.startswith(b"\xef\xbb\xbf")
    return text.encode("utf-8-sig" if marked else "utf-8")
