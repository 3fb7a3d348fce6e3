"""The one layer of a project's Debian packages: extracted onto the base, no maintainer script run.

It keeps to what the base's recipe says of files, with one difference: the programs and headers that the
recipe leaves out are kept of the packages that the user named. Whoever writes `ffmpeg` wants to run it;
whoever needs libgl1 does not want what its dependencies bring besides libraries.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import BinaryIO, Final

from builder.bases.archives import fetch_debs
from builder.bases.build import BuiltBase, read_locked
from builder.bases.rootfs import Patterns, package_database, unpacked
from builder.cache import Cache, Recipe
from builder.image import ImageLayer, image_layer
from builder.layers.below import read_below
from builder.layers.deb import Deb
from builder.layers.tar import Compression, Entry, WrittenLayer, write_layer
from builder.lockfile import LockedSystem
from builder.progress import Progress
from builder.system.alternatives import alternatives, chosen_links
from builder.system.inventory import check_system
from compliance.base_files import LockedDeb
from compliance.bases import BaseDefinition
from compliance.inventory import Ecosystem, Origin

OF_NAMED: Final = ("usr/bin/", "usr/sbin/", "usr/games/", "usr/include/")
"""What only the packages bring that the user named, where the base's recipe leaves it out."""


def system_layer(
    base: BuiltBase,
    system: LockedSystem | None,
    asked: Sequence[str],
    cache: Cache,
    progress: Progress,
    *,
    workers: int = 8,
    compression: Compression = Compression.GZIP,
) -> ImageLayer | None:
    """The layer; None when nothing was asked for, or nothing that the base has not. It is made once a cache.

    Raises BuilderError when packages do not fit on the base or one cannot be had as locked.
    """
    if system is None or not system.debs:
        return None
    definition = base.definition
    check_system(system, definition)
    recipe = system_recipe(definition, system, asked, compression)
    stored = cache.layer(recipe)
    if stored is None:
        debs = fetch_debs(
            definition.recipe,
            system.debs,
            system.resolved,
            cache,
            progress,
            workers=workers,
            relock="mlbuild lock",
        )
        progress.step(f"Extracting {len(system.debs)} Debian packages")
        stored = cache.make_layer(
            recipe, lambda blob: _write(base, system.debs, frozenset(asked), debs, blob, compression)
        )
    contents = f"Debian packages: {' '.join(sorted(asked))}"
    return image_layer(stored, Origin.DEPENDENCY, ecosystem=Ecosystem.DEBIAN, contents=contents)


def system_recipe(
    base: BaseDefinition,
    system: LockedSystem,
    asked: Sequence[str],
    compression: Compression = Compression.GZIP,
) -> Recipe:
    """What the layer is made from."""
    files = base.recipe.files
    inputs = (
        *(str(diff_id) for diff_id in base.image.diff_ids),
        json.dumps([files.exclude, files.include]),
        *(f"{deb.name} {deb.sha256}{' named' * (deb.name in asked)}" for deb in system.debs),
    )
    return Recipe("system", inputs, compression=compression)


def _write(
    base: BuiltBase,
    packages: Sequence[LockedDeb],
    asked: frozenset[str],
    debs: Mapping[str, Path],
    blob: BinaryIO,
    compression: Compression,
) -> WrittenLayer:
    with tempfile.TemporaryDirectory(prefix="mlbuild-system-") as scratch:
        read = [(package, read_locked(package, debs[package.sha256], Path(scratch))) for package in packages]
        below = read_below(layer.path for layer in base.layers)
        entries = below.admit(_tree(read, asked, Patterns(base.definition.recipe.files)), "the Debian packages")
        return write_layer(entries, blob, compression=compression)


def _tree(packages: Sequence[tuple[LockedDeb, Deb]], asked: frozenset[str], keeps: Patterns) -> dict[str, Entry]:
    def kept(package: LockedDeb, path: str) -> bool:
        return keeps(path) or (package.name in asked and path.startswith(OF_NAMED))

    tree = unpacked(packages, kept)
    offers = [
        offer for package, deb in packages for offer in alternatives(deb.postinst) if kept(package, offer.link)
    ]
    own = [*chosen_links(offers, tree), *package_database(packages, tree)]
    tree.update((entry.path, entry) for entry in own)
    return tree
