"""Makes the wheels of this directory anew. Each is wrong in the one way its name says."""

from __future__ import annotations

import base64
import hashlib
import warnings
import zipfile
from pathlib import Path

HERE = Path(__file__).parent
INFO = "demo-1.0.dist-info"
METADATA = b"Metadata-Version: 2.1\nName: demo\nVersion: 1.0\n"
WHEEL = b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
GOOD = {"demo/__init__.py": b"x = 1\n", f"{INFO}/METADATA": METADATA, f"{INFO}/WHEEL": WHEEL}


def row(path: str, data: bytes) -> str:
    digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
    return f"{path},sha256={digest},{len(data)}"


def write(
    name: str, files: dict[str, bytes], record: str | bytes | None = "true", twice: str = "", shift: str = ""
) -> None:
    """Write a wheel of these files. RECORD is true unless it is given; None leaves it out.

    `twice` is a path to hold a second time, `shift` one to rename in its local header.
    """
    rows = "\n".join(row(*item) for item in files.items()) if record == "true" else record
    members = list(files.items())
    if rows is not None:
        members.append((f"{INFO}/RECORD", rows.encode() if isinstance(rows, str) else rows))
    members += [(twice, b"other")] if twice else []
    with zipfile.ZipFile(HERE / f"{name}.whl", "w", zipfile.ZIP_DEFLATED) as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for path, data in members:
            archive.writestr(zipfile.ZipInfo(path), data, zipfile.ZIP_DEFLATED)
    if shift:
        raw = (HERE / f"{name}.whl").read_bytes()
        (HERE / f"{name}.whl").write_bytes(raw.replace(shift.encode(), shift.upper().encode(), 1))


def record(**changes: str | None) -> str:
    """The true RECORD with some rows exchanged, or left out for None. Keys are the file's last part."""
    rows = {path.rpartition("/")[2]: row(path, data) for path, data in GOOD.items()}
    rows["RECORD"] = f"{INFO}/RECORD,,"
    rows.update({key.replace("_py", ".py"): value for key, value in changes.items()})  # type: ignore[misc]
    return "\n".join(value for value in rows.values() if value is not None) + "\n"


def scripts(text: str) -> dict[str, bytes]:
    return {**GOOD, f"{INFO}/entry_points.txt": text.encode()}


def main() -> None:
    init = "demo/__init__.py"
    write("path-leads-up", {**GOOD, "../../../etc/cron.d/job": b""})
    write("path-is-absolute", {**GOOD, "/etc/passwd": b""})
    write("path-with-backslash", {**GOOD, "demo\\..\\..\\evil.py": b""})
    write("path-leads-up-in-data", {**GOOD, "demo-1.0.data/data/../../evil": b""})
    write("path-twice", GOOD, twice=init)
    write("path-twice-by-two-schemes", {**GOOD, f"demo-1.0.data/purelib/{init}": b""})
    write("names-differ-in-local-header", GOOD, shift="demo/__init__.py")
    write("scheme-unknown", {**GOOD, "demo-1.0.data/system/file": b""})
    write("replaces-the-interpreter", {**GOOD, "demo-1.0.data/scripts/python": b""})
    write("replaces-the-environment", {**GOOD, "demo-1.0.data/data/pyvenv.cfg": b""})
    write("record-hash-lies", GOOD, record(__init___py=row(init, b"y = 2\n")))
    write("record-size-lies", GOOD, record(__init___py=row(init, b"x = 1\n").replace(",6", ",7")))
    write("record-misses-a-file", GOOD, record(__init___py=None))
    write("record-lists-a-stranger", GOOD, record(stranger=row("demo/stranger.py", b"")))
    write("record-row-twice", GOOD, record(again=row(init, b"")))
    write("record-hash-is-md5", GOOD, record(__init___py=f"{init},md5=AAAA,6"))
    write("record-is-no-csv", GOOD, "demo/__init__.py\n")
    write("record-is-not-text", GOOD, b"\xff\xfe")
    write("record-missing", GOOD, None)
    write("metadata-of-another-name", {**GOOD, f"{INFO}/METADATA": METADATA.replace(b"demo", b"evil")})
    write("metadata-of-another-version", {**GOOD, f"{INFO}/METADATA": METADATA.replace(b"1.0", b"1.1")})
    write("metadata-missing", {path: data for path, data in GOOD.items() if "METADATA" not in path})
    write("dist-info-of-another-name", {path.replace("demo-", "evil-"): data for path, data in GOOD.items()}, None)
    write("dist-info-missing", {init: b""}, None)
    write("dist-info-twice", {**GOOD, "other-1.0.dist-info/METADATA": METADATA})
    write("format-too-new", {**GOOD, f"{INFO}/WHEEL": WHEEL.replace(b"1.0", b"2.0")})
    write("format-not-said", {**GOOD, f"{INFO}/WHEEL": b"Tag: py3-none-any\n"})
    write("script-leads-up", scripts("[console_scripts]\n../../evil = demo:main\n"))
    write("script-replaces-the-interpreter", scripts("[console_scripts]\npython = demo:main\n"))
    write("script-without-function", scripts("[console_scripts]\ntool = demo\n"))
    write("script-injects-code", scripts("[console_scripts]\ntool = demo:main;evil()\n"))
    write("entry-points-are-no-ini", scripts("tool = demo:main\n"))
    (HERE / "not-a-zip.whl").write_bytes(b"<html>404</html>")
    write("cut-short", GOOD)
    cut = (HERE / "cut-short.whl").read_bytes()
    (HERE / "cut-short.whl").write_bytes(cut[: len(cut) // 2])
    write("content-damaged", {**GOOD, "demo/data.bin": bytes(range(256))})
    raw = bytearray((HERE / "content-damaged.whl").read_bytes())
    at = raw.index(b"demo/data.bin") + len("demo/data.bin") + 20
    raw[at] ^= 0xFF
    (HERE / "content-damaged.whl").write_bytes(raw)
    write("size-lies", {**GOOD, "demo/zeros": bytes(1 << 20)})
    raw = bytearray((HERE / "size-lies.whl").read_bytes())
    at = raw.rindex(b"demo/zeros") - 46 + 24  # the size in the central directory
    raw[at : at + 4] = (10).to_bytes(4, "little")
    (HERE / "size-lies.whl").write_bytes(raw)


if __name__ == "__main__":
    main()
