"""in-toto Statement v1 (https://in-toto.io/Statement/v1): a predicate, and the things it is about."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, StrictStr, field_validator

from compliance.oci.digest import Digest
from compliance.strict_json import canonical, parse_object, validated

PAYLOAD_TYPE: Final = "application/vnd.in-toto+json"
STATEMENT_TYPE: Final = "https://in-toto.io/Statement/v1"


class ResourceDescriptor(BaseModel):
    """Something a statement names (in-toto ResourceDescriptor v1). `digest` maps algorithm to lower-case hex.

    `content` is the thing itself in base64, where it is small and worth having at hand.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    name: StrictStr | None = None
    uri: StrictStr | None = None
    digest: dict[str, StrictStr] | None = None
    content: StrictStr | None = None
    annotations: dict[str, Any] | None = None

    @property
    def sha256(self) -> Digest | None:
        """The sha256 digest, where the descriptor has one."""
        value = (self.digest or {}).get("sha256")
        return Digest(f"sha256:{value}") if value is not None else None


class Subject(ResourceDescriptor):
    """What a statement is about. Without a digest it would be about nothing, so one is required."""

    name: StrictStr
    digest: dict[str, StrictStr]

    @field_validator("digest")
    @classmethod
    def _has_sha256(cls, value: dict[str, str]) -> dict[str, str]:
        if "sha256" not in value:
            raise ValueError("a subject needs a sha256 digest")
        Digest(f"sha256:{value['sha256']}")
        return value


class Statement(BaseModel):
    """A claim: `predicate`, of the kind `predicate_type`, about every one of `subjects`."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    type_: Literal["https://in-toto.io/Statement/v1"] = Field(default=STATEMENT_TYPE, alias="_type")
    subjects: tuple[Subject, ...] = Field(alias="subject", min_length=1)
    predicate_type: StrictStr = Field(alias="predicateType", min_length=1)
    predicate: dict[str, Any]

    def to_json(self) -> bytes:
        """Canonical bytes: equal statements are signed over equal bytes."""
        return canonical(self.model_dump(mode="json", by_alias=True, exclude_none=True))

    def is_about(self, digests: Collection[Digest]) -> bool:
        """Whether a subject has one of `digests`."""
        return any(f"sha256:{subject.digest['sha256']}" in digests for subject in self.subjects)


def parse_statement(raw: bytes) -> Statement:
    """Read a statement. Raises InvalidInput when it is none, or is about nothing."""
    return validated(parse_object(raw, "the statement"), Statement, "in-toto statement")


def subjects_for(repository: str, manifest: Digest, config: Digest) -> tuple[Subject, ...]:
    """The subjects of a statement about an image: its manifest and its config.

    A client that compresses the layers anew changes the manifest and not the config, and the config pins
    the content of every layer; so a statement about the config still holds for what was pushed.
    """
    return (
        Subject(name=repository, digest={"sha256": manifest.hex}),
        Subject(name=f"{repository}#config", digest={"sha256": config.hex}),
    )


def sbom_statement(subjects: tuple[Subject, ...], sbom: bytes) -> Statement:
    """The claim that `sbom`, a CycloneDX JSON document, describes `subjects`."""
    return Statement(
        subjects=subjects,
        predicate_type="https://cyclonedx.org/bom",
        predicate=parse_object(sbom, "the SBOM"),
    )
