"""Reads a directory of policies: the one place where the engine touches files.

    policies/*.yaml           one policy each
    policies/waivers/*.yaml   one waiver each
    policies/vex/*.json       VEX statements, OpenVEX or CycloneDX
    policies/data/            epss.csv and kev.json, as they are published

Anything doubtful is an InvalidInput that names file and line: a set that loads means what it says.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, TypeVar

from compliance.document import Document, KeyPath, parse_document, read_document
from compliance.errors import InvalidInput, Location
from compliance.oci.digest import Digest
from compliance.policy.canonical import digest_of
from compliance.policy.model import Policy, PolicySet
from compliance.policy.policy_document import parse_policy, unknown
from compliance.policy.threats import Threats, parse_epss, parse_kev
from compliance.policy.vex import VexBook, VexStatement
from compliance.policy.vex_files import parse_vex
from compliance.policy.waiver_document import WAIVERS, parse_waiver

VEX: Final = "vex"
DATA: Final = "data"
EPSS: Final = "epss.csv"
KEV: Final = "kev.json"
OTHER_FOLDERS: Final = frozenset({"advisories", "tests", VEX, DATA})
MAX_DATA: Final = 64 << 20

Read = tuple[Policy, Document]
ReadT = TypeVar("ReadT")


def load_policies(directory: Path) -> PolicySet:
    """Read every policy and waiver of `directory`. An empty directory gives a set that refuses everything.

    Raises InvalidInput, with file and line, for the first thing that is wrong.
    """
    if not directory.is_dir():
        raise InvalidInput("is not a directory of policies", at=Location(directory))
    _refuse_unread_files(directory)
    policy_files = [_read(path) for path in _yaml_files(directory)]
    waiver_files = [_read(path) for path in _yaml_files(directory / WAIVERS)]
    policies = [(parse_policy(document), document) for document, _ in policy_files]
    _refuse_twins(policies)
    _refuse_bad_extends(policies)
    rules = {rule.id: (policy, rule) for policy, _ in policies for rule in policy.rules}
    waivers = tuple(parse_waiver(document, rules) for document, _ in waiver_files)
    data_files = [_read_data(path) for path in _data_files(directory)]
    read = [(document.path, digest) for document, digest in policy_files + waiver_files]
    read += [(path, Digest.of(raw)) for path, raw in data_files]
    return PolicySet(
        tuple(policy for policy, _ in policies),
        waivers,
        digest_of(tuple((str(path.relative_to(directory)), digest) for path, digest in read)),
        vex=VexBook.of(one for path, raw in data_files if path.parent.name == VEX for one in _vex(path, raw)),
        threats=_threats({path.name: (path, raw) for path, raw in data_files if path.parent.name == DATA}),
    )


def place_in(directory: Path, file: str, keys: KeyPath) -> Location:
    """Where keys stand in a file of a directory that loads. Files that programs write are named as a whole."""
    path = directory / file
    return read_document(path).where(keys) if path.suffix == ".yaml" else Location(path)


def _data_files(directory: Path) -> list[Path]:
    """VEX files and exploitation data. Raises InvalidInput for a file there that would not be read."""
    found = [path for name in (VEX, DATA) for path in sorted((directory / name).rglob("*")) if path.is_file()]
    for path in found:
        fits = path.suffix == ".json" if path.parent == directory / VEX else path.name in (EPSS, KEV)
        if path.parent not in (directory / VEX, directory / DATA) or not (fits or _is_remark(path)):
            raise InvalidInput(
                f"is not read: statements are {VEX}/*.json, exploitation data {DATA}/{EPSS} and {DATA}/{KEV}",
                at=Location(path),
                remedy="Rename or move it.",
            )
    return [path for path in found if not _is_remark(path)]


def _is_remark(path: Path) -> bool:
    return path.suffix == ".md" or path.name.startswith(".")


def _read_data(path: Path) -> tuple[Path, bytes]:
    try:
        if path.stat().st_size > MAX_DATA:
            raise InvalidInput(f"is larger than {MAX_DATA:,} bytes", at=Location(path))
        return path, path.read_bytes()
    except OSError as error:
        raise InvalidInput(f"cannot be read: {error.strerror}", at=Location(path)) from error


def _vex(path: Path, raw: bytes) -> tuple[VexStatement, ...]:
    return _located(path, lambda: parse_vex(raw, f"{VEX}/{path.name}"))


def _threats(files: Mapping[str, tuple[Path, bytes]]) -> Threats:
    epss, kev = files.get(EPSS), files.get(KEV)
    return Threats(
        _located(epss[0], lambda: parse_epss(epss[1], EPSS)) if epss is not None else {},
        _located(kev[0], lambda: parse_kev(kev[1], KEV)) if kev is not None else None,
    )


def _located(path: Path, parse: Callable[[], ReadT]) -> ReadT:
    try:
        return parse()
    except InvalidInput as error:
        raise InvalidInput(error.message, at=Location(path), remedy=error.remedy) from error


def _refuse_twins(policies: Sequence[Read]) -> None:
    names: dict[str, Document] = {}
    rules: dict[str, str] = {}
    for policy, document in policies:
        if policy.name in names:
            first = names[policy.name].path.name
            raise InvalidInput(f"policy {policy.name!r} is in {first} already", at=document.where(("name",)))
        names[policy.name] = document
        for place, rule in enumerate(policy.rules):
            at = document.where(("rules", place, "id"))
            if rule.id in rules:
                raise InvalidInput(
                    f"rule {rule.id!r} stands twice, first at {rules[rule.id]}",
                    at=at,
                    remedy="Give it an id of its own; rules of extended policies apply without being repeated.",
                )
            rules[rule.id] = f"{document.path.name}:{at.line}"


def _refuse_bad_extends(policies: Sequence[Read]) -> None:
    by_name = {policy.name: (policy, document) for policy, document in policies}
    for policy, document in policies:
        for place, name in enumerate(policy.extends):
            if name not in by_name:
                raise unknown("policy", name, by_name, document, ("extends", place))
    for policy, document in policies:
        circle = _circle(policy.name, {name: one.extends for name, (one, _) in by_name.items()})
        if circle:
            raise InvalidInput(f"extends itself: {' -> '.join(circle)}", at=document.where(("extends",)))


def _circle(start: str, extends: Mapping[str, tuple[str, ...]]) -> tuple[str, ...]:
    """The way from `start` back to itself, or nothing when there is none."""
    trails: list[tuple[str, ...]] = [(start,)]
    seen: set[str] = set()
    while trails:
        trail = trails.pop()
        for name in extends[trail[-1]]:
            if name == start:
                return (*trail, name)
            if name not in seen:
                seen.add(name)
                trails.append((*trail, name))
    return ()


def _read(path: Path) -> tuple[Document, Digest]:
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise InvalidInput(f"cannot be read: {error.strerror}", at=Location(path)) from error
    return parse_document(raw, path), Digest.of(raw)


def _yaml_files(directory: Path) -> list[Path]:
    return sorted(directory.glob("*.yaml")) if directory.is_dir() else []


def _refuse_unread_files(directory: Path) -> None:
    """A policy that is not where policies are read from would be one that nobody applies."""
    for path in _misplaced(directory):
        raise InvalidInput(
            "is not read: policies are *.yaml in the directory itself, waivers in waivers/",
            at=Location(path),
            remedy="Rename or move it.",
        )


def _misplaced(directory: Path) -> Iterator[Path]:
    for path in sorted(directory.iterdir()):
        if path.is_dir() and path.name == WAIVERS:
            yield from (one for one in sorted(path.rglob("*")) if _is_stray(one, path))
        elif path.is_dir() and path.name not in OTHER_FOLDERS and not path.name.startswith("."):
            yield from (one for one in sorted(path.rglob("*")) if one.suffix.lower() in {".yaml", ".yml"})
        elif _is_stray(path, directory):
            yield path


def _is_stray(path: Path, directory: Path) -> bool:
    return path.suffix.lower() in {".yml", ".yaml"} and (path.suffix != ".yaml" or path.parent != directory)
