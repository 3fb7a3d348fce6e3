"""Debian packages and recipes made by hand, as small as may be."""

import gzip
import hashlib
import io
import lzma
import tarfile
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import zstandard

from builder.bases.build import config_of, manifest_of, write_base_layer
from compliance.base_files import LockedDeb, LockedImage, Recipe
from compliance.bases import settings_of
from compliance.oci.digest import Digest
from compliance.oci.manifest import Platform

Content = bytes | tuple[int, bytes] | str
"""What stands at a path: a file's bytes, its mode and bytes, or the target of a symbolic link.

A path that ends in `/` is a directory; its content is a mode and no bytes.
"""

MakeDeb = Callable[..., Path]

COMPRESSORS = {
    "": lambda data: data,
    ".gz": gzip.compress,
    ".xz": lzma.compress,
    ".zst": zstandard.ZstdCompressor().compress,
}


@pytest.fixture
def make_deb(tmp_path: Path) -> MakeDeb:
    def make(
        name: str = "tiny",
        version: str = "1.0-1",
        architecture: str = "amd64",
        files: Mapping[str, Content] | None = None,
        *,
        compression: str = ".xz",
        members: tuple[tarfile.TarInfo, ...] = (),
        conffiles: str = "",
        postinst: bytes = b"",
    ) -> Path:
        files = files or {}
        control = f"Package: {name}\nVersion: {version}\nArchitecture: {architecture}\nMaintainer: nobody\n"
        shipped = {
            path: content if isinstance(content, bytes) else content[1]
            for path, content in files.items()
            if not isinstance(content, str) and not path.endswith("/")
        }
        sums = "".join(
            f"{hashlib.md5(data, usedforsecurity=False).hexdigest()}  {path}\n" for path, data in shipped.items()
        )
        data = tar_of(files, members)
        described = {"control": control.encode(), "md5sums": sums.encode(), "conffiles": conffiles.encode()}
        if postinst:
            described["postinst"] = postinst
        compress = COMPRESSORS[compression]
        path = tmp_path / f"{name}_{version}_{architecture}.deb"
        path.write_bytes(
            ar_of(
                {
                    "debian-binary": b"2.0\n",
                    f"control.tar{compression}": compress(tar_of(described, ())),
                    f"data.tar{compression}": compress(data),
                }
            )
        )
        return path

    return make


def ar_of(members: Mapping[str, bytes]) -> bytes:
    parts = [b"!<arch>\n"]
    for name, data in members.items():
        parts.append(f"{name:<16}{0:<12}{0:<6}{0:<6}{'100644':<8}{len(data):<10}`\n".encode())
        parts.append(data + b"\n" * (len(data) % 2))
    return b"".join(parts)


def tar_of(files: Mapping[str, Content], members: tuple[tarfile.TarInfo, ...]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for path, content in files.items():
            member = tarfile.TarInfo(f"./{path}")
            member.mtime, member.uname, member.uid = 1_600_000_000, "builder", 1000
            data = b""
            if isinstance(content, str):
                member.type, member.linkname = tarfile.SYMTYPE, content
            else:
                member.mode, data = (0o644, content) if isinstance(content, bytes) else content
                member.type = tarfile.DIRTYPE if path.endswith("/") else tarfile.REGTYPE
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
        for member in members:
            archive.addfile(member)
    return buffer.getvalue()


PASSWD = b"root:*:0:0:root:/root:/bin/bash\nnobody:*:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n"
NEEDED: dict[str, dict[str, Any]] = {
    "base-passwd": {
        "usr/share/base-passwd/passwd.master": PASSWD,
        "usr/share/base-passwd/group.master": b"root:*:0:\nnogroup:*:65534:\n",
    },
    "ca-certificates": {
        "usr/share/ca-certificates/mozilla/B.crt": b"second",
        "usr/share/ca-certificates/mozilla/A.crt": b"first\n",
    },
    "libc-bin": {"usr/share/libc-bin/nsswitch.conf": b"hosts: files dns\n"},
    "python3.11-minimal": {"usr/bin/python3.11": (0o755, b"\x7fELF")},
}


@pytest.fixture
def needed() -> dict[str, dict[str, Any]]:
    """The files, by package, that no base can do without."""
    return NEEDED


@pytest.fixture
def make_recipe() -> Callable[..., Recipe]:
    return recipe


def recipe(**changes: Any) -> Recipe:
    return Recipe.model_validate(
        {
            "name": "tiny",
            "description": "tiny",
            "owner": "someone",
            "end-of-life": "9999-01-01",
            "os": {"id": "debian", "version": "12"},
            "python": "3.11",
            "prefix": "/opt/venv",
            "working-dir": "/app",
            "user": {"name": "nonroot", "uid": 65532, "gid": 65532, "home": "/home/nonroot"},
            "architectures": ["amd64"],
            "keyring": "/usr/share/keyrings/k.gpg",
            "archives": [
                {"name": "debian", "mirror": "http://m.example", "snapshot": "http://s.example", "suites": ["x"]}
            ],
            "packages": ["libc6"],
            "files": {"exclude": ["usr/share/base-passwd/*", "usr/share/libc-bin/*"]},
        }
        | changes
    )


CREATED = datetime(2026, 11, 22, 14, 0, tzinfo=UTC)


def expected(
    recipe: Recipe, packages: Sequence[LockedDeb], debs: Mapping[str, Path], directory: Path
) -> LockedImage:
    """What the lock of a base of these packages, whose files are `debs` by sha256, must say."""
    with (directory / "expected").open("wb") as blob:
        written = write_base_layer(recipe, packages, debs, CREATED, blob)
    config = config_of(
        settings_of(recipe, CREATED), Platform(os="linux", architecture="amd64"), [written.diff_id], CREATED
    )
    return LockedImage(
        architecture="amd64",
        manifest=Digest.of(manifest_of(config, [written.descriptor]).to_json()),
        config=Digest.of(config.to_json()),
        diff_ids=(written.diff_id,),
        size=written.descriptor.size,
        packages=tuple(packages),
    )
