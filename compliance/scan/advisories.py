"""Private advisories: OSV files in a directory, compiled into a database that Trivy reads."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from packaging.utils import canonicalize_name
from packaging.version import Version

from compliance.document import read_model
from compliance.errors import InvalidInput, Location
from compliance.evidence import Database, Severity
from compliance.oci.digest import Digest
from compliance.scan.bolt import Bucket, write_bolt
from compliance.scan.osv import Affected, Event, OsvFile
from compliance.scan.trivy import TrivyDatabase

NAME: Final = "advisories"
COMPILER: Final = 2
"""Raised whenever the same advisories would be compiled into another database."""

_SOURCE: Final = {"ID": "mlbuild", "Name": "mlbuild advisories", "URL": ""}
_PYTHON_BUCKET: Final = "pip::mlbuild advisories"
_LEVELS: Final = {
    Severity.UNKNOWN: 0,
    Severity.LOW: 1,
    Severity.MEDIUM: 2,
    Severity.HIGH: 3,
    Severity.CRITICAL: 4,
}
Entry = dict[str, Any]
"""A value of Trivy's database before it becomes JSON."""


@dataclass(frozen=True, slots=True)
class Advisory:
    """One advisory file that was read and found right."""

    path: Path
    osv: OsvFile
    severity: Severity

    @property
    def id(self) -> str:
        return self.osv.id


def read_advisories(directory: Path) -> tuple[Advisory, ...]:
    """The advisories in `directory`, one a `.json` file named after its id, sorted by id.

    Raises InvalidInput with file and line for the first file that is not a valid advisory.
    """
    return tuple(_read(path) for path in advisory_files(directory))


def advisory_files(directory: Path) -> tuple[Path, ...]:
    """The advisory files of a directory in the order they are read; none when it does not exist."""
    return tuple(sorted(directory.glob("*.json")))


def advisories_digest(files: Iterable[Path]) -> Digest:
    """One digest over the names and contents of advisory files and the way they are compiled."""
    parts = [f"{path.name} {Digest.of(path.read_bytes())}\n" for path in files]
    return Digest.of(f"compiler {COMPILER}\n{''.join(parts)}".encode())


def _read(path: Path) -> Advisory:
    osv = _parse(path)
    if path.name != f"{osv.id}.json":
        raise InvalidInput(f"holds the advisory {osv.id}", at=Location(path), remedy=f"Name it {osv.id}.json.")
    rating = osv.rating
    if rating is None:
        raise InvalidInput("has no severity", at=Location(path))
    return Advisory(path, osv, rating)


def _parse(path: Path) -> OsvFile:
    """JSON is read fast; what is wrong with it is then told by the slower reader, which knows the lines."""
    try:
        data = json.loads(path.read_bytes(), object_pairs_hook=_no_twins)
        if not isinstance(data, dict):
            raise InvalidInput("is not a JSON object", at=Location(path, 1), remedy="Write one advisory a file.")
        return OsvFile.model_validate(data)
    except OSError as error:
        raise InvalidInput(f"cannot be read: {error.strerror}", at=Location(path)) from error
    except json.JSONDecodeError as error:
        raise InvalidInput(f"is not valid JSON: {error.msg}", at=Location(path, error.lineno)) from error
    except (ValueError, RecursionError) as error:  # a ValidationError is a ValueError
        read_model(path, OsvFile)
        raise InvalidInput(f"is not a valid OSV advisory: {error}", at=Location(path)) from error


def _no_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("an object has a key twice")
    return result


def compile_database(advisories: Sequence[Advisory], target: Path) -> TrivyDatabase:
    """Write `db/trivy.db` and `db/metadata.json` below `target` and describe them.

    The bytes depend on the advisories alone. The time of the database is the latest `modified` among them.
    Withdrawn advisories are left out. Raises ValueError without advisories, since there is no such time.
    """
    if not advisories:
        raise ValueError("a database needs at least one advisory")
    folder = target / "db"
    folder.mkdir(parents=True, exist_ok=True)
    write_bolt(folder / "trivy.db", _buckets(advisories))
    updated = max(advisory.osv.modified for advisory in advisories).astimezone(UTC)
    when = _time(updated)
    metadata = {"Version": 2, "NextUpdate": when, "UpdatedAt": when, "DownloadedAt": when}
    (folder / "metadata.json").write_bytes(_json(metadata))
    return TrivyDatabase(NAME, target, Database(NAME, Digest.of((folder / "trivy.db").read_bytes()), updated))


def _buckets(advisories: Sequence[Advisory]) -> dict[bytes, Bucket]:
    """The buckets of Trivy's schema 2: per source the packages, then what is known of each advisory."""
    details: dict[bytes, bytes] = {}
    sources: dict[str, dict[str, dict[str, Entry]]] = {}
    for advisory in advisories:
        if advisory.osv.withdrawn is not None:
            continue
        details[advisory.id.encode()] = _json(_detail(advisory))
        for (release, name), entries in _by_package(advisory).items():
            packages = sources.setdefault(_PYTHON_BUCKET if release is None else f"debian {release}", {})
            entry = _python_entry(advisory, entries) if release is None else _debian_entry(advisory, entries[0])
            packages.setdefault(name, {})[advisory.id] = entry
    return {
        **{source.encode(): _encode(packages) for source, packages in sources.items()},
        b"vulnerability": details,
        b"data-source": {source.encode(): _json(_SOURCE) for source in sources},
    }


def _encode(packages: dict[str, dict[str, Entry]]) -> Bucket:
    return {
        name.encode(): {identifier.encode(): _json(entry) for identifier, entry in entries.items()}
        for name, entries in packages.items()
    }


def _by_package(advisory: Advisory) -> dict[tuple[str | None, str], list[Affected]]:
    """The advisory's entries by Debian release, if any, and the names to file the package under.

    Trivy folds case and underscores of a PyPI name, but not dots, so a name with dots is filed twice.
    """
    found: dict[tuple[str | None, str], list[Affected]] = {}
    for affected in advisory.osv.affected:
        release, name = affected.package.debian_release, affected.package.name
        names = {name} if release else {canonicalize_name(name), name.lower().replace("_", "-")}
        for each in names:
            found.setdefault((release, each), []).append(affected)
    return found


def _python_entry(advisory: Advisory, entries: Sequence[Affected]) -> Entry:
    """What is affected, over all entries of one package, and which versions mend it.

    Trivy takes a version that is listed as patched for safe whatever else is said of it, so a fix that
    another range or list of the advisory affects is none.
    """
    ranges = [item.events for entry in entries for item in entry.version_ranges]
    listed = [Version(version) for entry in entries for version in entry.versions]
    fixed = {Version(event.fixed) for events in ranges for event in events if event.fixed is not None}
    affected = {v for v in fixed if v in listed or any(_within(v, events) for events in ranges)}
    constraints = [text for events in ranges for text in constraints_of(events)]
    return {
        "PatchedVersions": [str(version) for version in sorted(fixed - affected)],
        "VendorIDs": advisory.osv.aliases,
        "VulnerableVersions": [*constraints, *(f"=={version}" for version in listed)],
    }


def _within(version: Version, events: Sequence[Event]) -> bool:
    """Whether a range affects a version (OSV schema, "Evaluation")."""
    inside = False
    for event in sorted(events, key=_position):
        if event.introduced is not None:
            inside |= event.introduced == "0" or version >= Version(event.introduced)
        elif event.fixed is not None:
            inside &= version < Version(event.fixed)
        else:
            inside &= version <= Version(event.version)
    return inside


def constraints_of(events: Sequence[Event]) -> list[str]:
    """The affected stretches of a range as version specifiers, such as `>=1.0, <1.4.2`.

    >>> constraints_of([Event(introduced="0"), Event(fixed="1.2"), Event(introduced="2.0")])
    ['<1.2', '>=2.0']
    """
    constraints = []
    since: str | None = None
    for event in sorted(events, key=_position):
        if event.introduced is not None:
            since = since or event.introduced
            continue
        upper = f"<{event.fixed}" if event.fixed is not None else f"<={event.last_affected}"
        if since is not None:
            constraints.append(upper if since == "0" else f">={since}, {upper}")
        since = None
    if since is not None:
        constraints.append(">=0.dev0" if since == "0" else f">={since}")
    return constraints


def _position(event: Event) -> tuple[bool, Version, bool]:
    """Where an event stands: `introduced: 0` before every version; at one version an end before a beginning."""
    return event.introduced != "0", Version(event.version), event.introduced is not None


def _debian_entry(advisory: Advisory, affected: Affected) -> Entry:
    fixed = next((e.fixed for item in affected.version_ranges for e in item.events if e.fixed is not None), "")
    return {
        "FixedVersion": fixed,
        "Severity": _LEVELS[advisory.severity],
        "VendorIDs": advisory.osv.aliases,
    }


def _detail(advisory: Advisory) -> Entry:
    osv = advisory.osv
    summary = osv.summary or (osv.details or "").strip().split("\n")[0]
    detail: Entry = {
        "Title": summary,
        "Description": osv.details or summary,
        "Severity": advisory.severity.name,
        "VendorSeverity": {_SOURCE["ID"]: _LEVELS[advisory.severity]},
        "References": [reference.url for reference in osv.references],
        "LastModifiedDate": _time(osv.modified),
    }
    if osv.published is not None:
        detail["PublishedDate"] = _time(osv.published)
    if osv.cvss is not None:
        vector, score = osv.cvss
        detail["CVSS"] = {_SOURCE["ID"]: {"V3Vector": vector, "V3Score": score}}
    return detail


def _json(value: Entry) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def _time(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
