"""A tiny base, and Debian packages to lie on it, all made by hand and in a cache."""

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from builder.bases.build import COMPRESSION, BuiltBase, build_base
from builder.cache import Cache
from builder.progress import Quiet
from compliance.base_files import LockedDeb
from compliance.bases import BaseDefinition
from compliance.oci.digest import Digest
from tests.builder.bases.conftest import CREATED, expected, make_deb, make_recipe, needed

__all__ = ["CREATED", "make_deb", "make_recipe", "needed"]

Stock = Callable[..., LockedDeb]


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "cache")


@pytest.fixture
def stock(make_deb: Any, cache: Cache) -> Stock:
    """Makes a package, puts it into the cache and says what a lock would say of it."""

    def stock(name: str, files: Mapping[str, Any], *depends: str, **options: Any) -> LockedDeb:
        raw = make_deb(name, "3.11.2-6", files=files, **options).read_bytes()
        sha256 = hashlib.sha256(raw).hexdigest()
        cache.put([raw], Digest(f"sha256:{sha256}"))
        return LockedDeb(
            name=name,
            version="3.11.2-6",
            architecture="amd64",
            source=name,
            source_version="3.11.2-6",
            archive="debian",
            path=f"pool/{name}.deb",
            size=len(raw),
            sha256=sha256,
            depends=depends,
        )

    return stock


@pytest.fixture
def base(stock: Stock, make_recipe: Any, needed: Any, cache: Cache, tmp_path: Path) -> BuiltBase:
    """A base without programs, documentation and headers."""
    recipe = make_recipe(
        files={
            "exclude": ["usr/share/base-passwd/*", "usr/share/libc-bin/*", "usr/bin/*", "usr/share/doc/*/*"],
            "include": ["usr/bin/python3.11", "usr/share/doc/*/copyright"],
        }
    )
    packages = [stock(name, files) for name, files in sorted(needed.items())]
    paths = {package.sha256: cache.path(Digest(f"sha256:{package.sha256}")) for package in packages}
    image = expected(recipe, packages, paths, tmp_path)
    definition = BaseDefinition(recipe, image, CREATED, COMPRESSION.writer, tmp_path / "tiny")
    return build_base(definition, cache, Quiet())
