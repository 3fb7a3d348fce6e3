"""What the API answers with."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from compliance.evidence import Severity
from compliance.inventory import Ecosystem, Origin
from compliance.policy.decision import Effect, Mode, Status, Verdict
from gate.catalogue import Availability
from gate.schema import Kind

Repository = Annotated[str, Field(description="Name in the registry.", examples=["serving/iris"])]
ADigest = Annotated[
    str,
    Field(
        description="Digest of the manifest.",
        examples=["sha256:6c3c624b58dbbcd3c0dd82b4c53f04194d1247c6eebdaab7c610cf7d66709b3b"],
    ),
]
Purl = Annotated[str, Field(description="Package URL.", examples=["pkg:pypi/numpy@2.1.0"])]
Next = Annotated[
    str | None,
    Field(description="Where the next page is; null on the last one.", examples=["/api/images?after=WyJhIl0"]),
]


class Answer(BaseModel):
    """The root of all answers: read-only, nothing besides what is documented."""

    model_config = ConfigDict(frozen=True, extra="forbid", from_attributes=True)


class Problem(Answer):
    """Why something was not answered. The message is for people; programs go by the code."""

    code: str = Field(description="As in the OCI distribution specification.", examples=["MANIFEST_UNKNOWN"])
    message: str = Field(examples=["nothing was judged that is serving/iris@sha256:6c3c…"])
    detail: str = Field(
        description="The request, as the gate's log has it.", examples=["request 6b1f0a9e7c5d4e21"]
    )


class Problems(Answer):
    """One error, in the form that registry clients know."""

    errors: tuple[Problem, ...] = Field(min_length=1, max_length=1)


class ImageSummary(Answer):
    """Something that was pushed, and the newest decision about it."""

    repository: Repository
    digest: ADigest
    tags: tuple[str, ...] = Field(description="Names that point to it now.", examples=[["v1", "latest"]])
    kind: Kind | None = Field(description="Null for what is not published.")
    verdict: Verdict = Field(description="Of the newest decision; a later one may be about what was admitted.")
    mode: Mode = Field(description="Whether the verdict was enforced, or only told.")
    standing: Availability = Field(
        description="pullable; ending: until `pullable_until`; ended; audited: let in by audit only; absent:"
        " refused or deleted, or an index that names something which was deleted. An index has no deadline of"
        " its own: see its images."
    )
    pullable_until: datetime | None = Field(description="The deadline of what no longer complies.")
    decided_at: datetime
    decision: str = Field(description="Id of the newest decision.", examples=["5f0c9d2b7a314e68"])
    pushed_by: str = Field(description="Whose push the newest decision answered; the gate itself later.")
    line: str = Field(description="The verdict in one line, as registry clients are told it.")


class ImagePage(Answer):
    """Images by repository and digest."""

    images: tuple[ImageSummary, ...]
    next: Next = None


class Finding(Answer):
    """One thing that breaks a rule, and what to do about it."""

    policy: str
    rule: str = Field(examples=["no-known-critical"])
    status: Status = Field(description="denied keeps the image out; warned is only told; waived is excused.")
    culprit: str = Field(description="What it is about: a purl, a path, a setting.")
    key: str = Field(description="What a waiver would name: a vulnerability, a package, a path.")
    aliases: tuple[str, ...] = Field(description="Other names of `key`.")
    message: str
    severity: str | None
    origin: Origin | None = Field(
        description="Who brought it: the base, a locked package, or the project's files."
    )
    layer: str | None = Field(
        description="diffID of the layer that holds it; null for what is of the image as a whole."
    )
    chain: tuple[str, ...] = Field(description="From the requirement somebody wrote to the package.")
    fixed: str | None = Field(description="The smallest version that mends it.")
    remedy: str = Field(description="What to do next.")
    waiver: str | None = Field(description="The file that excuses it.")


class Findings(Answer):
    """Findings of one image: those of its base, which its owner mends, and those that are yours to mend."""

    base: tuple[Finding, ...]
    yours: tuple[Finding, ...]


class ImageLayer(Answer):
    """One layer, from the bottom up."""

    digest: ADigest
    diff_id: str
    size: int = Field(description="Bytes of the compressed layer.")
    origin: Origin | None = Field(description="base, or null where it is of the project or its packages.")
    created_by: str | None


class SignedStatement(Answer):
    """A signed bundle about the image; it is among the referrers that the registry lists."""

    predicate_type: str = Field(examples=["https://slsa.dev/provenance/v1"])
    digest: str = Field(description="Digest of the bundle.")


class ImageProvenance(Answer):
    """Who built it and from what, by verified provenance."""

    builder: str
    key: str = Field(description="Name of the trusted key that signed it.")
    lock: str | None = Field(description="Digest of the lock.")
    base: str | None = Field(description="Digest of the base.")


class Image(ImageSummary):
    """Everything about one image, from the evidence of its newest decision. What is not known says why."""

    base: str | None = Field(description="Name of the curated base, where it is one.")
    packages: int | None = Field(description="How many; null where the image could not be read.")
    layers: tuple[ImageLayer, ...]
    findings: Findings
    provenance: ImageProvenance | None
    statements: tuple[SignedStatement, ...]
    unknown: dict[str, str] = Field(
        description="What is not known about it, and why.",
        examples=[{"provenance": "no trusted key signed a provenance"}],
    )


class DecisionSummary(Answer):
    """One decision. The whole of it is at `/api/decisions/{id}`."""

    id: str = Field(examples=["5f0c9d2b7a314e68"])
    repository: Repository
    digest: ADigest
    tag: str | None
    pushed_by: str
    at: datetime
    verdict: Verdict
    mode: Mode
    line: str


class DecisionPage(Answer):
    """Decisions, newest first."""

    decisions: tuple[DecisionSummary, ...]
    next: Next = None


class PackageUse(Answer):
    """A package in an image."""

    repository: Repository
    digest: ADigest
    purl: Purl
    name: str
    version: str
    ecosystem: Ecosystem
    origin: Origin


class PackagePage(Answer):
    """Who uses a package: images that are published, by repository and digest."""

    uses: tuple[PackageUse, ...]
    next: Next = None


class VulnerabilityUse(Answer):
    """A known vulnerability in an image, as it was known when that was judged last."""

    repository: Repository
    digest: ADigest
    vulnerability: str = Field(description="What reports call it.", examples=["CVE-2024-3094"])
    purl: Purl
    severity: Severity
    fixed: tuple[str, ...] = Field(description="Versions that mend it, lowest first.")


class VulnerabilityPage(Answer):
    """Where a vulnerability is: images that are published, by repository and digest."""

    found: tuple[VulnerabilityUse, ...]
    next: Next = None


class Excused(Answer):
    """Something that a waiver excuses in an image."""

    repository: Repository
    digest: ADigest
    key: str
    culprit: str


class WaiverInForce(Answer):
    """A waiver that counts today."""

    file: str = Field(examples=["waivers/iris-openssl.yaml"])
    rule: str
    owner: str
    reason: str
    created: date
    expires: date = Field(description="The last day on which it counts.")
    days_left: int = Field(description="Whole days after today; 0 on the last one.")
    vulnerability: str | None
    package: str | None
    path: str | None
    key: str | None
    repositories: tuple[str, ...] = Field(description="Patterns; none is all.")
    approved_by: tuple[str, ...]
    excuses: tuple[Excused, ...] = Field(
        description="What it excuses now, in images that are published and that you may see; at most 200."
    )


class Waivers(Answer):
    """The waivers that count today, those that end first before the others."""

    policies: str = Field(description="Digest of the policies and waivers in force.")
    waivers: tuple[WaiverInForce, ...]


class RuleInForce(Answer):
    """A check with an effect."""

    id: str
    check: str = Field(examples=["vulnerabilities"])
    effect: Effect = Field(description="What a violation does today: before `enforce_from` a deny only warns.")
    enforce_from: date | None
    why: str
    fix: str
    waivable: bool


class PolicyInForce(Answer):
    """One policy. It is for every image where neither stages nor repositories are named."""

    name: str
    file: str
    mode: Mode
    extends: tuple[str, ...]
    stages: tuple[str, ...]
    repositories: tuple[str, ...]
    exceptions: tuple[str, ...]
    rules: tuple[RuleInForce, ...]


class Policies(Answer):
    """The policies in force."""

    digest: str = Field(description="Of policies and waivers; decisions name it.")
    policies: tuple[PolicyInForce, ...]
