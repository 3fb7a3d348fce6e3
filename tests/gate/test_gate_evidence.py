"""Signed evidence: accepted, found as referrers, and weighed when the image arrives."""

from __future__ import annotations

import io

import httpx
import pytest

from compliance.attest.bundle import BUNDLE_TYPE, sign_statement
from compliance.attest.keys import generate_key, load_signer
from compliance.attest.provenance import SpecFile, slsa_statement
from compliance.attest.referrer import as_referrer
from compliance.attest.statement import sbom_statement, subjects_for
from compliance.evidence import Lock, LockedPackage
from compliance.inventory import Ecosystem, Inventory, Origin, Package
from compliance.oci.digest import Digest
from compliance.oci.manifest import OCI_MANIFEST, Descriptor, Manifest
from compliance.oci.registry import RegistryError
from compliance.sbom import to_cyclonedx

pytestmark = pytest.mark.acceptance

ASKS_FOR_EVIDENCE = """\
name: any
rules:
  - id: has-provenance
    check: provenance
    with: {builders: ["urn:mlbuild:builder:local"]}
    effect: deny
    why: Somebody must stand for it.
    fix: Build with mlbuild.
  - id: has-sbom
    check: sbom-complete
    effect: deny
    why: What is in it must be known.
    fix: Build with mlbuild.
"""
METADATA = b"Metadata-Version: 2.1\nName: demo\nVersion: 1.0\nLicense-Expression: MIT\n\n"
IN_SITE_PACKAGES = "opt/venv/lib/python3.11/site-packages/demo-1.0.dist-info/METADATA"


def provenance_of(image, builder="urn:mlbuild:builder:local"):
    return slsa_statement(
        subjects_for("team/image", image.digest, image.manifest.config.digest),
        builder=builder,
        spec=SpecFile("mlbuild.yaml", "image: team/image\n"),
        layout_version=1,
        base_name="none",
        base=Digest.of(b"base"),
        lock=Lock(Digest.of(b"lock"), (LockedPackage("demo", "1.0", "0" * 64, "https://x/demo.whl", None),)),
    )


def sbom_of(image, *versions):
    packages = tuple(
        Package(f"pkg:pypi/demo@{version}", "demo", version, Ecosystem.PYPI, Origin.DEPENDENCY, chain=("demo",))
        for version in versions
    )
    document = to_cyclonedx(Inventory(None, packages), name="team/image")
    return sbom_statement(subjects_for("team/image", image.digest, image.manifest.config.digest), document)


def push_evidence(client, repository, image, bundle, subject=None):
    manifest, blobs = as_referrer(bundle, subject or image.descriptor)
    for descriptor, data in blobs:
        client.push_blob(repository, descriptor.digest, descriptor.size, lambda data=data: io.BytesIO(data))
    raw = manifest.to_json()
    return client.put_manifest(repository, Digest.of(raw), raw, manifest.media_type)


@pytest.fixture(scope="module")
def strict(tmp_path_factory, module_gate):
    return module_gate(tmp_path_factory.mktemp("strict"), {"any.yaml": ASKS_FOR_EVIDENCE})


def test_evidence_that_came_first_admits_the_image(strict, make_image):
    image = make_image({IN_SITE_PACKAGES: METADATA})
    signer = load_signer(strict.key)
    with strict.client() as client:
        for statement in (provenance_of(image), sbom_of(image, "1.0")):
            push_evidence(client, "team/image", image, sign_statement(statement, signer))
        assert image.push(client, "team/image", "v1") == image.digest
        found = client.referrers("team/image", image.digest, BUNDLE_TYPE)
        assert {entry.annotations["dev.sigstore.bundle.predicateType"] for entry in found} == {
            "https://slsa.dev/provenance/v1",
            "https://cyclonedx.org/bom",
            "https://slsa.dev/verification_summary/v1",
        }
        decision = decision_on(strict, "team/image", "v1")
        evidence = httpx.get(decision + "/evidence", auth=("pod", "correct horse"), timeout=60).json()
        assert evidence["sbom"].get("missing", []) == evidence["sbom"].get("extra", []) == []
        assert evidence["provenance"]["key"] == "ci"
        (package,) = evidence["inventory"]["packages"]
        assert (package["purl"], package["chain"], package["origin"]) == (
            "pkg:pypi/demo@1.0",
            ["demo"],
            "dependency",
        )


def test_without_evidence_the_image_is_refused_and_with_it_a_second_push_is_not(strict, make_image):
    image = make_image({IN_SITE_PACKAGES: METADATA, "app/x": b"second"})
    signer = load_signer(strict.key)
    with strict.client() as client:
        with pytest.raises(RegistryError, match="has-provenance"):
            image.push(client, "team/later", "v1")
        for statement in (provenance_of(image), sbom_of(image, "1.0")):
            push_evidence(client, "team/later", image, sign_statement(statement, signer))
        assert image.push(client, "team/later", "v1") == image.digest


def test_evidence_about_the_config_holds_for_an_image_whose_layers_were_compressed_anew(strict, make_image):
    files = {IN_SITE_PACKAGES: METADATA, "app/x": b"third"}
    built, pushed = make_image(files), make_image(files, compression="application/vnd.oci.image.layer.v1.tar")
    assert built.digest != pushed.digest
    assert built.manifest.config.digest == pushed.manifest.config.digest
    signer = load_signer(strict.key)
    with strict.client() as client:
        for statement in (provenance_of(built), sbom_of(built, "1.0")):
            push_evidence(client, "team/recompressed", built, sign_statement(statement, signer))
        assert pushed.push(client, "team/recompressed", "v1") == pushed.digest


def test_an_sbom_that_is_silent_about_a_package_is_found_out(strict, make_image):
    image = make_image({IN_SITE_PACKAGES: METADATA, "app/x": b"fourth"})
    signer = load_signer(strict.key)
    with strict.client() as client:
        for statement in (provenance_of(image), sbom_of(image, "2.0")):
            push_evidence(client, "team/liar", image, sign_statement(statement, signer))
        with pytest.raises(RegistryError, match=r"has-sbom.*demo"):
            image.push(client, "team/liar", "v1")


def test_evidence_signed_by_a_stranger_is_refused(strict, make_image, tmp_path):
    generate_key(tmp_path / "stranger.pem", tmp_path / "stranger.pub.pem")
    image = make_image()
    bundle = sign_statement(provenance_of(image), load_signer(tmp_path / "stranger.pem"))
    with strict.client() as client:
        with pytest.raises(RegistryError, match=r"evidence-verified: .*not trusted") as caught:
            push_evidence(client, "team/stranger", image, bundle)
        assert caught.value.code == "DENIED"
        assert client.referrers("team/stranger", image.digest) == ()


def test_evidence_about_one_image_cannot_be_attached_to_another(strict, make_image):
    image, other = make_image(), make_image()
    bundle = sign_statement(provenance_of(image), load_signer(strict.key))
    with strict.client() as client, pytest.raises(RegistryError, match="about something else"):
        push_evidence(client, "team/swapped", image, bundle, subject=other.descriptor)


ROCKET = "application/vnd.acme.rocket"


def push_rocket(client, repository, *, made_of="application/vnd.acme.fuel"):
    blobs = {b"{}": ROCKET, b"fuel": made_of}
    described = [
        Descriptor(media_type=kind, digest=Digest.of(data), size=len(data)) for data, kind in blobs.items()
    ]
    for data in blobs:
        client.push_blob(repository, Digest.of(data), len(data), lambda data=data: io.BytesIO(data))
    raw = Manifest(artifact_type=ROCKET, config=described[0], layers=(described[1],)).to_json()
    return client.put_manifest(repository, "v1", raw, OCI_MANIFEST)


def test_an_artifact_that_no_rule_names_is_refused_with_its_type(strict):
    with strict.client() as client, pytest.raises(RegistryError, match=r"some-rule-applies: .*acme\.rocket"):
        push_rocket(client, "team/rocket")


NAMES_ROCKETS = """\
name: rockets
applies-to: {repositories: ["rockets/**"]}
rules:
  - id: rockets-only
    check: artifact-types
    with: {allow: [application/vnd.acme.rocket]}
    effect: deny
    why: Nothing else flies.
    fix: Push it elsewhere.
"""


def test_an_artifact_that_a_rule_names_is_let_in_where_the_rule_is_and_images_are_not(start_gate, make_image):
    gate = start_gate(policies={"rockets.yaml": NAMES_ROCKETS})
    with gate.client() as client:
        digest = push_rocket(client, "rockets/one")
        assert client.get_manifest("rockets/one", "v1").digest == digest
        with pytest.raises(RegistryError, match="some-rule-applies"):
            make_image().push(client, "rockets/one", "image")
        with pytest.raises(RegistryError, match="some-rule-applies"):
            push_rocket(client, "elsewhere/one")
        with pytest.raises(RegistryError, match=r"images-and-evidence-only: .*image layers"):
            push_rocket(client, "rockets/two", made_of="application/vnd.oci.image.layer.v1.tar")


def test_a_referrer_is_listed_by_its_type_only(strict, make_image):
    image = make_image()
    with strict.client() as client:
        push_evidence(client, "team/typed", image, sign_statement(provenance_of(image), load_signer(strict.key)))
        assert len(client.referrers("team/typed", image.digest)) == 1
        assert client.referrers("team/typed", image.digest, "application/vnd.acme.rocket") == ()


def decision_on(gate, repository, target) -> str:
    """The address of the decision by which something was admitted."""
    answer = httpx.get(
        f"http://{gate.host}/v2/{repository}/manifests/{target}", auth=("pod", "correct horse"), timeout=60
    )
    return answer.headers["Mlgate-Decision"]
