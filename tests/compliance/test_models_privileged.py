"""Files that run with other rights than their caller's are found in the layers of an image."""

from __future__ import annotations

import io
import stat
import tarfile
from pathlib import Path

import pytest
from isal import igzip

from compliance.inventory import Origin, Privilege
from compliance.models import read_files
from compliance.oci.digest import Digest
from compliance.oci.layout import Layout
from compliance.oci.manifest import OCI_CONFIG, OCI_LAYER_GZIP, OCI_MANIFEST, ImageConfig, Manifest, RootFs

SETUID = 0o755 | stat.S_ISUID
SETGID = 0o755 | stat.S_ISGID


def layer(*members: tarfile.TarInfo) -> bytes:
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for member in members:
            archive.addfile(member)
    return target.getvalue()


def member(name: str, mode: int = 0o755, kind: bytes = tarfile.REGTYPE, **more: object) -> tarfile.TarInfo:
    made = tarfile.TarInfo(name)
    made.mode, made.type = mode, kind
    for attribute, value in more.items():
        setattr(made, attribute, value)
    return made


def found(root: Path, *tars: bytes) -> dict[str, tuple[Privilege, ...]]:
    layout = Layout.create(root)
    layers = tuple(layout.write_bytes(igzip.compress(tar), OCI_LAYER_GZIP) for tar in tars)
    config = ImageConfig(
        architecture="amd64", os="linux", rootfs=RootFs(diff_ids=tuple(Digest.of(tar) for tar in tars))
    )
    manifest = Manifest(config=layout.write_bytes(config.to_json(), OCI_CONFIG), layers=layers)
    digest = layout.write_bytes(manifest.to_json(), OCI_MANIFEST).digest
    files = read_files(layout, digest, lambda _layer, _path: Origin.BASE).privileged
    return {one.path: one.privileges for one in files}


@pytest.mark.parametrize(
    ("one", "privileges"),
    [
        (member("usr/bin/su", SETUID), (Privilege.SETUID,)),
        (member("usr/bin/wall", SETGID), (Privilege.SETGID,)),
        (member("usr/bin/both", SETUID | SETGID), (Privilege.SETUID, Privilege.SETGID)),
        (
            member("usr/bin/ping", pax_headers={"SCHILY.xattr.security.capability": "\x01"}),
            (Privilege.CAPABILITIES,),
        ),
        (member("usr/bin/env"), None),
        (member("var/mail", SETGID, tarfile.DIRTYPE), None),
        (member("usr/bin/link", SETUID, tarfile.SYMTYPE, linkname="su"), None),
    ],
    ids=lambda value: value.name if isinstance(value, tarfile.TarInfo) else None,
)
def test_a_file_is_privileged_by_its_mode_or_capabilities(
    tmp_path: Path, one: tarfile.TarInfo, privileges: tuple[Privilege, ...] | None
) -> None:
    assert found(tmp_path, layer(one)) == ({f"/{one.name}": privileges} if privileges else {})


def test_what_an_upper_layer_replaces_or_removes_is_not_there(tmp_path: Path) -> None:
    lower = layer(member("bin/a", SETUID), member("bin/b", SETUID), member("bin/c", SETUID))
    upper = layer(member("bin/a", 0o755), member("bin/.wh.b", 0o644))
    assert list(found(tmp_path, lower, upper)) == ["/bin/c"]


def test_a_hard_link_is_as_privileged_as_what_it_leads_to(tmp_path: Path) -> None:
    lower = layer(member("bin/su", SETUID))
    upper = layer(member("app/innocent", 0o755, tarfile.LNKTYPE, linkname="bin/su"))
    assert list(found(tmp_path, lower, upper)) == ["/app/innocent", "/bin/su"]


def test_whose_it_is_and_who_owns_it_is_told(tmp_path: Path) -> None:
    layout = Layout.create(tmp_path)
    tar = layer(member("bin/wall", SETGID, gid=5))
    blob = layout.write_bytes(igzip.compress(tar), OCI_LAYER_GZIP)
    config = ImageConfig(architecture="amd64", os="linux", rootfs=RootFs(diff_ids=(Digest.of(tar),)))
    manifest = Manifest(config=layout.write_bytes(config.to_json(), OCI_CONFIG), layers=(blob,))
    digest = layout.write_bytes(manifest.to_json(), OCI_MANIFEST).digest
    (one,) = read_files(
        layout, digest, lambda _layer, path: Origin.APP if path == "/bin/wall" else Origin.BASE
    ).privileged
    assert (one.origin, one.owner, one.group, one.layer) == (Origin.APP, 0, 5, Digest.of(tar))
