"""The models of an image are those a container would see, each with the layer it came from."""

from __future__ import annotations

import io
import pickle
import tarfile
from pathlib import Path

import pytest
from isal import igzip

from compliance.errors import InvalidInput
from compliance.inventory import Origin
from compliance.models import find_models
from compliance.oci.digest import Digest
from compliance.oci.layout import Layout
from compliance.oci.manifest import OCI_CONFIG, OCI_LAYER_GZIP, OCI_MANIFEST, ImageConfig, Manifest, RootFs

PICKLE = pickle.dumps({"weights": [1, 2, 3], "import": ValueError})
SAFE = (Path(__file__).parent / "data" / "models" / "weights.safetensors").read_bytes()

Content = bytes | None | str
"""A file's bytes, None for a directory, a text for the target of a hard link."""


def all_mine(layer: Digest, path: str) -> Origin:
    return Origin.APP


def tarred(members: list[tuple[str, Content]]) -> bytes:
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w") as archive:
        for name, content in members:
            member = tarfile.TarInfo(name)
            if content is None:
                member.type = tarfile.DIRTYPE
            elif isinstance(content, str):
                member.type, member.linkname = tarfile.LNKTYPE, content
            else:
                member.size = len(content)
            archive.addfile(member, io.BytesIO(content) if isinstance(content, bytes) else None)
    return target.getvalue()


def image(root: Path, *tars: bytes) -> tuple[Layout, Digest]:
    layout = Layout.create(root)
    layers = tuple(layout.write_bytes(igzip.compress(tar), OCI_LAYER_GZIP) for tar in tars)
    config = ImageConfig(
        architecture="amd64", os="linux", rootfs=RootFs(diff_ids=tuple(Digest.of(tar) for tar in tars))
    )
    manifest = Manifest(config=layout.write_bytes(config.to_json(), OCI_CONFIG), layers=layers)
    return layout, layout.write_bytes(manifest.to_json(), OCI_MANIFEST).digest


def paths(root: Path, *layers: list[tuple[str, Content]]) -> list[str]:
    layout, digest = image(root, *(tarred(layer) for layer in layers))
    return [model.path for model in find_models(layout, digest, all_mine)]


def test_a_model_is_found_with_hash_size_layer_and_origin(tmp_path: Path) -> None:
    tar = tarred([("app", None), ("app/readme.txt", b"hello"), ("app/model.bin", PICKLE)])
    layout, digest = image(tmp_path, tarred([("etc/motd", b"hi")]), tar)
    asked: list[tuple[Digest, str]] = []

    def origin_of(layer: Digest, path: str) -> Origin:
        asked.append((layer, path))
        return Origin.DEPENDENCY

    (model,) = find_models(layout, digest, origin_of)
    assert asked == [(Digest.of(tar), "/app/model.bin")]
    assert (model.path, model.format, model.origin) == ("/app/model.bin", "pickle", Origin.DEPENDENCY)
    assert (model.sha256, model.size, model.layer) == (Digest.of(PICKLE).hex, len(PICKLE), Digest.of(tar))
    assert model.unsafe == "unpickling it imports builtins.ValueError"


def test_a_model_larger_than_what_is_held_in_memory_is_hashed_whole(tmp_path: Path) -> None:
    large = pickle.dumps({"weights": bytes(3_000_000), "import": ValueError})
    layout, digest = image(tmp_path, tarred([("m", large), ("n", b"x" * 200_000), ("o", SAFE)]))
    found = find_models(layout, digest, all_mine)
    assert [(model.path, model.sha256) for model in found] == [
        ("/m", Digest.of(large).hex),
        ("/o", Digest.of(SAFE).hex),
    ]


@pytest.mark.parametrize(
    ("upper", "left"),
    [
        ([("app/model", b"only text")], []),
        ([("app/model", SAFE)], ["/app/model"]),
        ([("app/.wh.model", b"")], []),
        ([(".wh.app", b"")], []),
        ([("app/.wh..wh..opq", b"")], []),
        ([(".wh.app", b""), ("app", None)], []),
        ([("app", b"a file where the directory was")], []),
        ([("app", None)], ["/app/model"]),
        ([("app/.wh.mod", b"")], ["/app/model"]),
        ([("app/.wh..wh..opq", b""), ("app/other", PICKLE)], ["/app/other"]),
        ([("./app//model", b"the same place, said differently")], []),
        ([("app/copy", "app/model"), ("app/.wh.model", b"")], []),
        ([("app/copy", "app/model")], ["/app/copy", "/app/model"]),
        ([("app/x", PICKLE), ("app/x", b"the last of two counts")], ["/app/model"]),
    ],
)
def test_upper_layers_hide_what_lies_under_them(
    tmp_path: Path, upper: list[tuple[str, Content]], left: list[str]
) -> None:
    assert paths(tmp_path, [("app", None), ("app/model", PICKLE)], upper) == left


def test_a_hard_link_keeps_a_model_whose_first_name_goes_away(tmp_path: Path) -> None:
    lower: list[tuple[str, Content]] = [("a", PICKLE), ("b", "a")]
    assert paths(tmp_path, lower, [(".wh.a", b"")]) == ["/b"]


def test_links_and_pipes_are_passed_over(tmp_path: Path) -> None:
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w") as archive:
        for kind in (tarfile.SYMTYPE, tarfile.FIFOTYPE):
            member = tarfile.TarInfo(f"special{kind.decode()}")
            member.type, member.linkname = kind, "/proc/self/mem"
            archive.addfile(member)
    layout, digest = image(tmp_path, target.getvalue())
    assert find_models(layout, digest, all_mine) == ()


def test_names_that_are_not_utf8_can_be_reported(tmp_path: Path) -> None:
    layout, digest = image(tmp_path, tarred([("model-\udcff.pkl", PICKLE)]))
    (model,) = find_models(layout, digest, all_mine)
    assert model.path == "/model-\\xff.pkl"


def test_a_layer_that_is_not_what_the_config_says_is_refused(tmp_path: Path) -> None:
    layout, digest = image(tmp_path, tarred([("a", b"one")]))
    manifest, _ = layout.image(digest)
    layout.path(manifest.layers[0].digest).write_bytes(igzip.compress(tarred([("a", b"two")])))
    with pytest.raises(InvalidInput, match="has been altered"):
        find_models(layout, digest, all_mine)
