"""Where locked packages come from."""

from __future__ import annotations

import functools
from datetime import datetime
from typing import Annotated
from urllib.parse import SplitResult, unquote, urlsplit

from pydantic import AfterValidator, ConfigDict, Field

from compliance.evidence import Absent, Evidence, LockedPackage
from compliance.policy.check import Check, Parameters, Result, Selector, Some
from compliance.policy.locked import installed_packages, locked_violation


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
    places = {one.url for one in packages} | {one.index for one in packages if one.index is not None}
    if all(place is not None and _is_allowed(place, parameters.allow) for place in places):
        return ()
    refused = [
        (package, place)
        for package in packages
        if (place := _refused_place(package, parameters.allow)) is not None
    ]
    installed = installed_packages(evidence)
    return tuple(
        locked_violation(
            package,
            installed,
            f"comes from {place}, which is not an allowed source",
            f"use an allowed index for {package.name} and run `mlbuild lock`",
        )
        for package, place in refused
    )


def _refused_place(package: LockedPackage, allowed: tuple[str, ...]) -> str | None:
    """The place that is not allowed, in words, or None."""
    if package.url is None:
        return "a place the lock does not name"
    for place in (package.index, package.url):
        if place is not None and not _is_allowed(place, allowed):
            return _without_credentials(place)
    return None


@functools.lru_cache(maxsize=1 << 16)
def _is_allowed(place: str, allowed: tuple[str, ...]) -> bool:
    return any(_is_below(place, urlsplit(one)) for one in allowed)


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


CHECK = Check(
    name="package-sources",
    parameters=PackageSourcesParameters,
    run=run,
    waived_by=frozenset({Selector.PACKAGE}),
)
