from __future__ import annotations

import tarfile

import pytest

from compliance.errors import InvalidInput
from compliance.oci.descriptions import MAX_BYTES, require_modest


def member(size: int, kind: bytes = tarfile.REGTYPE) -> tarfile.TarInfo:
    made = tarfile.TarInfo("any")
    made.size, made.type = size, kind
    return made


@pytest.mark.parametrize(
    "path",
    [
        "/var/lib/dpkg/status",
        "/var/lib/dpkg/status.d/openssl",
        "/lib/apk/db/installed",
        "/etc/os-release",
        "/opt/venv/lib/python3.11/site-packages/a-1.dist-info/METADATA",
        "/a.egg-info",
        "/app/package.json",
        "/app/requirements-dev.txt",
    ],
)
def test_what_describes_packages_is_never_huge(path):
    require_modest(path, member(MAX_BYTES))
    require_modest(path, member(MAX_BYTES + 1, tarfile.DIRTYPE))
    with pytest.raises(InvalidInput, match="67,108,865 bytes"):
        require_modest(path, member(MAX_BYTES + 1))


@pytest.mark.parametrize(
    "path", ["/app/model.safetensors", "/app/status", "/opt/a.so", "/var/lib/rpm/rpmdb.sqlite"]
)
def test_other_files_may_be_as_large_as_the_image(path):
    require_modest(path, member(1 << 40))


def test_a_long_path_is_told_by_its_end():
    with pytest.raises(InvalidInput) as caught:
        require_modest("/" + "a" * 4000 + "/package.json", member(MAX_BYTES + 1))
    assert len(caught.value.message) < 400
    assert "/package.json" in caught.value.message
