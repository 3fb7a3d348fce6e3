"""Each check by itself, where the cases beside the policies do not reach."""

from __future__ import annotations

from dataclasses import fields, replace
from datetime import timedelta
from typing import Any

import pytest

from compliance.evidence import Absent, Evidence, Lock, LockedPackage
from compliance.inventory import Inventory, Settings
from compliance.oci.digest import Digest
from compliance.policy.all_checks import checks
from compliance.policy.decision import Violation
from tests.compliance.policy.policy_evidence import AT, given_evidence


def run(check: str, evidence: Evidence, **parameters: Any) -> tuple[Violation, ...]:
    found = checks()[check]
    written = {name.replace("_", "-"): value for name, value in parameters.items()}
    result = found.run(found.parameters.model_validate(written), evidence, AT)
    assert isinstance(result, tuple)
    return result


def vulnerable(**entry: Any) -> Evidence:
    found = {"id": "CVE-2026-1", "package": "starlette", "severity": "high", **entry}
    return given_evidence(vulnerabilities=[found])


def test_a_violation_says_which_requirement_brought_the_package() -> None:
    (found,) = run("vulnerabilities", vulnerable(fixed=["0.40.0"]), severities=["high"])
    assert found.chain == ("fastapi", "starlette")
    assert (found.culprit, found.key, found.fixed) == ("pkg:pypi/starlette@0.38.6", "CVE-2026-1", "0.40.0")


@pytest.mark.parametrize(
    ("fixed", "remedy"),
    [
        (["0.40.0", "0.39.2"], "raise starlette to 0.39.2 or later"),
        (["0.30.0", "0.38.7", "1.0"], "raise starlette to 0.38.7 or later"),
        (["0.9", "0.38.10"], "raise starlette to 0.38.10 or later"),
        (["0.30.0"], "no fixed version is known: replace starlette, or ask for a waiver"),
        (["odd version"], "raise starlette to odd version or later"),
        ([], "no fixed version is known: replace starlette, or ask for a waiver"),
    ],
)
def test_the_remedy_is_the_smallest_version_that_is_newer(fixed: list[str], remedy: str) -> None:
    assert run("vulnerabilities", vulnerable(fixed=fixed), severities=["high"])[0].remedy == remedy


def test_debian_versions_are_compared_as_debian_does() -> None:
    found = given_evidence(
        packages=[{"name": "zlib1g", "version": "1:1.2.13.dfsg-1", "ecosystem": "deb"}],
        vulnerabilities=[
            {
                "id": "CVE-1",
                "package": "zlib1g",
                "severity": "high",
                "fixed": ["9.9-1", "1:1.3.dfsg-2", "1:1.3.dfsg-1"],
            }
        ],
    )
    (violation,) = run("vulnerabilities", found, severities=["high"])
    assert "with zlib1g 1:1.3.dfsg-1 or later" in (violation.remedy or "")


def test_a_vulnerability_without_a_date_has_no_days_of_grace() -> None:
    assert run("vulnerabilities", vulnerable(), severities=["high"], grace_days=30)
    assert not run("vulnerabilities", vulnerable(published="2026-11-01"), severities=["high"], grace_days=30)
    assert run("vulnerabilities", vulnerable(published="2026-10-23"), severities=["high"], grace_days=30)


def test_a_vulnerable_package_that_the_inventory_does_not_name_counts() -> None:
    found = replace(vulnerable(), inventory=Inventory(None, ()))
    (violation,) = run("vulnerabilities", found, severities=["high"], origins=["base"])
    assert violation.origin is None


def test_the_worst_vulnerability_comes_first() -> None:
    found = given_evidence(
        vulnerabilities=[
            {"id": "CVE-3", "package": "fastapi", "severity": "low"},
            {"id": "CVE-2", "package": "fastapi", "severity": "critical"},
            {"id": "CVE-1", "package": "starlette", "severity": "critical"},
        ]
    )
    violations = run("vulnerabilities", found, severities=["critical", "low"])
    assert [one.key for one in violations] == ["CVE-2", "CVE-1", "CVE-3"]


@pytest.mark.parametrize(
    "user", ["", "root", "0", "00", "-0", "+0", "0:0", ":0", "root:users", " root", "٠", "-5", "4294967296"]
)
def test_these_users_are_root_or_none(user: str) -> None:
    assert run("non-root", given_evidence(user=user))


@pytest.mark.parametrize("user", ["nonroot", "65532", "65532:0", "1000:root", "rooty"])
def test_these_users_are_not_root(user: str) -> None:
    assert not run("non-root", given_evidence(user=user))


def test_a_name_may_not_be_enough() -> None:
    assert run("non-root", given_evidence(user="nonroot"), numeric=True)
    assert not run("non-root", given_evidence(user="65532"), numeric=True)


@pytest.mark.parametrize(
    "place",
    [
        "http://pypi.org/simple",
        "https://pypi.org/simple-too",
        "https://pypi.org/",
        "https://pypi.org.example.com/simple",
        "https://pypi.org@example.com/simple",
        "https://pypi.org:8443/simple",
        "https://pypi.org/simple/../evil",
        "https://pypi.org/simple/%2e%2e/evil",
        "https://[::1/simple",
        "https://pypi.org:port/simple",
        "file:///simple",
        "pypi.org/simple",
        "git+https://pypi.org/simple",
        "",
    ],
)
def test_these_are_not_below_an_allowed_place(place: str) -> None:
    assert run("package-sources", _from(place), allow=["https://pypi.org/simple"])


@pytest.mark.parametrize(
    "place",
    [
        "https://pypi.org/simple",
        "https://pypi.org/simple/",
        "https://pypi.org/simple/numpy/",
        "https://PyPI.org/simple",
    ],
)
def test_these_are_below_an_allowed_place(place: str) -> None:
    assert not run("package-sources", _from(place), allow=["https://pypi.org/simple"])


def _from(place: str) -> Evidence:
    lock = Lock(Digest.of(b"lock"), (LockedPackage("numpy", "2.0.0", "aa", place, None),))
    return replace(given_evidence(), lock=lock)


def test_credentials_of_an_index_are_not_told() -> None:
    (found,) = run(
        "package-sources", _from("https://me:hunter2@example.com/simple"), allow=["https://pypi.org/simple"]
    )
    assert "https://example.com/simple" in found.message
    assert "hunter2" not in found.message


def test_an_artifact_without_a_url_is_refused() -> None:
    lock = Lock(Digest.of(b"lock"), (LockedPackage("numpy", "2.0.0", "aa", None, "https://pypi.org/simple"),))
    (found,) = run("package-sources", replace(given_evidence(), lock=lock), allow=["https://pypi.org/simple"])
    assert "a place the lock does not name" in found.message


@pytest.mark.parametrize(
    ("locked", "message"),
    [
        ({"name": "Fast_API", "version": "0.115"}, None),
        (
            {"name": "fastapi", "version": "0.115.0", "sha256": "00"},
            "comes from another artifact than the locked one",
        ),
        ({"name": "fastapi", "version": "0.115.0", "sha256": None}, "is locked without a sha256"),
        ({"name": "fastapi", "version": "0.115.0.post1"}, "is locked as 0.115.0.post1"),
        ({"name": "fastapi-slim", "version": "0.115.0"}, "is not in the lock"),
    ],
    ids=str,
)
def test_a_package_is_held_against_its_lock(locked: dict[str, Any], message: str | None) -> None:
    package = {"name": "fastapi" if message else "fast-api", "version": "0.115.0"}
    found = run("locked-packages", given_evidence(packages=[package], lock=[locked]))
    assert [one.message for one in found] == ([f"fastapi 0.115.0 {message}"] if message else [])


def test_packages_of_the_base_need_no_lock_unless_asked_for() -> None:
    found = given_evidence(packages=[{"name": "pip", "version": "24.0", "origin": "base"}], lock=[])
    assert not run("locked-packages", found)
    assert run("locked-packages", found, origins=["base"])


@pytest.mark.parametrize(
    ("licence", "good"),
    [
        ("MIT", True),
        ("AGPL-3.0", False),
        ("AGPL-3.0-or-later", False),
        ("GNU Affero General Public License v3 or later (AGPLv3+)", False),
        ("AGPL v3", False),
        ("MIT OR AGPL-3.0-only", True),
        ("MIT AND AGPL-3.0-only", False),
        ("(MIT OR AGPL-3.0-only) AND AGPL-3.0-or-later", False),
        ("MIT, AGPLv3", False),
        ("AGPL-3.0-only WITH GCC-exception-3.1", True),
        ("AGPL-3.0-only WITH Classpath-exception-2.0", False),
        ("No such licence OR AGPL-3.0-only", False),
        ("LicenseRef-ours", False),
        ("anything goes", False),
        (None, False),
    ],
)
def test_a_licence_is_read_as_an_expression(licence: str | None, good: bool) -> None:
    found = run(
        "licences",
        given_evidence(packages=[{"name": "a", "version": "1.0", "licence": licence}]),
        deny=["AGPL-3.0-only", "AGPL-3.0-or-later"],
        exceptions=["GCC-exception-3.1"],
    )
    assert bool(found) is not good


def test_only_listed_licences_are_good_where_a_list_is_given() -> None:
    def judged(licence: str) -> bool:
        evidence = given_evidence(packages=[{"name": "a", "version": "1.0", "licence": licence}])
        return not run("licences", evidence, allow=["MIT", "LicenseRef-ours"], unknown="allow")

    assert [judged(one) for one in ("MIT", "LicenseRef-ours", "ISC", "MIT OR ISC", "MIT AND ISC", "whatever")] == [
        *(True, True, False, True, False, True)
    ]


@pytest.mark.parametrize(
    ("parameters", "formats"),
    [
        ({"refuse-unsafe": True}, ["a.pkl"]),
        ({"deny": ["npy"]}, ["b.npy"]),
        ({"allow": ["onnx"]}, ["a.pkl", "b.npy"]),
        ({"allow": ["onnx", "npy", "pickle"]}, []),
        ({"allow": ["onnx"], "origins": ["base"]}, []),
    ],
    ids=str,
)
def test_models_by_format(parameters: dict[str, Any], formats: list[str]) -> None:
    models = [
        {"path": "a.pkl", "format": "pickle", "unsafe": "imports os.system"},
        {"path": "b.npy", "format": "npy"},
        {"path": "c.onnx", "format": "onnx"},
    ]
    found = run("model-formats", given_evidence(models=models), **parameters)
    assert [one.key for one in found] == formats


def test_an_sbom_that_names_nothing_is_none() -> None:
    assert run("sbom-present", given_evidence(sbom={"components": 0}))


def test_a_complete_sbom_neither_leaves_out_nor_makes_up() -> None:
    evidence = given_evidence(sbom={"missing": ["pkg:pypi/a@1"], "extra": ["pkg:pypi/b@2"]})
    assert not run("sbom-present", evidence)
    assert [one.culprit for one in run("sbom-complete", evidence, extra=False)] == ["pkg:pypi/a@1"]
    assert [one.message for one in run("sbom-complete", evidence)] == [
        "a 1 is in the image but not in its SBOM",
        "b 2 is in the SBOM but not in the image",
    ]


@pytest.mark.parametrize(
    ("provenance", "keys"),
    [
        ({}, []),
        ({"builder": "someone"}, ["builder"]),
        ({"key": "other"}, ["key"]),
        ({"same-lock": False}, ["lock"]),
        ({"same-base": False}, ["base"]),
        ({"builder": "someone", "same-lock": False}, ["builder", "lock"]),
    ],
    ids=str,
)
def test_provenance_is_held_against_the_image(provenance: dict[str, Any], keys: list[str]) -> None:
    evidence = given_evidence(provenance=provenance)
    found = run("provenance", evidence, builders=["urn:mlbuild:builder:local"], keys=["builder"], same_base=True)
    assert [one.key for one in found] == keys


def test_provenance_that_names_no_lock_fits_no_image() -> None:
    evidence = given_evidence(absent={"lock": "gone"})
    assert isinstance(evidence.lock, Absent)
    assert [one.key for one in run("provenance", evidence, builders=["urn:mlbuild:builder:local"])] == ["lock"]


def test_a_base_may_have_to_be_one_of_those_named() -> None:
    assert not run("base-approved", given_evidence(), names=["python3.11-*"])
    assert run("base-approved", given_evidence(), names=["python3.12-*"])


def test_a_database_is_too_old_after_its_days() -> None:
    week = (AT - timedelta(days=7)).date().isoformat()
    older = (AT - timedelta(days=8)).date().isoformat()
    assert not run("database-age", given_evidence(databases={"trivy": week}), max_age_days={"trivy": 7})
    assert run("database-age", given_evidence(databases={"trivy": older}), max_age_days={"trivy": 7})
    assert not run("database-age", given_evidence(databases={"advisories": older}), max_age_days={"trivy": 7})
    assert run("database-age", given_evidence(databases={"advisories": older}), required=["trivy"])


def test_secrets_by_severity_and_unknown_ones_always() -> None:
    secrets = [{"path": severity, "severity": severity} for severity in ("unknown", "low", "medium", "high")]
    found = run("secrets", given_evidence(secrets=secrets), min_severity="medium")
    assert [one.key for one in found] == ["unknown", "medium", "high"]


def test_no_check_takes_what_is_missing_for_good() -> None:
    """Every check, with every part of the evidence gone, either refuses or says that it cannot tell."""
    parts = [field.name for field in fields(Evidence) if field.name not in {"subject", "artifact"}]
    nothing = replace(given_evidence(), **{part: Absent("gone") for part in parts})  # type: ignore[arg-type]
    for check in checks().values():
        (example,) = check.parameters.model_json_schema(by_alias=True)["examples"]
        seen = replace(nothing, artifact="application/vnd.acme.rocket") if check.of_artifacts else nothing
        assert check.run(check.parameters.model_validate(example), seen, AT) != (), check.name


def test_the_user_of_an_image_is_the_part_before_the_colon() -> None:
    evidence = replace(given_evidence(), settings=Settings("nonroot:0", (), (), (), (), (), ""))
    assert not run("non-root", evidence)
