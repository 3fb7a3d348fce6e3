"""uv as a subprocess: it resolves; what it found comes back as packages with wheels, free of credentials.

Only wheels are accepted, and source distributions where a question names them: uv never builds one, since
that would run code that nobody has looked at on this machine.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

import uv as uv_package
from packaging.pylock import Package, PackageArchive, PackageSdist, PackageWheel, Pylock
from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename

from builder.errors import BuilderError
from builder.indexes import has_system_certificates, is_remote, uv_environment, without_credentials
from builder.target import Target
from builder.wheels import best_wheel, filename_of
from compliance.errors import InvalidInput, Location, Unavailable
from compliance.policy.releases import ReleaseLimits
from compliance.toml_document import parse_toml_document

_NO_SOLUTION: Final = 1
_PINNED: Final = re.compile(r"(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*)(?:==| @ )")
_FROM: Final = re.compile(r"\s+# from (?P<index>\S+)")


Artifact = PackageWheel | PackageArchive | PackageSdist


class NoSolution(InvalidInput):
    """No set of releases answers the question."""


@dataclass(frozen=True, slots=True)
class ResolvedWheel:
    """One package as uv pinned it: the wheel that fits the target best. `index` has no credentials.

    For a package that was asked for from source it is the source distribution.
    """

    name: str
    version: str
    filename: str
    url: str
    sha256: str
    size: int | None
    upload_time: datetime | None
    index: str | None


@dataclass(frozen=True, slots=True)
class Question:
    """What uv is asked: requirement files, requirements of our own, for whom, and what was pinned before.

    `limits` are constraints: they ask for nothing, but hold for whatever is taken. With `bare` nobody's
    dependencies are followed. The packages `from_source` are wanted as source distributions, for which
    `bare` is needed. `wheels` is a directory of wheels that were built here, to choose from too.
    """

    spec_path: Path
    files: tuple[Path, ...]
    dependencies: tuple[str, ...]
    target: Target
    pinned: bytes | None = None
    upgrade: bool = False
    releases: ReleaseLimits | None = None
    limits: tuple[str, ...] = ()
    bare: bool = False
    from_source: tuple[str, ...] = ()
    wheels: Path | None = None


class Uv:
    """The uv program."""

    def __init__(self, binary: Path, environment: Mapping[str, str]) -> None:
        self._binary = binary
        self._environment = environment

    @classmethod
    def find(cls, environment: Mapping[str, str]) -> Uv:
        """uv as installed with this package. Raises Unavailable when it is missing."""
        try:
            return cls(Path(uv_package.find_uv_bin()), environment)
        except FileNotFoundError as error:
            raise Unavailable(
                "uv is not installed", remedy="Install it beside mlbuild: pip install uv."
            ) from error

    def version(self) -> str:
        """Such as `0.13.9`."""
        return self._run(["--version"], "").stdout.split()[1]

    def resolve(self, question: Question) -> tuple[ResolvedWheel, ...]:
        """The wheels that answer the question, sorted by name.

        Raises InvalidInput when there is no answer, Unavailable when an index cannot be asked.
        """
        with tempfile.TemporaryDirectory(prefix="mlbuild-lock-") as directory:
            output = Path(directory) / "pylock.toml"
            if question.pinned is not None:
                output.write_bytes(question.pinned)
            limits = Path(directory) / "limits.txt"
            limits.write_text("".join(f"{line}\n" for line in question.limits))
            options = ["--constraints", str(limits), *(["--upgrade"] if question.upgrade else [])]
            self._compile(question, ["--format", "pylock.toml", "--output-file", str(output), *options])
            raw = output.read_bytes()
            lock = Pylock.from_dict(parse_toml_document(raw, output).data)
            pins = Path(directory) / "pins.txt"
            pins.write_text("".join(f"{pin.name}=={pin.version}\n" for pin in lock.packages if pin.version))
            indexes = self._indexes(question, pins)
        wheels = (_resolved(package, question, indexes) for package in lock.packages)
        return tuple(sorted(wheels, key=lambda wheel: wheel.name))

    def _indexes(self, question: Question, pins: Path) -> dict[str, str]:
        """Which index each package comes from. pylock.toml does not say; the other format does."""
        annotated = self._compile(
            question,
            ["--format", "requirements.txt", "--emit-index-annotation", "--no-header", "--constraints", str(pins)],
        )
        return dict(_annotated_indexes(annotated.splitlines()))

    def _compile(self, question: Question, options: Sequence[str]) -> str:
        target = question.target
        arguments = [
            "pip",
            "compile",
            "--quiet",
            "--only-binary=:all:",
            f"--python={sys.executable}",
            f"--python-version={target.python}",
            f"--python-platform={target.uv_platform}",
            *(["--system-certs"] if has_system_certificates() else []),
            *_release_options(question.releases),
            *(["--no-deps"] if question.bare else []),
            *(f"--no-binary={name}" for name in question.from_source),
            *([f"--find-links={question.wheels}"] if question.wheels is not None else []),
            *options,
            *(str(path) for path in question.files),
            "-",
        ]
        done = self._run(arguments, "\n".join(question.dependencies) + "\n", question.spec_path.parent)
        if done.returncode == 0:
            return done.stdout
        message = _plain(done.stderr)
        if done.returncode == _NO_SOLUTION:
            at = Location(question.files[0] if question.files else question.spec_path)
            raise NoSolution(
                f"the requirements cannot be met for Python {target.python} on {target.platform}:\n{message}",
                at=at,
                remedy="Loosen or change the requirements that it names. What has no wheel, and no source "
                "that one can be built from, cannot go into an image: choose another version or package, "
                "or publish a wheel of your own on an index." + _about_releases(question.releases),
            )
        raise Unavailable(
            f"uv could not resolve the requirements:\n{message}",
            remedy="Look at the network, the index address (UV_DEFAULT_INDEX, PIP_INDEX_URL) and its credentials.",
        )

    def _run(
        self, arguments: Sequence[str], standard_input: str, directory: Path | None = None
    ) -> subprocess.CompletedProcess[str]:
        try:
            return subprocess.run(
                [str(self._binary), *arguments],
                input=standard_input,
                capture_output=True,
                text=True,
                cwd=directory,
                env=uv_environment(self._environment),
                check=False,
            )
        except OSError as error:
            raise Unavailable(
                f"uv at {self._binary} cannot be run: {error.strerror}", remedy="Install uv again."
            ) from error


def _about_releases(limits: ReleaseLimits | None) -> str:
    if limits is None:
        return ""
    return f" The policy lets no release in that is newer than {limits.newest.date()}."


def _release_options(limits: ReleaseLimits | None) -> Iterator[str]:
    """uv's options for how new a release may be. Indexes must give upload times then (PEP 700)."""
    if limits is None:
        return
    yield f"--exclude-newer={limits.newest.isoformat()}"
    for name, newest in limits.newest_of.items():
        yield f"--exclude-newer-package={name}={newest.isoformat()}"


def _plain(message: str) -> str:
    """uv's message, with credentials in addresses left out."""
    words = (without_credentials(word) if "://" in word else word for word in re.split(r"(\s+)", message))
    return "".join(words).strip()


def _annotated_indexes(lines: Sequence[str]) -> Iterator[tuple[str, str]]:
    name = None
    for line in lines:
        pinned = _PINNED.match(line)
        annotation = _FROM.fullmatch(line)
        if pinned is not None:
            name = canonicalize_name(pinned["name"])
        elif annotation is not None and name is not None:
            yield name, without_credentials(annotation["index"])


def _resolved(package: Package, question: Question, indexes: Mapping[str, str]) -> ResolvedWheel:
    artifact = _artifact(package, question)
    if artifact is None or artifact.url is None or not (is_remote(artifact.url) or _is_built(artifact, question)):
        raise InvalidInput(
            f"{package.name} was not found as a wheel on an index, so nobody else could fetch it",
            at=Location(question.spec_path),
            remedy="Publish a wheel of it on an index. Local folders (find-links, file:// indexes, paths, "
            "version control) give a lock that means nothing on another machine.",
        )
    filename = filename_of(artifact)
    sha256 = artifact.hashes.get("sha256")
    if sha256 is None:
        raise BuilderError(
            f"the index gives no sha256 for {filename}",
            remedy="Use an index that does, such as one with the JSON simple API (PEP 691).",
        )
    version = str(package.version or parse_wheel_filename(filename)[1])
    return ResolvedWheel(
        name=package.name,
        version=version,
        filename=filename,
        url=without_credentials(artifact.url),
        sha256=sha256,
        size=artifact.size,
        upload_time=artifact.upload_time,
        index=indexes.get(package.name),
    )


def _is_built(artifact: Artifact, question: Question) -> bool:
    """Whether this is one of the wheels that were built here."""
    return question.wheels is not None and (artifact.url or "").startswith(f"{question.wheels.as_uri()}/")


def _artifact(package: Package, question: Question) -> Artifact | None:
    """The wheel of a package that fits best, or the wheel that a requirement names by its address."""
    if package.name in question.from_source:
        return package.sdist
    if package.archive is not None:
        try:
            parse_wheel_filename(filename_of(package.archive))
        except InvalidWheelFilename:
            return None
        return package.archive
    return best_wheel(package.wheels or (), question.target.tags)
