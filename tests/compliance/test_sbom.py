"""Inventories become CycloneDX 1.6 and come back; what strangers write is refused or read one way."""

from __future__ import annotations

import json
import string
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from hypothesis import given
from hypothesis import strategies as st

from compliance.errors import InvalidInput
from compliance.inventory import Ecosystem, Inventory, ModelFile, OperatingSystem, Origin, Package
from compliance.oci.digest import Digest
from compliance.sbom import from_cyclonedx, to_cyclonedx

BAD = Path(__file__).parent / "data" / "sbom-bad"
LAYER = Digest.of(b"layer")
VALIDATOR = JsonStrictValidator(SchemaVersion.V1_6)

OPENSSL = Package(
    purl="pkg:deb/debian/libssl3@3.0.11-1~deb12u2?arch=amd64&distro=debian-12",
    name="libssl3",
    version="3.0.11-1~deb12u2",
    ecosystem=Ecosystem.DEBIAN,
    origin=Origin.BASE,
    layer=LAYER,
    licence="Apache-2.0",
    source_name="openssl",
    source_version="3.0.11-1~deb12u2",
    architecture="amd64",
)
STARLETTE = Package(
    purl="pkg:pypi/starlette@0.40.0",
    name="starlette",
    version="0.40.0",
    ecosystem=Ecosystem.PYPI,
    origin=Origin.DEPENDENCY,
    layer=LAYER,
    licence="BSD-3-Clause OR MIT",
    sha256="a" * 64,
    url="https://files.pythonhosted.org/packages/starlette-0.40.0-py3-none-any.whl",
    chain=("fastapi", "starlette"),
)
FASTAPI = Package(
    purl="pkg:pypi/fastapi@0.115.0",
    name="fastapi",
    version="0.115.0",
    ecosystem=Ecosystem.PYPI,
    origin=Origin.DEPENDENCY,
    licence="a licence of our own",
    depends_on=(STARLETTE.purl,),
)
INVENTORY = Inventory(OperatingSystem("debian", "12"), (OPENSSL, FASTAPI, STARLETTE))
MODEL = ModelFile("/app/model.onnx", "onnx", Origin.APP, "b" * 64, 12, LAYER)
PICKLE = ModelFile("/app/model.pkl", "pickle", Origin.APP, "c" * 64, 13, LAYER, "unpickling it imports os.system")


def document(**changes: Any) -> dict[str, Any]:
    raw: dict[str, Any] = json.loads(to_cyclonedx(INVENTORY, name="serving/iris", **changes))
    return raw


def component(name: str, raw: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = next(each for each in raw["components"] if each["name"] == name)
    return found


def properties(raw: dict[str, Any]) -> dict[str, str]:
    return {each["name"]: each["value"] for each in raw["properties"]}


def test_the_document_is_valid_against_the_schema() -> None:
    for created in (None, datetime(2026, 1, 1, tzinfo=UTC)):
        raw = to_cyclonedx(INVENTORY, name="serving/iris", models=[MODEL, PICKLE], created=created)
        assert VALIDATOR.validate_str(raw.decode()) is None


def test_it_says_what_the_image_is_and_what_runs_in_it() -> None:
    raw = document()
    assert (raw["bomFormat"], raw["specVersion"], raw["version"]) == ("CycloneDX", "1.6", 1)
    assert raw["metadata"]["component"]["type"] == "container"
    assert raw["metadata"]["component"]["name"] == "serving/iris"
    debian = component("debian", raw)
    assert (debian["type"], debian["version"]) == ("operating-system", "12")


def test_a_python_package_has_hash_licence_download_layer_and_reason() -> None:
    found = component("starlette", document())
    assert (found["type"], found["purl"], found["bom-ref"]) == ("library", STARLETTE.purl, STARLETTE.purl)
    assert found["hashes"] == [{"alg": "SHA-256", "content": "a" * 64}]
    assert found["licenses"] == [{"expression": "BSD-3-Clause OR MIT"}]
    assert found["externalReferences"] == [{"type": "distribution", "url": STARLETTE.url}]
    assert properties(found) == {
        "aquasecurity:trivy:LayerDiffID": LAYER,
        "aquasecurity:trivy:PkgType": "python-pkg",
        "mlbuild:chain": '["fastapi", "starlette"]',
        "mlbuild:origin": "dependency",
    }


def test_a_debian_package_names_its_source() -> None:
    found = component("libssl3", document())
    assert found["licenses"] == [{"license": {"id": "Apache-2.0"}}]
    assert properties(found)["aquasecurity:trivy:SrcName"] == "openssl"
    assert properties(found)["aquasecurity:trivy:SrcVersion"] == "3.0.11-1~deb12u2"


def test_a_licence_that_is_no_expression_keeps_its_text() -> None:
    assert component("fastapi", document())["licenses"] == [{"license": {"name": "a licence of our own"}}]


def test_models_are_components_that_say_whether_they_are_safe() -> None:
    found = component("/app/model.pkl", document(models=[PICKLE, MODEL]))
    assert (found["type"], found["hashes"][0]["content"]) == ("machine-learning-model", "c" * 64)
    assert properties(found)["mlbuild:format"] == "pickle"
    assert properties(found)["mlbuild:unsafe"] == "unpickling it imports os.system"


def test_the_graph_leads_from_the_image_to_every_package() -> None:
    edges = {each["ref"]: each.get("dependsOn", []) for each in document()["dependencies"]}
    assert edges["image:serving/iris"] == ["os:debian@12", FASTAPI.purl]
    assert edges["os:debian@12"] == [OPENSSL.purl]
    assert edges[FASTAPI.purl] == [STARLETTE.purl]
    assert edges[STARLETTE.purl] == []


def test_packages_that_only_need_each_other_hang_from_the_image_too() -> None:
    pair = [
        Package(f"pkg:pypi/{name}@1", name, "1", Ecosystem.PYPI, Origin.APP, depends_on=(f"pkg:pypi/{other}@1",))
        for name, other in (("a", "b"), ("b", "a"))
    ]
    raw = json.loads(to_cyclonedx(Inventory(None, tuple(pair)), name="x"))
    edges = {each["ref"]: each.get("dependsOn", []) for each in raw["dependencies"]}
    assert edges["image:x"] == ["pkg:pypi/a@1"]


def test_models_alone_make_a_graph() -> None:
    raw = json.loads(to_cyclonedx(Inventory(None, ()), name="x", models=[MODEL]))
    assert raw["dependencies"] == [
        {"ref": "file:/app/model.onnx"},
        {"ref": "image:x", "dependsOn": ["file:/app/model.onnx"]},
    ]


def test_a_package_installed_twice_is_two_components() -> None:
    twice = Inventory(None, (FASTAPI, replace(FASTAPI, layer=LAYER), STARLETTE))
    raw = to_cyclonedx(twice, name="x")
    assert VALIDATOR.validate_str(raw.decode()) is None
    assert from_cyclonedx(raw) == twice


def test_equal_inventories_give_equal_bytes_and_others_another_serial_number() -> None:
    backwards = Inventory(INVENTORY.os, tuple(reversed(INVENTORY.packages)))
    assert to_cyclonedx(INVENTORY, name="a") == to_cyclonedx(backwards, name="a")
    assert document()["serialNumber"] != json.loads(to_cyclonedx(INVENTORY, name="b"))["serialNumber"]


def test_there_is_no_time_unless_one_is_given() -> None:
    assert "timestamp" not in document()["metadata"]
    created = document(created=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC))["metadata"]["timestamp"]
    assert created == "2026-01-02T03:04:05+00:00"


def test_a_purl_that_is_none_is_refused() -> None:
    with pytest.raises(InvalidInput, match="has a purl that is none"):
        to_cyclonedx(Inventory(None, (replace(STARLETTE, purl="starlette"),)), name="x")


def test_the_inventory_comes_back() -> None:
    assert from_cyclonedx(to_cyclonedx(INVENTORY, name="x", models=[MODEL])) == INVENTORY


def test_a_foreign_document_is_read_as_far_as_it_goes() -> None:
    raw = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "components": [
            {"type": "file", "name": "/etc/passwd"},
            {
                "type": "library",
                "bom-ref": "1",
                "name": "six",
                "version": "1.0",
                "purl": "pkg:pypi/six@1.0",
                "licenses": [{"license": {"id": "MIT"}}, {"license": {"name": "Own"}}],
                "cpe": "cpe:2.3:a:b:c",
            },
        ],
    }
    (package,) = from_cyclonedx(json.dumps(raw).encode()).packages
    assert (package.name, package.origin, package.licence) == ("six", Origin.APP, "MIT AND Own")


@pytest.mark.parametrize("path", sorted(BAD.glob("*.json")), ids=lambda path: path.stem)
def test_bad_documents_are_refused(path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"SBOM|CycloneDX|digest"):
        from_cyclonedx(path.read_bytes())


def test_there_are_bad_documents() -> None:
    assert len(list(BAD.glob("*.json"))) > 10


@given(st.binary(max_size=200))
def test_any_bytes_are_an_inventory_or_invalid_input(data: bytes) -> None:
    with pytest.raises(InvalidInput):
        from_cyclonedx(data)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@given(st.data())
def test_a_document_with_anything_anywhere_is_an_inventory_or_invalid_input(data: st.DataObject) -> None:
    raw = document()
    node: Any = raw
    while True:
        keys = list(node) if isinstance(node, dict) else range(len(node))
        key = data.draw(st.sampled_from(keys))
        if not isinstance(node[key], (dict, list)) or not node[key] or data.draw(st.booleans()):
            node[key] = data.draw(JSON)
            break
        node = node[key]
    try:
        from_cyclonedx(json.dumps(raw).encode())
    except InvalidInput:
        return


NAME = st.text(string.ascii_lowercase + string.digits, min_size=1, max_size=8)
TEXT = st.text(st.characters(codec="utf-8"), min_size=1, max_size=20)
DIGESTS = st.binary(max_size=2).map(Digest.of)


@st.composite
def inventories(draw: st.DrawFn) -> Inventory:
    kinds = {"pypi": Ecosystem.PYPI, "deb/debian": Ecosystem.DEBIAN, "generic": Ecosystem.OTHER}
    named = draw(st.lists(st.tuples(st.sampled_from(sorted(kinds)), NAME), unique=True, max_size=5))
    purls = [f"pkg:{kind}/{name}@1.0" for kind, name in named]
    packages = [
        Package(
            purl=purl,
            name=name,
            version=draw(TEXT),
            ecosystem=kinds[kind],
            origin=draw(st.sampled_from(Origin)),
            layer=draw(st.none() | DIGESTS),
            licence=draw(st.none() | TEXT | st.sampled_from(["MIT", "mit", "MIT OR Apache-2.0", "GPL-2.0+"])),
            sha256=draw(st.none() | DIGESTS.map(lambda digest: digest.hex)),
            url=draw(st.none() | NAME.map(lambda text: f"https://example.org/{text}.whl")),
            source_name=draw(st.none() | TEXT),
            source_version=draw(st.none() | TEXT),
            architecture=draw(st.none() | TEXT),
            chain=tuple(draw(st.lists(TEXT, max_size=3))),
            depends_on=tuple(sorted(draw(st.sets(st.sampled_from(purls), max_size=3)) - {purl})),
        )
        for (kind, name), purl in zip(named, purls, strict=True)
    ]
    os = draw(st.none() | st.builds(OperatingSystem, TEXT, TEXT))
    return Inventory(os, tuple(sorted(packages, key=lambda package: package.purl)))


@given(inventories())
def test_every_inventory_comes_back_and_is_valid(inventory: Inventory) -> None:
    raw = to_cyclonedx(inventory, name="x")
    assert from_cyclonedx(raw) == inventory
    assert to_cyclonedx(from_cyclonedx(raw), name="x") == raw
