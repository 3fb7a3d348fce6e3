"""A project's `.mlbuild/`: what was built last, kept apart from the project's own files."""

from __future__ import annotations

from pathlib import Path

from compliance.errors import InvalidInput, Location


class State:
    """The directory and the few facts in it. Losing it costs time, never correctness."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    @classmethod
    def open(cls, directory: Path) -> State:
        """Make the directory, invisible to git. Raises InvalidInput where that cannot be done."""
        try:
            directory.mkdir(exist_ok=True)
            (directory / ".gitignore").write_text("*\n")
        except OSError as error:
            raise InvalidInput(
                f"cannot be written: {error.strerror}",
                at=Location(directory),
                remedy="mlbuild keeps what it builds beside the spec; make the project's directory writable.",
            ) from error
        return cls(directory)

    def read(self, name: str) -> bytes | None:
        """A file of the directory, or None when it is not there."""
        try:
            return (self.directory / name).read_bytes()
        except FileNotFoundError:
            return None

    def write(self, name: str, data: bytes) -> None:
        part = self.directory / f".{name}.new"
        part.write_bytes(data)
        part.replace(self.directory / name)

    @property
    def built_from(self) -> str | None:
        """What the image in this directory was built from; None when there is none."""
        raw = self.read("built-from")
        return None if raw is None else raw.decode()

    @built_from.setter
    def built_from(self, inputs: str) -> None:
        self.write("built-from", inputs.encode())
