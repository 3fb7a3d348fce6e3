"""What tests of the builder share: wheels made on the spot."""

from __future__ import annotations

import base64
import hashlib
import stat
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

import pytest

from builder.layers.wheel import WheelInput


class MakeWheel(Protocol):
    def __call__(
        self,
        files: Mapping[str, bytes] | None = None,
        *,
        name: str = "demo",
        version: str = "1.0",
        executable: tuple[str, ...] = (),
        entry_points: str = "",
        direct: bool = False,
        compression: int = zipfile.ZIP_DEFLATED,
    ) -> WheelInput: ...


@pytest.fixture
def make_wheel(tmp_path: Path) -> MakeWheel:
    """Makes a true wheel of these files and says what a lock would say of it."""

    def make(
        files: Mapping[str, bytes] | None = None,
        *,
        name: str = "demo",
        version: str = "1.0",
        executable: tuple[str, ...] = (),
        entry_points: str = "",
        direct: bool = False,
        compression: int = zipfile.ZIP_DEFLATED,
    ) -> WheelInput:
        info = f"{name}-{version}.dist-info"
        contents = {
            **(files if files is not None else {f"{name}/__init__.py": b"x = 1\n"}),
            f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n".encode(),
            f"{info}/WHEEL": b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        }
        if entry_points:
            contents[f"{info}/entry_points.txt"] = entry_points.encode()
        rows = [f"{_quoted(path)},sha256={_record_hash(data)},{len(data)}" for path, data in contents.items()]
        contents[f"{info}/RECORD"] = "\n".join([*rows, f"{info}/RECORD,,", ""]).encode()
        path = tmp_path / f"{name}-{version}-py3-none-any.whl"
        with zipfile.ZipFile(path, "w", compression) as archive:
            for member, data in contents.items():
                entry = zipfile.ZipInfo(member)
                mode = stat.S_IFREG | (0o755 if member in executable else 0o644)
                entry.external_attr = mode << 16
                archive.writestr(entry, data, compression)
        return WheelInput(path, name, version, hashlib.sha256(path.read_bytes()).hexdigest(), direct)

    return make


def _quoted(path: str) -> str:
    return '"' + path.replace('"', '""') + '"' if "," in path or '"' in path else path


def _record_hash(data: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
