"""Manifests and configs say one thing to every reader."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compliance.errors import InvalidInput
from compliance.oci.digest import Digest
from compliance.oci.manifest import (
    DOCKER_CONFIG,
    DOCKER_INDEX,
    DOCKER_MANIFEST,
    OCI_CONFIG,
    OCI_EMPTY,
    OCI_INDEX,
    OCI_LAYER_GZIP,
    OCI_MANIFEST,
    Descriptor,
    ImageConfig,
    Index,
    Manifest,
    Platform,
    RootFs,
    RuntimeConfig,
    parse_config,
    parse_manifest,
)

DIGEST = Digest.of(b"")
CONFIG = {"mediaType": OCI_CONFIG, "digest": DIGEST, "size": 2}
LAYER = {"mediaType": OCI_LAYER_GZIP, "digest": DIGEST, "size": 3}
MANIFEST: dict[str, Any] = {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": CONFIG, "layers": [LAYER]}
INDEX: dict[str, Any] = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [CONFIG]}
IMAGE: dict[str, Any] = {
    "architecture": "amd64",
    "os": "linux",
    "config": {"User": "65532", "Env": ["A=b"], "Cmd": ["x"], "Labels": {"a": "1", "A": "2"}},
    "rootfs": {"type": "layers", "diff_ids": [DIGEST]},
    "history": [{"created_by": "x", "empty_layer": True}],
}


def read(data: object, media_type: str | None = None) -> Manifest | Index:
    return parse_manifest(json.dumps(data).encode(), media_type)


def test_an_image_manifest_is_read() -> None:
    manifest = read(MANIFEST, OCI_MANIFEST)
    assert isinstance(manifest, Manifest)
    assert manifest.is_image
    assert manifest.layers[0] == Descriptor(media_type=OCI_LAYER_GZIP, digest=DIGEST, size=3)


def test_an_artifact_is_told_by_its_config() -> None:
    artifact = read({**MANIFEST, "config": {**CONFIG, "mediaType": OCI_EMPTY}, "artifactType": "a/b"})
    assert isinstance(artifact, Manifest)
    assert not artifact.is_image


@pytest.mark.parametrize(
    ("data", "media_type", "expected"),
    [
        ({**MANIFEST, "mediaType": DOCKER_MANIFEST}, DOCKER_MANIFEST, DOCKER_MANIFEST),
        ({**MANIFEST, "config": {**CONFIG, "mediaType": DOCKER_CONFIG}}, None, OCI_MANIFEST),
        ({key: MANIFEST[key] for key in MANIFEST if key != "mediaType"}, None, OCI_MANIFEST),
        ({key: INDEX[key] for key in INDEX if key != "mediaType"}, None, OCI_INDEX),
        ({key: INDEX[key] for key in INDEX if key != "mediaType"}, DOCKER_INDEX, DOCKER_INDEX),
    ],
)
def test_the_media_type_is_the_body_s_or_the_declared_one(
    data: dict[str, Any], media_type: str | None, expected: str
) -> None:
    assert read(data, media_type).media_type == expected


def test_unknown_members_are_allowed_and_ignored() -> None:
    assert read({**MANIFEST, "x-own": {"anything": [1]}}) == read(MANIFEST)


@pytest.mark.parametrize(
    ("data", "media_type"),
    [
        ([], None),
        ({}, None),
        (MANIFEST, OCI_INDEX),
        ({**MANIFEST, "mediaType": ""}, OCI_MANIFEST),
        ({**MANIFEST, "mediaType": "text/plain"}, "text/plain"),
        ({**MANIFEST, "mediaType": ["a"]}, None),
        ({**MANIFEST, "mediaType": 5}, None),
        ({**MANIFEST, "mediaType": OCI_INDEX}, None),
        ({**MANIFEST, "manifests": []}, None),
        ({**INDEX, "layers": []}, None),
        ({**INDEX, "config": {}}, None),
        ({**INDEX, "manifests": {}}, None),
        ({**MANIFEST, "schemaVersion": 1}, None),
        ({**MANIFEST, "schemaVersion": "2"}, None),
        ({**MANIFEST, "layers": None}, None),
        ({**MANIFEST, "layers": [{**LAYER, "size": -1}]}, None),
        ({**MANIFEST, "layers": [{**LAYER, "size": "3"}]}, None),
        ({**MANIFEST, "layers": [{**LAYER, "size": 3.0}]}, None),
        ({**MANIFEST, "layers": [{**LAYER, "size": True}]}, None),
        ({**MANIFEST, "layers": [{**LAYER, "digest": "sha256:abc"}]}, None),
        ({**MANIFEST, "layers": [{**LAYER, "digest": "latest"}]}, None),
        ({**MANIFEST, "annotations": {"a": 1}}, None),
        (
            {
                **MANIFEST,
                "media_type": OCI_INDEX,
                "config": {"media_type": OCI_CONFIG, **CONFIG, "mediaType": None},
            },
            None,
        ),
    ],
)
def test_what_is_no_manifest_is_refused(data: object, media_type: str | None) -> None:
    with pytest.raises(InvalidInput):
        read(data, media_type)


@pytest.mark.parametrize("name", ["Layers", "LAYERS", "layerſ", "MediaType", "Config", "Subject", "artifacttype"])
def test_a_member_that_a_go_client_would_take_for_another_is_refused(name: str) -> None:
    with pytest.raises(InvalidInput, match="must be spelled"):
        read({**MANIFEST, name: []})
    with pytest.raises(InvalidInput, match="must be spelled"):
        read({**MANIFEST, "layers": [{**LAYER, "Digest": Digest.of(b"other")}]})


def test_a_key_twice_is_refused() -> None:
    raw = json.dumps(MANIFEST).replace('"layers":', '"layers": [], "layers":')
    with pytest.raises(InvalidInput, match="key twice"):
        parse_manifest(raw.encode())


def test_a_config_is_read_and_labels_may_differ_in_case() -> None:
    config = parse_config(json.dumps(IMAGE).encode())
    assert config.config.user == "65532"
    assert config.config.labels == {"a": "1", "A": "2"}
    assert config.rootfs.diff_ids == (DIGEST,)


@pytest.mark.parametrize(
    "change",
    [
        {"config": {"User": "65532", "user": "root"}},
        {"config": {"user": "65532"}},
        {"Config": {"User": "root"}},
        {"rootfs": {"diff_ids": [DIGEST], "Diff_IDs": []}},
        {"rootfs": {}},
        {"rootfs": None},
        {"config": {"Env": "A=b"}},
        {"config": {"User": 0}},
        {"architecture": None},
    ],
)
def test_a_doubtful_config_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput, match="not a valid image config"):
        parse_config(json.dumps({**IMAGE, **change}).encode())


def test_what_is_written_is_compact_ordered_and_read_again() -> None:
    descriptor = Descriptor(
        media_type=OCI_MANIFEST, digest=DIGEST, size=1, platform=Platform(os="linux", architecture="arm64")
    )
    index = Index(manifests=(descriptor,), annotations={"b": "é", "a": "1"})
    raw = index.to_json()
    assert raw.startswith(
        b'{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[{'
    )
    assert "é".encode() in raw
    assert parse_manifest(raw) == index
    config = ImageConfig(
        architecture="amd64",
        os="linux",
        config=RuntimeConfig(user="1", exposed_ports={"80/tcp": {}}, working_dir="/app"),
        rootfs=RootFs(diff_ids=(DIGEST,)),
    )
    assert b'"config":{"User":"1","ExposedPorts":{"80/tcp":{}},"WorkingDir":"/app"}' in config.to_json()
    assert parse_config(config.to_json()) == config


@given(st.binary(max_size=200))
def test_any_bytes_are_invalid_input(raw: bytes) -> None:
    for parse in (parse_manifest, parse_config):
        with pytest.raises(InvalidInput):
            parse(raw)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@given(st.sampled_from([MANIFEST, INDEX, IMAGE]), st.data())
def test_anything_anywhere_is_read_or_invalid_input(whole: dict[str, Any], data: st.DataObject) -> None:
    raw = json.loads(json.dumps(whole))
    node: Any = raw
    while True:
        key = data.draw(st.sampled_from(list(node) if isinstance(node, dict) else range(len(node))))
        if not isinstance(node[key], (dict, list)) or not node[key] or data.draw(st.booleans()):
            node[key] = data.draw(JSON)
            break
        node = node[key]
    try:
        (parse_config if whole is IMAGE else parse_manifest)(json.dumps(raw).encode())
    except InvalidInput:
        return
