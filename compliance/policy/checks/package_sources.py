"""Where locked packages come from."""

from __future__ import annotations

from collections.abc import Set
from datetime import datetime
from typing import Annotated
from urllib.parse import SplitResult, unquote, urlsplit

from packaging.utils import canonicalize_name
from pydantic import AfterValidator, ConfigDict, Field

from compliance.evidence import Absent, Evidence, LockedPackage
from compliance.inventory import Inventory, Origin, Package
from compliance.policy.check import Check, Parameters, Result, Selector, Some
from compliance.policy.decision import Violation


def _is_place(text: str) -> str:
    url = urlsplit(text)
    if url.scheme not in ("https", "http", "file") or (not url.hostname and url.scheme != "file"):
        raise ValueError(f"{text!r} is not a URL as https://pypi.org/simple")
    if url.query or url.fragment or url.username:
        raise ValueError(f"{text!r}: give scheme, host and path only")
    return text


class PackageSourcesParameters(Parameters):
    """The places that packages may come from."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"allow": ["https://pypi.org/simple", "https://files.pythonhosted.org"]}]}
    )

    allow: Some[Annotated[str, AfterValidator(_is_place)]] = Field(
        description="URLs of indexes and file hosts; everything below them is allowed."
    )


def run(
    parameters: PackageSourcesParameters,
    evidence: Evidence,
    at: datetime,  # noqa: ARG001 - as all checks
) -> Result:
    """Refuses locked packages whose index or artifact URL is not below an allowed one.

    Scheme, host, port and whole path parts must agree: `https://pypi.org/simple` allows neither
    `http://pypi.org/simple` nor `https://pypi.org/simple-too`. An artifact without a URL is refused.
    """
    if isinstance(evidence.lock, Absent):
        return evidence.lock
    packages = evidence.lock.packages
    allowed = [urlsplit(place) for place in parameters.allow]
    places = {place for package in packages for place in (package.index, package.url) if place is not None}
    refused = {place for place in places if not any(_is_below(place, one) for one in allowed)}
    return tuple(
        _violation(package, place, _installed(package, evidence))
        for package in packages
        if (place := _refused_place(package, refused)) is not None
    )


def _refused_place(package: LockedPackage, refused: Set[str]) -> str | None:
    """The place that is not allowed, in words, or None."""
    if package.url is None:
        return "a place the lock does not name"
    given = (place for place in (package.index, package.url) if place is not None and place in refused)
    return next(map(_without_credentials, given), None)


def _installed(locked: LockedPackage, evidence: Evidence) -> Package | None:
    packages = evidence.inventory.packages if isinstance(evidence.inventory, Inventory) else ()
    wanted = canonicalize_name(locked.name)
    return next((package for package in packages if canonicalize_name(package.name) == wanted), None)


def _is_below(text: str, allowed: SplitResult) -> bool:
    try:
        url = urlsplit(text)
        same_host = (url.scheme, url.hostname, url.port) == (allowed.scheme, allowed.hostname, allowed.port)
    except ValueError:
        return False
    parts = [unquote(part) for part in url.path.split("/") if part]
    wanted = [part for part in allowed.path.split("/") if part]
    return same_host and not {".", ".."} & set(parts) and parts[: len(wanted)] == wanted


def _without_credentials(text: str) -> str:
    scheme, mark, rest = text.partition("://")
    host, slash, path = rest.partition("/")
    return f"{scheme}{mark}{host.rpartition('@')[2]}{slash}{path}"


def _violation(package: LockedPackage, place: str, installed: Package | None) -> Violation:
    return Violation(
        culprit=f"pkg:pypi/{canonicalize_name(package.name)}@{package.version}",
        key=package.name,
        message=f"{package.name} {package.version} comes from {place}, which is not an allowed source",
        origin=installed.origin if installed is not None else Origin.DEPENDENCY,
        chain=installed.chain if installed is not None else (),
        remedy=f"use an allowed index for {package.name} and run `mlbuild lock`",
    )


CHECK = Check(
    name="package-sources",
    parameters=PackageSourcesParameters,
    run=run,
    waived_by=frozenset({Selector.PACKAGE}),
)
