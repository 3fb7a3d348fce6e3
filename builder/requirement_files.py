"""Requirement files, `[project].dependencies` and the spec's own list, read by us.

uv reads the same files when it resolves. They are read here too so that mistakes are reported with file
and line before anything is downloaded, and so that whether a lock is current is known without resolving.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import SpecifierSet

from builder.conda import read_environment
from builder.foreign_locks import UV_LOCK, ForeignLock, read_pylock, read_uv_lock
from builder.indexes import without_credentials
from builder.requirement_hashes import read_hashes
from builder.requirements import Asked, Inputs
from builder.spec import Spec
from compliance.errors import InvalidInput, Location

_COMMENT: Final = re.compile(r"(^|\s)#.*$")
_PER_REQUIREMENT_OPTIONS: Final = re.compile(r"\s--(?:hash|config-settings?|global-option)\b.*$")
_OPTION: Final = re.compile(r"(?P<name>-[A-Za-z]|--[a-z][a-z-]*)(?:\s*=\s*|\s+|(?<=^-[A-Za-z]))?(?P<value>.*)")
_LOOKS_LOCAL: Final = re.compile(r"(?:\.{0,2}/|\.{1,2}$|file:|.*\.(?:whl|zip|tar\.gz)$)")
_ADDRESS: Final = re.compile(r"(?!file:)[a-z][a-z+]*://")
_LONG: Final = {
    "-r": "--requirement",
    "-c": "--constraint",
    "-i": "--index-url",
    "-f": "--find-links",
    "-e": "--editable",
}
_INDEX_OPTIONS: Final = {"--index-url", "--extra-index-url", "--find-links", "--no-index"}
_OTHER_OPTIONS: Final = {"--pre", "--prefer-binary", "--only-binary", "--no-binary"}
_IGNORED_OPTIONS: Final = {"--require-hashes", "--trusted-host", "--use-feature"}


def read_inputs(spec: Spec, spec_path: Path) -> Inputs:
    """Everything the spec asks for. Raises InvalidInput, with file and line, for what cannot be locked."""
    reader = _Reader()
    for name in spec.requirements or ():
        reader.read(spec_path.parent / name)
    for text in spec.dependencies or ():
        reader.take(text, Location(spec_path), constraint=False)
    return Inputs(
        tuple(reader.asked),
        tuple(reader.constraints),
        tuple(sorted(set(reader.options))),
        tuple(reader.files),
        (*reader.lines, *(spec.dependencies or ())),
        tuple(reader.locks),
        tuple(reader.pythons),
        tuple(dict.fromkeys(reader.paths)),
    )


class _Reader:
    """Collects requirements; follows `-r` and `-c`, each file once."""

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self.constraints: list[Asked] = []
        self.options: list[str] = []
        self.files: list[Path] = []
        self.lines: list[str] = []
        self.locks: list[ForeignLock] = []
        self.pythons: list[tuple[SpecifierSet, Location]] = []
        self.paths: list[Path] = []
        self._seen: set[tuple[Path, bool]] = set()

    def read(self, path: Path) -> None:
        """Read a file that the spec names, by what its name says that it is."""
        if path.name == "pyproject.toml":
            self.read_project(path)
            self.files.append(path)
        elif path.name == UV_LOCK:
            lock, before = self._follow(read_uv_lock(path)), len(self.asked)
            self.read_project(path.with_name("pyproject.toml"))
            for asked in self.asked[before:]:
                lock.check_asked(asked.requirement, asked.at)
            self.files.append(path.with_name("pyproject.toml"))
        elif path.suffix == ".toml":
            lock = self._follow(read_pylock(path))
            self.lines += [pin.requirement for pin in lock.pins]
            self.asked += [Asked(Requirement(pin.requirement), pin.at) for pin in lock.pins]
        elif path.suffix in {".yaml", ".yml"}:
            self._read_environment(path)
        else:
            self.read_file(path, constraint=False)
            self.files.append(path)

    def _follow(self, lock: ForeignLock) -> ForeignLock:
        self.locks.append(lock)
        if lock.python is not None:
            self.pythons.append((lock.python, Location(lock.path)))
        return lock

    def _read_environment(self, path: Path) -> None:
        self.paths.append(path)
        environment = read_environment(path)
        if environment.python is not None:
            self.pythons.append(environment.python)
        for line, at in environment.lines:
            self._line(line.strip(), path, at, constraint=False)
            self.lines.append(_from_anywhere(line.strip(), path.parent))

    def read_project(self, path: Path) -> None:
        self.paths.append(path)
        text = _text_of(path)
        try:
            document = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise InvalidInput(f"is not valid TOML: {error}", at=Location(path)) from error
        project = document.get("project")
        dependencies = project.get("dependencies") if isinstance(project, dict) else None
        if not isinstance(dependencies, list):
            raise InvalidInput(
                "has no [project] table with a list of dependencies",
                at=Location(path),
                remedy="List them under [project] dependencies (PEP 621), or name a requirements.txt in the spec.",
            )
        for item in dependencies:
            if not isinstance(item, str):
                raise InvalidInput(f"{item!r} is not a requirement", at=_line_of(path, text, str(item)))
            self.take(item, _line_of(path, text, item), constraint=False)

    def read_file(self, path: Path, *, constraint: bool) -> None:
        if (path.resolve(), constraint) in self._seen:
            return
        self._seen.add((path.resolve(), constraint))
        self.paths.append(path)
        for number, line in _logical_lines(_text_of(path)):
            self._line(line, path, Location(path, number), constraint=constraint)

    def _line(self, line: str, path: Path, at: Location, *, constraint: bool) -> None:
        if line.startswith("-"):
            self._option(line, path, at, constraint)
        else:
            options = _PER_REQUIREMENT_OPTIONS.search(line)
            text = line[: options.start()] if options else line
            self.take(text, at, constraint=constraint, hashes=read_hashes(options[0] if options else "", at))

    def take(self, text: str, at: Location, *, constraint: bool, hashes: frozenset[str] = frozenset()) -> None:
        if _ADDRESS.match(text):
            raise InvalidInput(
                f"{without_credentials(text)!r} names no package",
                at=at,
                remedy="Write NAME @ ADDRESS, with the https:// address of a wheel; what is in version control "
                "needs one too.",
            )
        if _LOOKS_LOCAL.match(text) and " @ " not in text:
            raise InvalidInput(
                f"{text!r} is a local file or folder, which nobody else can install",
                at=at,
                remedy="Put your own code under app.include of the spec, or publish the package on an index.",
            )
        try:
            requirement = Requirement(text)
        except InvalidRequirement as error:
            raise InvalidInput(
                f"{text!r} is not a requirement: {str(error).splitlines()[0]}",
                at=at,
                remedy="Write it as fastapi>=0.110 (PEP 508).",
            ) from error
        if requirement.url and not requirement.url.startswith(("https://", "http://")):
            raise InvalidInput(
                f"{requirement.name} comes from {without_credentials(requirement.url)!r}, which is not a wheel",
                at=at,
                remedy="Ask for a version on an index, or for the https:// address of a wheel.",
            )
        (self.constraints if constraint else self.asked).append(Asked(requirement, at, hashes))

    def _option(self, line: str, path: Path, at: Location, constraint: bool) -> None:
        match = _OPTION.fullmatch(line)
        name = _LONG.get(match["name"], match["name"]) if match else line
        value = match["value"].strip() if match else ""
        if name in {"--requirement", "--constraint"}:
            self.read_file(path.parent / value, constraint=constraint or name == "--constraint")
        elif name in _INDEX_OPTIONS:
            self.options.append(f"{name} {without_credentials(value)}".strip())
        elif name in _OTHER_OPTIONS:
            self.options.append(f"{name} {value}".strip())
        elif name == "--editable":
            raise InvalidInput(
                f"{line!r} is an editable install, which an image cannot hold",
                at=at,
                remedy="Put your own code under app.include of the spec, or publish the package on an index.",
            )
        elif name not in _IGNORED_OPTIONS:
            raise InvalidInput(f"unknown option {line.split()[0]!r}", at=at, remedy="Remove the line.")


def _from_anywhere(line: str, folder: Path) -> str:
    """A line as it means the same from any folder: what `-r` and `-c` name is below `folder`."""
    match = _OPTION.fullmatch(line) if line.startswith("-") else None
    name = _LONG.get(match["name"], match["name"]) if match else ""
    if match is None or name not in {"--requirement", "--constraint"}:
        return line
    return f"{name} {(folder / match['value'].strip()).absolute()}"


def _logical_lines(text: str) -> Iterator[tuple[int, str]]:
    """The lines of a requirements file as pip joins them, comments and blank ones left out."""
    pending, start = "", 0
    for number, raw in enumerate(text.splitlines(), start=1):
        start = start or number
        if raw.endswith("\\") and not raw.lstrip().startswith("#"):
            pending += raw[:-1] + " "
            continue
        line = _COMMENT.sub("", pending + raw).strip()
        if line:
            yield start, line
        pending, start = "", 0
    if pending.strip():
        yield start, _COMMENT.sub("", pending).strip()


def _text_of(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise InvalidInput(
            f"cannot be read: {error.strerror}",
            at=Location(path),
            remedy="Mend `requirements` in the spec, or the -r line that names it.",
        ) from error
    except UnicodeDecodeError as error:
        raise InvalidInput("is not UTF-8 text", at=Location(path)) from error


def _line_of(path: Path, text: str, item: str) -> Location:
    lines = text.splitlines()
    number = next((index for index, line in enumerate(lines, start=1) if item in line), None)
    return Location(path, number)
