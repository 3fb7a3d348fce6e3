"""SLSA verification summary v1 (https://slsa.dev/spec/v1.0/verification_summary): who found an image to comply.

Written by a gate when it admits an image, so that whoever pulls needs only the gate's public key to know it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StrictStr, field_validator
from pydantic.alias_generators import to_camel

from compliance.attest.statement import ResourceDescriptor, Statement, Subject
from compliance.errors import InvalidInput
from compliance.oci.digest import Digest
from compliance.strict_json import validated

PREDICATE_TYPE: Final = "https://slsa.dev/verification_summary/v1"
SLSA_VERSION: Final = "1.0"
PULLABLE_UNTIL: Final = "urn:mlbuild:pullable-until"
"""The specification knows no end of a summary, and lets those who extend it do so under a URI."""
PROVENANCE_VERIFIED: Final = "SLSA_BUILD_LEVEL_1"
"""Signed provenance exists. More would say something of the place that the builder runs at."""
NO_PROVENANCE: Final = "SLSA_BUILD_LEVEL_0"


@dataclass(frozen=True, slots=True)
class InputAttestation:
    """Evidence that the verdict was taken on: what it is, its digest, and where it is read, if that is known."""

    name: str
    digest: Digest
    uri: str | None = None


@dataclass(frozen=True, slots=True)
class VerificationSummary:
    """`verifier` found at a time that `resource` does or does not comply with a policy. All names are URIs.

    What no longer complies and has until `pullable_until` to be replaced passes until then.
    """

    verifier: str
    at: datetime
    resource: str
    policy: str
    policy_digest: Digest
    levels: tuple[str, ...]
    inputs: tuple[InputAttestation, ...] = ()
    passed: bool = True
    pullable_until: datetime | None = None


class _Wire(BaseModel):
    """A part of the predicate. The specification lets parsers ignore members they do not know."""

    model_config = ConfigDict(frozen=True, extra="ignore", alias_generator=to_camel, populate_by_name=True)


class _Verifier(_Wire):
    id: StrictStr = Field(min_length=1)


class _Policy(_Wire):
    uri: StrictStr = Field(min_length=1)
    digest: dict[str, StrictStr]

    @field_validator("digest")
    @classmethod
    def _has_sha256(cls, value: dict[str, str]) -> dict[str, str]:
        if "sha256" not in value:
            raise ValueError("the policy needs a sha256 digest")
        Digest(f"sha256:{value['sha256']}")
        return value


class _Predicate(_Wire):
    verifier: _Verifier
    time_verified: AwareDatetime
    resource_uri: StrictStr = Field(min_length=1)
    policy: _Policy
    input_attestations: tuple[ResourceDescriptor, ...] = ()
    verification_result: Literal["PASSED", "FAILED"]
    verified_levels: tuple[StrictStr, ...]
    slsa_version: StrictStr | None = None
    pullable_until: AwareDatetime | None = Field(default=None, alias=PULLABLE_UNTIL)


def summary_statement(subjects: tuple[Subject, ...], summary: VerificationSummary) -> Statement:
    """The claim that `summary` holds for `subjects`."""
    predicate = _Predicate(
        verifier=_Verifier(id=summary.verifier),
        time_verified=summary.at.astimezone(UTC),
        resource_uri=summary.resource,
        policy=_Policy(uri=summary.policy, digest={"sha256": summary.policy_digest.hex}),
        input_attestations=tuple(
            ResourceDescriptor(name=each.name, uri=each.uri, digest={each.digest.algorithm: each.digest.hex})
            for each in summary.inputs
        ),
        verification_result="PASSED" if summary.passed else "FAILED",
        verified_levels=summary.levels,
        slsa_version=SLSA_VERSION,
        pullable_until=None if summary.pullable_until is None else summary.pullable_until.astimezone(UTC),
    )
    return Statement(
        subjects=subjects,
        predicate_type=PREDICATE_TYPE,
        predicate=predicate.model_dump(mode="json", by_alias=True, exclude_none=True),
    )


def read_summary(statement: Statement) -> VerificationSummary:
    """What a verified statement says. Raises InvalidInput when it is no verification summary v1."""
    if statement.predicate_type != PREDICATE_TYPE:
        raise InvalidInput(f"the statement is not a verification summary but {statement.predicate_type!r}")
    predicate = validated(statement.predicate, _Predicate, "verification summary v1")
    return VerificationSummary(
        verifier=predicate.verifier.id,
        at=predicate.time_verified,
        resource=predicate.resource_uri,
        policy=predicate.policy.uri,
        policy_digest=Digest(f"sha256:{predicate.policy.digest['sha256']}"),
        levels=predicate.verified_levels,
        inputs=tuple(_inputs(predicate.input_attestations)),
        passed=predicate.verification_result == "PASSED",
        pullable_until=predicate.pullable_until,
    )


def _inputs(descriptors: Sequence[ResourceDescriptor]) -> list[InputAttestation]:
    found = []
    for each in descriptors:
        if each.sha256 is None:
            raise InvalidInput("the verification summary names an input without a sha256 digest")
        found.append(InputAttestation(each.name or "", each.sha256, each.uri))
    return found
