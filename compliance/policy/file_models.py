"""The models of policy and waiver files, as people write them: what they do not name is refused."""

from __future__ import annotations

import re
from datetime import date
from typing import Annotated, Any, Final

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from compliance.oci.digest import Digest
from compliance.policy.check import Flag, kebab
from compliance.policy.decision import Effect, Mode, Urgency
from compliance.policy.model import WAIVER_DAYS
from compliance.policy.pattern import PackagePattern, is_literal_enough
from compliance.policy.vex import Justification, VexTrust

_DATE: Final = re.compile(r"\d{4}-\d{2}-\d{2}")


def _written_as_date(value: Any) -> Any:
    if not isinstance(value, str) or not _DATE.fullmatch(value):
        raise ValueError("is not a date: write it as 2026-12-31")
    return value


def _says_something(value: str) -> str:
    if not value.strip():
        raise ValueError("says nothing")
    return value.strip()


def _package(text: str) -> str:
    PackagePattern.parse(text)
    return text


def _literal(text: str) -> str:
    if not is_literal_enough(text):
        raise ValueError("names everything: give a name, not only wildcards")
    return text


Name = Annotated[str, Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$", max_length=100)]
Text = Annotated[str, Field(max_length=2000), AfterValidator(_says_something)]
Pattern = Annotated[str, Field(min_length=1, max_length=255)]
Day = Annotated[date, BeforeValidator(_written_as_date)]


class _File(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=kebab, populate_by_name=False)


class AppliesTo(_File):
    """Which images a policy is for: those of a stage, and those whose repository fits a pattern."""

    stages: tuple[Name, ...] = Field(default=(), description="What projects call their stage, in mlbuild.yaml.")
    repositories: tuple[Pattern, ...] = Field(
        default=(), description='Patterns of repository names: "serving/**" is everything below serving.'
    )
    except_: tuple[Annotated[Pattern, AfterValidator(_literal)], ...] = Field(
        default=(),
        alias="except",
        description="Patterns of repositories the policy is not for, whatever else is said; alone: all but these.",
    )

    @model_validator(mode="after")
    def _names_something(self) -> AppliesTo:
        if not self.stages and not self.repositories and not self.except_:
            raise ValueError("names nothing: give stages or repositories, or leave applies-to out to mean all")
        return self


PullableDays = Annotated[int, Field(strict=True, ge=0, le=365)]


class LaterTerms(_File):
    """What images are given that were admitted and no longer comply. The strictest policy for an image counts."""

    pullable_days: PullableDays | None = Field(
        default=None,
        description="Days for which they may still be pulled, with a warning; 7 where no policy says anything.",
    )
    at_once: tuple[Urgency, ...] = Field(
        default=tuple(Urgency),
        description="What leaves no days: known-exploited is in CISA's KEV, malware an advisory MAL-...",
    )


class RuleLaterTerms(_File):
    """What the rule does to images that were admitted before."""

    pullable_days: PullableDays | None = Field(
        default=None, description="Days for which they may still be pulled, in place of the policies'."
    )
    counts: Flag = Field(
        default=True, description="false: it only warns of what was admitted before, whatever its effect."
    )

    @model_validator(mode="after")
    def _says_one_thing(self) -> RuleLaterTerms:
        if not self.counts and self.pullable_days is not None:
            raise ValueError("pullable-days is for rules that count later")
        return self


class RuleEntry(_File):
    """One rule: a check with its parameters, and what follows when it fails."""

    id: Name = Field(description="Unique among all policies of the directory: reports and waivers use it.")
    check: str = Field(description="The name of a check.")
    with_: dict[str, Any] = Field(default_factory=dict, alias="with", description="The check's parameters.")
    effect: Effect = Field(description="deny refuses the image, warn only tells.")
    enforce_from: Day | None = Field(
        default=None, description="Until this date (UTC) a deny only warns, so that owners can prepare."
    )
    waivable: Flag = Field(default=True, description="Whether waivers for this rule are allowed.")
    later: RuleLaterTerms = Field(
        default=RuleLaterTerms(), description="What it does to images that were admitted and break it later."
    )
    why: Text = Field(description="Why the rule is there, for the person it stops.")
    fix: Text = Field(description="What that person can do.")

    @model_validator(mode="after")
    def _announces_a_denial(self) -> RuleEntry:
        if self.enforce_from is not None and self.effect is not Effect.DENY:
            raise ValueError("enforce-from is for rules with effect deny")
        if self.later != RuleLaterTerms() and self.effect is not Effect.DENY:
            raise ValueError("later is for rules with effect deny")
        return self


class WaiverLimits(_File):
    """What waivers of this policy's rules must keep to."""

    max_days: Annotated[int, Field(strict=True, ge=1, le=366)] = Field(
        default=WAIVER_DAYS, description="The most days from a waiver's created to its expires."
    )
    approvals: Annotated[int, Field(strict=True, ge=0, le=5)] = Field(
        default=0, description="How many people, its owner aside, must have approved a waiver."
    )
    justification: Flag = Field(
        default=False, description="Whether a waiver must give one of OpenVEX's justifications."
    )


class VexLimits(_File):
    """Whose VEX statements count for this policy's rules, as waivers do."""

    authors: Annotated[tuple[Text, ...], Field(min_length=1)] = Field(
        description="Authors, word for word as their files name them."
    )
    max_days: Annotated[int, Field(strict=True, ge=1, le=3660)] = Field(
        default=VexTrust().days, description="How many days after it was made a statement counts."
    )


class PolicyFile(_File):
    """A file of policies/: rules, and the images they are for."""

    name: Name = Field(description="The policy's name, unique in the directory.")
    description: str = Field(default="", description="What the policy is for, in a sentence.")
    extends: tuple[Name, ...] = Field(
        default=(), description="Policies whose rules apply too, wherever this one does. Rules only add up."
    )
    mode: Mode = Field(
        default=Mode.ENFORCE,
        description="audit: what the rules find is recorded, and blocks nothing. Needs applies-to repositories.",
    )
    applies_to: AppliesTo | None = Field(default=None, description="Left out: every image.")
    waivers: WaiverLimits = Field(default=WaiverLimits(), description="Limits for waivers of these rules.")
    vex: VexLimits | None = Field(default=None, description="Left out: no VEX statement counts for these rules.")
    later: LaterTerms | None = Field(
        default=None, description="For how long images may be pulled that were admitted and no longer comply."
    )
    rules: tuple[RuleEntry, ...] = Field(default=(), description="The rules, in the order of reports.")

    @model_validator(mode="after")
    def _audits_what_it_names(self) -> PolicyFile:
        """What blocks nothing has to say where: a project's own word for its stage would let anybody choose it."""
        if self.mode is Mode.ENFORCE:
            return self
        named = self.applies_to
        if named is None or named.stages or not named.repositories:
            raise ValueError("mode: audit needs applies-to with repositories, and without stages")
        for pattern in named.repositories:
            if not is_literal_enough(pattern):
                raise ValueError(f"mode: audit cannot be for {pattern!r}, which is everything")
        return self


class ScopeEntry(_File):
    """Where a waiver counts. What is left out sets no limit."""

    repositories: tuple[Pattern, ...] = Field(default=(), description="Patterns of repository names.")
    digests: tuple[Digest, ...] = Field(default=(), description="Image digests.")
    stages: tuple[Name, ...] = Field(default=(), description="Stages, as projects name them.")


class ApprovalEntry(_File):
    """That somebody agrees."""

    by: Text = Field(description="Who.")
    day: Day = Field(description="When.")


class WaiverFile(_File):
    """A file of policies/waivers/: one exception to one rule."""

    rule: Name = Field(description="The id of the rule.")
    vulnerability: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:-]+$")] | None = Field(
        default=None, description="A vulnerability's id or one of its aliases."
    )
    package: Annotated[str, AfterValidator(_package)] | None = Field(
        default=None, description="A package's name or purl; the version may hold wildcards: pkg:pypi/pillow@9.*"
    )
    path: Annotated[str, AfterValidator(_literal)] | None = Field(
        default=None, description="A pattern of the path that the report names."
    )
    key: Annotated[str, Field(min_length=1)] | None = Field(
        default=None, description="For other rules: the violation's key, word for word."
    )
    scope: ScopeEntry = Field(default=ScopeEntry(), description="Where the waiver counts; left out: everywhere.")
    owner: Text = Field(description="Who answers for the exception.")
    reason: Text = Field(description="Why it is acceptable.")
    justification: Justification | None = Field(
        default=None, description="Why the vulnerability does not matter, in OpenVEX's terms."
    )
    approvals: tuple[ApprovalEntry, ...] = Field(default=(), description="Who agreed, and when.")
    created: Day = Field(description="The first day it counts.")
    expires: Day = Field(description="The last day it counts.")

    @model_validator(mode="after")
    def _names_something(self) -> WaiverFile:
        if self.vulnerability is None and self.package is None and self.path is None and self.key is None:
            raise ValueError("a waiver for everything: name a vulnerability, package, path or key")
        if self.expires < self.created:
            raise ValueError("expires before it is created")
        return self
