"""Which versions of packages an archive has for the sake of security."""

from __future__ import annotations

from typing import Final

from debian.debian_support import Version

SUFFIX: Final = "-security"
"""How Debian and Ubuntu end the names of the suites that hold security updates: `trixie-security`."""


def security_versions(offers: str) -> dict[str, str]:
    """The newest version in a security suite, by package; packages that none has are not in it.

    `offers` is what `apt-cache madison` says: a line `NAME | VERSION | MIRROR SUITE/COMPONENT ARCHITECTURE
    Packages` for each version in each suite.
    """
    found: dict[str, str] = {}
    for line in offers.splitlines():
        name, version, place = (part.strip() for part in line.split("|"))
        suite = place.split()[1].partition("/")[0]
        if suite.endswith(SUFFIX) and (name not in found or Version(version) > Version(found[name])):
            found[name] = version
    return found
