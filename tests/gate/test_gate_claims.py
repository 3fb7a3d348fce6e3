from __future__ import annotations

import pytest

from compliance.attest.bundle import sign_statement
from compliance.attest.keys import TrustedKeys, generate_key, load_signer
from compliance.attest.provenance import SpecFile, slsa_statement
from compliance.attest.statement import Statement, sbom_statement, subjects_for
from compliance.evidence import Absent, Lock, Provenance
from compliance.inventory import Ecosystem, Inventory, Origin, Package
from compliance.oci.digest import Digest
from compliance.sbom import to_cyclonedx
from gate.claims import ClaimedSbom, compare, enrich, verify_claims

MANIFEST, CONFIG = Digest.of(b"manifest"), Digest.of(b"config")
SUBJECTS = subjects_for("team/image", MANIFEST, CONFIG)
ABOUT = {MANIFEST, CONFIG}


def package(name: str, version: str = "1.0", ecosystem: Ecosystem = Ecosystem.PYPI, **more: object) -> Package:
    return Package(f"pkg:{ecosystem}/{name}@{version}", name, version, ecosystem, Origin.DEPENDENCY, **more)


def claimed(*packages: Package) -> ClaimedSbom:
    return ClaimedSbom(Digest.of(b"sbom"), Inventory(None, packages))


@pytest.fixture
def signer(tmp_path):
    generate_key(tmp_path / "key.pem", tmp_path / "keys" / "ci.pem")
    return load_signer(tmp_path / "key.pem")


@pytest.fixture
def keys(tmp_path, signer):
    return TrustedKeys.load(tmp_path / "keys")


def provenance(builder: str = "urn:mlbuild:builder:local") -> Statement:
    return slsa_statement(
        SUBJECTS,
        builder=builder,
        spec=SpecFile("mlbuild.yaml", ""),
        layout_version=1,
        base_name="base",
        base=Digest.of(b"base"),
        lock=Lock(Digest.of(b"lock"), ()),
    )


def test_claims_are_read_from_what_a_trusted_key_signed(signer, keys):
    sbom = to_cyclonedx(Inventory(None, (package("demo"),)), name="team/image")
    bundles = [sign_statement(statement, signer) for statement in (provenance(), sbom_statement(SUBJECTS, sbom))]
    claims = verify_claims(bundles, keys, ABOUT)
    assert claims.provenance == Provenance(
        "urn:mlbuild:builder:local", "ci", Digest.of(b"lock"), Digest.of(b"base")
    )
    assert claims.lock == Lock(Digest.of(b"lock"), ())
    assert isinstance(claims.sbom, ClaimedSbom)
    assert claims.sbom.digest == Digest.of(sbom)
    assert [found.purl for found in claims.sbom.inventory.packages] == ["pkg:pypi/demo@1.0"]


def test_without_bundles_everything_is_absent_with_a_reason(keys):
    claims = verify_claims([], keys, ABOUT)
    for part in (claims.provenance, claims.lock, claims.sbom):
        assert isinstance(part, Absent)
        assert part.reason
        assert not part.pending


def test_a_key_that_is_no_longer_trusted_does_not_count(signer, keys):
    claims = verify_claims([sign_statement(provenance(), signer)], TrustedKeys({}), ABOUT)
    assert isinstance(claims.provenance, Absent)
    assert "not trusted" in claims.provenance.reason


def test_evidence_about_something_else_does_not_count(signer, keys):
    claims = verify_claims([sign_statement(provenance(), signer)], keys, {Digest.of(b"another image")})
    assert isinstance(claims.provenance, Absent)


def test_the_newest_provenance_counts(signer, keys):
    bundles = [sign_statement(provenance(builder), signer) for builder in ("urn:new", "urn:old")]
    found = verify_claims(bundles, keys, ABOUT).provenance
    assert isinstance(found, Provenance)
    assert found.builder == "urn:new"


def test_an_sbom_that_cannot_be_read_is_absent_and_says_why(signer, keys):
    bundle = sign_statement(sbom_statement(SUBJECTS, b'{"bomFormat":"SPDX"}'), signer)
    claims = verify_claims([bundle], keys, ABOUT)
    assert isinstance(claims.sbom, Absent)
    assert "(" in claims.sbom.reason


def test_what_bytes_and_claim_disagree_on_is_named_on_both_sides():
    actual = Inventory(None, (package("same"), package("silent"), package("libc6", ecosystem=Ecosystem.DEBIAN)))
    sbom = compare(claimed(package("same"), package("invented")), actual)
    assert not isinstance(sbom, Absent)
    assert sbom.missing == ("pkg:deb/libc6@1.0", "pkg:pypi/silent@1.0")
    assert sbom.extra == ("pkg:pypi/invented@1.0",)
    assert sbom.components == 2


def test_another_version_is_another_package():
    sbom = compare(claimed(package("demo", "1.0")), Inventory(None, (package("demo", "2.0"),)))
    assert not isinstance(sbom, Absent)
    assert (sbom.missing, sbom.extra) == (("pkg:pypi/demo@2.0",), ("pkg:pypi/demo@1.0",))


def test_only_python_and_debian_packages_are_compared():
    other = package("left-pad", ecosystem=Ecosystem.OTHER)
    sbom = compare(claimed(), Inventory(None, (other,)))
    assert not isinstance(sbom, Absent)
    assert sbom.missing == ()


def test_the_claim_adds_what_bytes_cannot_tell_and_changes_nothing_else():
    read = package("demo", layer=Digest.of(b"layer"), licence="BSD")
    said = package(
        "demo", sha256="0" * 64, url="https://x/demo.whl", chain=("app", "demo"), licence="BSD-3-Clause"
    )
    (found,) = enrich(Inventory(None, (read,)), claimed(said, package("invented"))).packages
    assert (found.layer, found.origin) == (read.layer, read.origin)
    assert (found.sha256, found.url, found.chain, found.licence) == (
        said.sha256,
        said.url,
        said.chain,
        "BSD-3-Clause",
    )


def test_without_a_claim_the_packages_stay_as_they_were_read():
    inventory = Inventory(None, (package("demo"),))
    assert enrich(inventory, Absent("none")) is inventory
    assert compare(Absent("none"), inventory) == Absent("none")
