"""OIDC issuers whose tokens log pipelines in, as the access file names them, and what their claims are given.

What a claim says may change hands. A repository or an account that is renamed or deleted leaves its name to
whoever takes it next, and a rule that goes by the name lets them in. So every grant has to pin a claim that never
means somebody else: the numeric ids of GitHub and GitLab, whose `sub` is made of names, and elsewhere `sub`, which
OpenID Connect Core (section 2) says is never reassigned.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Any, Final
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    field_validator,
    model_validator,
)

from compliance.oci.reference import is_repository
from compliance.oci.transport import is_loopback
from compliance.policy.pattern import matches
from gate.identity.permissions import Permission, Role, repository_pattern

_TEMPLATE: Final = re.compile(r"\{([a-z0-9_]+)\}")
WILD: Final = re.compile(r"[*?\[]")


class Provider(StrEnum):
    """Whose claims they are, which decides what of them is a name."""

    GITHUB = "github"
    GITLAB = "gitlab"
    OTHER = "other"


_IDS: Final = {
    Provider.GITHUB: ("repository_id", "repository_owner_id", "enterprise_id"),
    Provider.GITLAB: ("project_id", "namespace_id"),
    Provider.OTHER: ("sub",),
}
_ID_OF_NAME: Final[Mapping[str, tuple[str, ...]]] = {
    "repository": ("repository_id", "repository_owner_id"),
    "repository_owner": ("repository_owner_id", "repository_id"),
    "enterprise": ("enterprise_id",),
    "actor": ("actor_id",),
    "project_path": ("project_id", "namespace_id"),
    "namespace_path": ("namespace_id", "project_id"),
    "user_login": ("user_id",),
    "user_email": ("user_id",),
}
"""Claims that are names, and those of which one has to be pinned for the name to mean anything."""


def text_of(value: Any) -> Any:
    """The value of a claim as grants write it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, int) else value


def _several(value: Any) -> Any:
    return [text_of(one) for one in value] if isinstance(value, list) else [text_of(value)]


Values = Annotated[
    tuple[Annotated[str, StringConstraints(min_length=1)], ...], BeforeValidator(_several), Field(min_length=1)
]
Claim = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.:/-]{1,100}$")]


class ClaimGrant(BaseModel):
    """What tokens may do whose claims are all as `when` says: each equal to one value, or fitting one pattern."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    when: dict[Claim, Values] = Field(min_length=1)
    role: Role
    repositories: tuple[str, ...] = Field(min_length=1)

    @field_validator("repositories")
    @classmethod
    def _are_patterns(cls, patterns: tuple[str, ...]) -> tuple[str, ...]:
        for pattern in patterns:
            repository_pattern(_TEMPLATE.sub("x", pattern))
        return patterns

    @property
    def pinned(self) -> frozenset[str]:
        """The claims that have to be exactly what is written here."""
        return frozenset(
            claim for claim, values in self.when.items() if not any(WILD.search(value) for value in values)
        )

    @property
    def in_templates(self) -> frozenset[str]:
        return frozenset(name for pattern in self.repositories for name in _TEMPLATE.findall(pattern))

    def permission(self, claims: Mapping[str, Any]) -> Permission | None:
        """What a token with these claims is given; None when they are not those asked for."""
        for claim, wanted in self.when.items():
            found = text_of(claims.get(claim))
            if not isinstance(found, str) or not any(matches(pattern, found) for pattern in wanted):
                return None
        patterns = tuple(filter(None, (_filled(pattern, claims) for pattern in self.repositories)))
        return Permission.of(self.role, patterns) if patterns else None


def require_safe(url: str) -> None:
    """Raise ValueError for an address whose answers anybody on the way could change."""
    parts = urlsplit(url)
    plain = parts.scheme == "http" and is_loopback(parts.netloc)
    if not (parts.scheme == "https" or plain) or not parts.netloc or "@" in parts.netloc or parts.query:
        raise ValueError(f"{url!r} cannot be trusted: write https://HOST[/PATH]")


def _safe(url: str) -> str:
    require_safe(url)
    return url


IssuerAddress = Annotated[str, AfterValidator(_safe)]
IssuerName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,31}$")]


class Issuer(BaseModel):
    """An issuer whose tokens, when they are for the `audience`, may do what the grants say."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: IssuerName
    issuer: IssuerAddress
    audience: Annotated[str, StringConstraints(min_length=1)]
    provider: Provider | None = None
    grants: tuple[ClaimGrant, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _goes_by_ids(self) -> Issuer:
        for place, grant in enumerate(self.grants, start=1):
            problem = _problem(self.kind, grant)
            if problem is not None:
                raise ValueError(f"grant {place} of {self.name}: {problem}")
        return self

    @property
    def kind(self) -> Provider:
        """The provider, told by the issuer's address or by the claims that are asked for, where it is not said."""
        if self.provider is not None:
            return self.provider
        parts = urlsplit(self.issuer)
        if parts.hostname == "token.actions.githubusercontent.com" or parts.path.endswith("/_services/token"):
            return Provider.GITHUB
        used = self.asked_for
        if parts.hostname == "gitlab.com" or used & {"project_path", "namespace_path", *_IDS[Provider.GITLAB]}:
            return Provider.GITLAB
        return Provider.GITHUB if any(claim.startswith("repository") for claim in used) else Provider.OTHER

    @property
    def asked_for(self) -> frozenset[str]:
        """The claims that grants go by."""
        return frozenset(claim for grant in self.grants for claim in (*grant.when, *grant.in_templates))

    def permissions(self, claims: Mapping[str, Any]) -> tuple[Permission, ...]:
        """What a verified token may do."""
        return tuple(filter(None, (grant.permission(claims) for grant in self.grants)))


def _problem(kind: Provider, grant: ClaimGrant) -> str | None:
    ids = _IDS[kind]
    if not grant.pinned & set(ids):
        return (
            f"nothing in `when` stays with its owner, and names can be taken over by others; "
            f"add {' or '.join(ids)}, without wildcards"
        )
    for claim in (*grant.when, *sorted(grant.in_templates)):
        needed = _ID_OF_NAME.get(claim)
        if needed is not None and not grant.pinned & set(needed):
            return f"{claim} is a name that others can take over; pin {' or '.join(needed)} too"
    for claim in sorted(grant.in_templates):
        if claim not in _ID_OF_NAME and claim not in grant.pinned and claim not in _IDS[kind]:
            return (
                f"{{{claim}}} can be anything in a token; only claims that `when` pins can be part of a repository"
            )
    return None


def _filled(pattern: str, claims: Mapping[str, Any]) -> str | None:
    """The pattern with claims put in, in lower case as repositories are; None where one is no part of a name."""
    values = {}
    for name in _TEMPLATE.findall(pattern):
        value = text_of(claims.get(name))
        if not isinstance(value, str) or not is_repository(value.lower()):
            return None
        values[name] = value.lower()
    return _TEMPLATE.sub(lambda match: values[match[1]], pattern)
