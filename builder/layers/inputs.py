"""What a layer of wheels is made from: the wheels, and the environment they are installed into."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from installer.utils import Scheme

from builder.errors import BuilderError
from compliance.oci.digest import Digest


@dataclass(frozen=True, slots=True)
class WheelInput:
    """A wheel on disk and what the lock says of it. `direct` means the user asked for it by name.

    `locked_size` is in bytes, where the lock has it: then the file need not be there to plan with it.
    """

    path: Path
    name: str
    version: str
    sha256: str
    direct: bool = False
    locked_size: int | None = None

    @property
    def digest(self) -> Digest:
        return Digest(f"sha256:{self.sha256}")

    @property
    def size(self) -> int:
        """In bytes, compressed as it is on disk. Raises BuilderError when the file is gone."""
        if self.locked_size is not None:
            return self.locked_size
        try:
            return self.path.stat().st_size
        except OSError as error:
            raise BuilderError(
                f"{self}: the wheel cannot be read: {error.strerror} ({self.path})", remedy="Build again."
            ) from error

    def __str__(self) -> str:
        return f"{self.name} {self.version}"


@dataclass(frozen=True, slots=True)
class Environment:
    """The virtual environment inside the image. `prefix` is absolute, `python` is `major.minor`."""

    prefix: str = "/opt/venv"
    python: str = "3.11"

    @property
    def interpreter(self) -> str:
        return f"{self.prefix}/bin/python"

    @property
    def site_packages(self) -> str:
        return f"lib/python{self.python}/site-packages"

    def scheme(self, name: Scheme, project: str) -> str:
        """Where a scheme's files go, relative to the prefix, with a slash at the end where not empty."""
        places = {
            "scripts": "bin/",
            "data": "",
            "headers": f"include/site/python{self.python}/{project}/",
        }
        return places.get(name, f"{self.site_packages}/")

    @property
    def reserved(self) -> frozenset[str]:
        """Paths relative to the prefix that are the base's alone."""
        return frozenset({"pyvenv.cfg", "bin/python", "bin/python3", f"bin/python{self.python}"})
