"""Choosing among the wheels of a package by their tags (PEP 425)."""

from __future__ import annotations

from collections.abc import Sequence

from packaging.pylock import PackageArchive, PackageSdist, PackageWheel
from packaging.tags import Tag
from packaging.utils import parse_wheel_filename


def best_wheel(wheels: Sequence[PackageWheel], tags: Sequence[Tag]) -> PackageWheel | None:
    """The wheel whose tags come first in `tags`, the higher build number among equals; None when none fits.

    Raises packaging's InvalidWheelFilename for a name that is not a wheel's.
    """
    rank = {tag: index for index, tag in enumerate(tags)}
    fitting = []
    for wheel in wheels:
        _, _, build, wheel_tags = parse_wheel_filename(wheel.filename)
        ranks = [rank[tag] for tag in wheel_tags if tag in rank]
        if ranks:
            fitting.append((-min(ranks), build, wheel))
    return max(fitting, key=lambda item: item[:2])[2] if fitting else None


def filename_of(artifact: PackageWheel | PackageSdist | PackageArchive) -> str:
    """The file name of a wheel or sdist, or of the archive that a requirement names by its address."""
    if not isinstance(artifact, PackageArchive):
        return artifact.filename
    return (artifact.url or "").partition("#")[0].partition("?")[0].rpartition("/")[2]
