"""Trivy, the scanner: known vulnerabilities of an inventory, secrets in files, and what is in an image's bytes."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final, TypeVar

from pydantic import BaseModel, Field, ValidationError

from compliance.errors import InvalidInput, Location, Unavailable
from compliance.evidence import Database, Secret, Vulnerability, VulnerabilityScan
from compliance.inventory import OperatingSystem, Origin, Package
from compliance.oci.diffids import check_diff_ids
from compliance.oci.digest import Digest
from compliance.oci.layout import Layout
from compliance.oci.manifest import Descriptor, Index, Manifest
from compliance.scan import matching, report, secret_rules
from compliance.scan.lock import exclusive
from compliance.scan.process import JSON, OFFLINE, QUIET, run
from compliance.scan.report import OriginOf, Report

MATCH_SECONDS: Final = 120.0
SECRETS_SECONDS: Final = 300.0
IMAGE_SECONDS: Final = 900.0
IMAGE_LEAST_SECONDS: Final = 120.0
IMAGE_BYTES_A_SECOND: Final = 4 << 20
"""An image is read within a time by its size, so that a small one made to keep the scanner busy does not keep all
others waiting. Trivy reads a hundred times as fast on a machine of its own."""

ModelT = TypeVar("ModelT", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class TrivyDatabase:
    """A vulnerability database on disk: `cache` is what Trivy takes as its cache directory."""

    name: str
    cache: Path
    description: Database


@dataclass(frozen=True, slots=True)
class ImageReading:
    """What an image's bytes hold, whatever anybody claims of it."""

    os: OperatingSystem | None
    packages: tuple[Package, ...]
    secrets: tuple[Secret, ...]


class _Version(BaseModel):
    version: str = Field(alias="Version")


class Trivy:
    """The Trivy program. `cache` keeps what it learnt of layers, so that each is read only once."""

    def __init__(self, binary: Path, cache: Path) -> None:
        self.binary = binary.absolute()
        self.cache = cache.absolute()

    @classmethod
    def find(cls, cache: Path, binary: Path | None = None) -> Trivy:
        """The given program, else the one on PATH, else the one beside the running Python.

        Raises Unavailable when there is none.
        """
        if binary is None:
            places = os.pathsep.join([os.environ.get("PATH", os.defpath), str(Path(sys.executable).parent)])
            found = shutil.which("trivy", path=places)
        else:
            found = shutil.which(binary.absolute())
        if found is None:
            raise Unavailable(
                f"Trivy is not at {binary}" if binary else "Trivy is not installed",
                remedy="Install Trivy and put it on PATH, or name the program with the setting `trivy`.",
            )
        return cls(Path(found), cache)

    def version(self) -> str:
        """Trivy's version, such as `0.76.0`. Raises Unavailable when it does not run."""
        return self._version

    @cached_property
    def _version(self) -> str:
        with tempfile.TemporaryDirectory() as nowhere:
            said = run(self.binary, ["version", "--format", "json", "--cache-dir", nowhere], timeout=30)
        return _parse(_Version, said).version

    def download_database(self, target: Path, *, timeout: float, repository: str | None = None) -> None:
        """Download Trivy's own database into `target/db`, within `timeout` seconds. Raises Unavailable.

        `repository` is where it is, as `HOST/REPOSITORY` with or without a tag; else where Trivy has it from.
        """
        source = () if repository is None else ("--db-repository", repository)
        run(
            self.binary,
            ["image", "--cache-dir", target.absolute(), "--download-db-only", "--no-progress", *source, *QUIET],
            timeout=timeout,
        )

    def match(self, sbom: bytes, databases: Sequence[TrivyDatabase]) -> VulnerabilityScan:
        """What the databases know of the packages in a CycloneDX document.

        A vulnerability that several of them know is reported once, as the first one tells it. Raises
        Unavailable without databases or when Trivy fails, and InvalidInput when `sbom` is not CycloneDX.
        """
        if not databases:
            raise Unavailable(
                "there is no vulnerability database, so nothing can be said about vulnerabilities",
                remedy="Let Trivy download its database once, or add advisories to policies/advisories/.",
            )
        try:
            purls = matching.purls_by_reference(sbom)
        except ValidationError as error:
            raise InvalidInput("the SBOM is not a CycloneDX JSON document") from error
        with tempfile.TemporaryDirectory(prefix="mlbuild-sbom-") as folder:
            path = Path(folder) / "sbom.cdx.json"
            path.write_bytes(sbom)
            found = [self._match(path, database, purls) for database in databases]
        return VulnerabilityScan(matching.merge(found), tuple(database.description for database in databases))

    def _match(self, sbom: Path, database: TrivyDatabase, purls: dict[str, str]) -> tuple[Vulnerability, ...]:
        where = ("--cache-dir", database.cache.absolute())
        said = run(
            self.binary,
            ["sbom", *where, *OFFLINE, *QUIET, *JSON, "--scanners", "vuln", sbom],
            timeout=MATCH_SECONDS,
        )
        return matching.vulnerabilities(_parse(Report, said), database.name, purls)

    def find_secrets(self, directory: Path, origin: Origin) -> tuple[Secret, ...]:
        """Credentials in the files below `directory`; paths are relative to it.

        Binary files, archives, `.git` and `node_modules` are not looked into. Raises Unavailable when Trivy fails.
        """
        if not directory.is_dir():
            raise InvalidInput("there is no such directory", at=Location(directory))
        rules = self._rules(secret_rules.FOR_DIRECTORIES)
        with tempfile.TemporaryDirectory() as nowhere:
            said = run(
                self.binary,
                [
                    *("fs", "--cache-dir", nowhere, *OFFLINE, *QUIET, *JSON),
                    *("--scanners", "secret", "--secret-config", rules, directory.absolute()),
                ],
                timeout=SECRETS_SECONDS,
            )
        return report.secrets(_parse(Report, said), lambda layer, path: origin, of_image=False)  # noqa: ARG005

    def read_image(self, layout: Path, digest: Digest, *, origin_of: OriginOf) -> ImageReading:
        """Operating system, packages and secrets of the image whose manifest is `digest`, from its layers.

        Each layer is checked to be the one its diffID names before anything known of that diffID is
        believed. Raises InvalidInput when the image is incomplete or not what its config says, and
        Unavailable when Trivy fails or the cache stays busy.
        """
        check_diff_ids(Layout(layout), digest, self.cache / "diff-ids")
        rules = self._rules(secret_rules.FOR_IMAGES)
        seconds = _seconds_for(Layout(layout).manifest(digest))
        with _only(layout, digest) as image, exclusive(self.cache / "image.lock", patience=IMAGE_SECONDS):
            said = run(
                self.binary,
                [
                    *("image", "--cache-dir", self.cache, *OFFLINE, *QUIET, *JSON, "--timeout", f"{seconds:.0f}s"),
                    *("--list-all-pkgs", "--scanners", "secret", "--image-config-scanners", "secret"),
                    *("--secret-config", rules, "--input", image),
                ],
                timeout=seconds,
            )
        found = _parse(Report, said)
        return ImageReading(
            report.operating_system(found),
            report.packages(found, origin_of),
            report.secrets(found, origin_of, of_image=True),
        )

    def _rules(self, text: str) -> Path:
        """A secret configuration on disk. Its path stays the same, since Trivy keeps what it learns by it; and
        it is named by its digest, since Trivy passes over a scanned file that is named like it."""
        path = self.cache / "secret-rules" / f"{Digest.of(text.encode()).hex}.yaml"
        if not path.is_file():
            path.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile("w", dir=path.parent, prefix=".new-", delete=False) as stream:
                stream.write(text)
            Path(stream.name).replace(path)
        return path


@contextmanager
def _only(layout: Path, digest: Digest) -> Iterator[Path]:
    """A layout with the blobs of `layout` and one image in its index, since Trivy takes an index's first."""
    source = Layout(layout)
    manifest = source.manifest(digest)
    descriptor = Descriptor(media_type=manifest.media_type, digest=digest, size=len(source.read_bytes(digest)))
    with tempfile.TemporaryDirectory(prefix="mlbuild-image-") as folder:
        root = Path(folder) / "image"
        root.mkdir()
        (root / "blobs").symlink_to((layout / "blobs").absolute(), target_is_directory=True)
        (root / "oci-layout").write_bytes(b'{"imageLayoutVersion":"1.0.0"}')
        Layout(root).write_index([descriptor])
        yield root


def _seconds_for(manifest: Manifest | Index) -> float:
    """How long an image may take to be read."""
    size = 0 if isinstance(manifest, Index) else sum(layer.size for layer in manifest.layers)
    return min(IMAGE_SECONDS, IMAGE_LEAST_SECONDS + size / IMAGE_BYTES_A_SECOND)


def _parse(model: type[ModelT], said: bytes) -> ModelT:
    try:
        return model.model_validate_json(said)
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
        place = ".".join(str(part) for part in problem["loc"])
        raise Unavailable(
            f"Trivy's report cannot be understood: {place}: {problem['msg']}",
            remedy="Use a Trivy release that writes report schema 2, such as 0.76.0.",
        ) from error
