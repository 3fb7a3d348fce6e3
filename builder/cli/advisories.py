"""`mlbuild advisories`: private advisories as a database that any Trivy can use."""

from __future__ import annotations

import tempfile
from pathlib import Path

import click

from builder.cli.context import DIRECTORY, Session, failing_well, json_option
from compliance.errors import InvalidInput, Location
from compliance.oci.digest import Digest
from compliance.oci.layout import REFERENCE_NAME, Layout
from compliance.scan.advisories import Advisory, compile_database, read_advisories
from compliance.scan.artifact import TAG, pack
from compliance.scan.mirror import parse_repository, publish_database
from compliance.scan.trivy import TrivyDatabase


@click.group(name="advisories")
def group() -> None:
    """Private advisories (OSV files): lint them, compile them, publish them for any Trivy."""


def _read(session: Session, named: Path | None) -> tuple[Advisory, ...]:
    directory = named if named is not None else session.workshop.settings.policies / "advisories"
    advisories = read_advisories(directory)
    if not advisories:
        raise InvalidInput(
            "holds no advisories (*.json)",
            at=Location(directory),
            remedy="Put OSV files there, each named after its id, or name another directory.",
        )
    return advisories


def _counts(advisories: tuple[Advisory, ...]) -> dict[str, int]:
    kept = [one for one in advisories if one.osv.withdrawn is None]
    packages = {(item.package.ecosystem, item.package.name) for one in kept for item in one.osv.affected}
    return {
        "advisories": len(kept),
        "withdrawn": len(advisories) - len(kept),
        "packages": len(packages),
    }


@group.command()
@click.argument("directory", type=DIRECTORY, required=False)
@json_option
@click.pass_obj
@failing_well
def lint(session: Session, directory: Path | None) -> None:
    """Check the OSV files in DIRECTORY; the first mistake is told with file and line, and exits with 2.

    \b
    Examples:
      mlbuild advisories lint policies/advisories
    """
    counts = _counts(_read(session, directory))
    if session.as_json:
        session.emit(dict(counts))
    else:
        session.out.print(_words(counts))


def _words(counts: dict[str, int]) -> str:
    withdrawn = f", {counts['withdrawn']} withdrawn" if counts["withdrawn"] else ""
    advisories = "1 advisory" if counts["advisories"] == 1 else f"{counts['advisories']} advisories"
    packages = "1 package" if counts["packages"] == 1 else f"{counts['packages']} packages"
    return f"{advisories} about {packages}{withdrawn}"


@group.command()
@click.argument("directory", type=DIRECTORY, required=False)
@click.option(
    "--output",
    "-o",
    type=click.Path(file_okay=False, path_type=Path),
    required=True,
    help="Directory to write db/trivy.db and db/metadata.json into; what `trivy --cache-dir` takes.",
)
@click.option("--layout", type=click.Path(file_okay=False, path_type=Path), help="Also write an OCI layout.")
@json_option
@click.pass_obj
@failing_well
def build(session: Session, directory: Path | None, output: Path, layout: Path | None) -> None:
    """Compile the advisories in DIRECTORY into a Trivy database. The same files give the same bytes.

    \b
    Examples:
      mlbuild advisories build -o advisories-db
      trivy fs --cache-dir advisories-db --skip-db-update .
      mlbuild advisories build -o advisories-db --layout advisories-oci
    """
    advisories = _read(session, directory)
    database = compile_database(advisories, output)
    digest = _write_layout(output / "db", layout) if layout is not None else None
    _finish(session, advisories, database, {"output": str(output), "manifest": digest})
    if not session.as_json:
        session.out.print(f"{output}/db/trivy.db  {database.description.digest}", soft_wrap=True)
        if layout is not None:
            session.out.print(f"{layout}  {digest}", soft_wrap=True)


def _write_layout(folder: Path, root: Path) -> Digest:
    manifest, blobs = pack(folder)
    layout = Layout.create(root)
    for descriptor, data in blobs:
        layout.write_bytes(data, descriptor.media_type)
    described = layout.write_bytes(manifest.to_json(), manifest.media_type)
    layout.write_index([described.model_copy(update={"annotations": {REFERENCE_NAME: TAG}})])
    return described.digest


@group.command()
@click.argument("target")
@click.argument("directory", type=DIRECTORY, required=False)
@json_option
@click.pass_obj
@failing_well
def push(session: Session, target: str, directory: Path | None) -> None:
    """Compile the advisories in DIRECTORY and push them to TARGET (HOST/REPOSITORY[:TAG]).

    \b
    Examples:
      mlbuild advisories push registry.example.com/security/advisories
      trivy image --db-repository registry.example.com/security/advisories IMAGE
    """
    reference, advisories = parse_repository(target), _read(session, directory)
    with tempfile.TemporaryDirectory(prefix="mlbuild-advisories-") as folder:
        database = compile_database(advisories, Path(folder))
        pushed = publish_database(Path(folder) / "db", reference)
    _finish(session, advisories, database, {"pushed": str(pushed), "tag": reference.tag})
    if not session.as_json:
        session.out.print(f"{pushed}" + (f" ({reference.tag})" if reference.tag else ""), soft_wrap=True)


def _finish(
    session: Session, advisories: tuple[Advisory, ...], database: TrivyDatabase, facts: dict[str, str | None]
) -> None:
    counts = _counts(advisories)
    if session.as_json:
        described = database.description
        session.emit({**counts, "digest": described.digest, "updated": described.updated.isoformat(), **facts})
    else:
        session.out.print(_words(counts))
