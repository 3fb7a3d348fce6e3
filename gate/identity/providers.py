"""OIDC providers by which people log in with a browser, as the access file names them, and what claims are given.

A person's claims are those of the ID token. Of these, people can choose some themselves, and no right goes by
them; an e-mail address counts where the provider says that it was verified.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from compliance.errors import Unavailable
from compliance.policy.pattern import matches
from gate.identity.issuers import WILD, Claim, IssuerAddress, IssuerName, Values, text_of
from gate.identity.permissions import Permission, RepositoryPattern, Role

MOST_HOURS: Final = 8
"""A working day; after it, somebody logs in again."""

EMAIL: Final = "email"
_CHOSEN: Final = frozenset(
    {
        *("name", "given_name", "family_name", "middle_name", "nickname", "preferred_username", "upn"),
        *("profile", "picture", "website", "locale", "zoneinfo", "unique_name"),
    }
)
"""Claims that people can choose, or that somebody else can have tomorrow (OpenID Connect Core, section 5.7)."""


class PersonGrant(BaseModel):
    """What people may do whose claims are all as `when` says. Of a claim that is a list, one value has to fit."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    when: dict[Claim, Values] = Field(min_length=1)
    role: Role
    repositories: tuple[RepositoryPattern, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _means_somebody(self) -> PersonGrant:
        chosen = sorted(_CHOSEN & self.when.keys())
        if chosen:
            raise ValueError(f"{chosen[0]} is a name that people can choose; go by sub, by groups or by email")
        if not any(_is_pinned(claim, values) for claim, values in self.when.items()):
            raise ValueError(
                "anybody at the provider could fit this; write one claim without wildcards, or email as *@DOMAIN"
            )
        return self

    def fits(self, claims: Mapping[str, Any]) -> bool:
        return all(_found(claims, claim, wanted) for claim, wanted in self.when.items())

    @property
    def permission(self) -> Permission:
        return Permission.of(self.role, self.repositories)


class LoginProvider(BaseModel):
    """A provider that people are sent to. `title` is what the page calls it, `hours` how long a session lasts."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: IssuerName
    title: Annotated[str, StringConstraints(min_length=1, max_length=60, pattern=r"^[^\x00-\x1f\x7f]+$")]
    issuer: IssuerAddress
    client_id: Annotated[str, StringConstraints(min_length=1, max_length=255)]
    client_secret_file: Path | None = None
    client_secret_variable: Annotated[str, StringConstraints(pattern=r"^[A-Z][A-Z0-9_]*$")] | None = None
    scopes: tuple[Annotated[str, StringConstraints(pattern=r"^[!#-\[\]-~]+$")], ...] = (
        "openid",
        "email",
        "profile",
    )
    hours: int = Field(default=MOST_HOURS, ge=1, le=MOST_HOURS)
    grants: tuple[PersonGrant, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _fits_together(self) -> LoginProvider:
        if self.client_secret_file is not None and self.client_secret_variable is not None:
            raise ValueError("the client secret is in a file or in a variable, not in both")
        if self.client_secret_file is not None and not self.client_secret_file.is_absolute():
            raise ValueError("write the path of client_secret_file from the root, as /run/secrets/sso")
        if "openid" not in self.scopes:
            raise ValueError("the scopes of a login include openid")
        return self

    @property
    def secret(self) -> str | None:
        """The client secret as it is now; None where PKCE alone is enough. Raises Unavailable."""
        if self.client_secret_variable is not None:
            found = os.environ.get(self.client_secret_variable)
        elif self.client_secret_file is not None:
            try:
                found = self.client_secret_file.read_text().strip()
            except (OSError, UnicodeDecodeError) as error:
                raise Unavailable(f"the client secret of {self.name} cannot be read") from error
        else:
            return None
        if not found:
            raise Unavailable(f"the client secret of {self.name} is not set")
        return found

    def kept(self, claims: Mapping[str, Any]) -> dict[str, Any]:
        """Of a person's claims, what grants go by now: of lists, the values that one asks for."""
        wanted: dict[str, set[str]] = {}
        for grant in self.grants:
            for claim, patterns in grant.when.items():
                wanted.setdefault(claim, set()).update(patterns)
        found = {
            claim: [value for value in _values(claims.get(claim)) if any(matches(one, value) for one in patterns)]
            for claim, patterns in wanted.items()
        }
        if EMAIL in found:
            found["email_verified"] = ["true"] if claims.get("email_verified") is True else []
        return {claim: values for claim, values in found.items() if values}

    def permissions(self, claims: Mapping[str, Any]) -> tuple[Permission, ...]:
        """What a person with these claims may do."""
        return tuple(grant.permission for grant in self.grants if grant.fits(claims))


def _is_pinned(claim: str, values: tuple[str, ...]) -> bool:
    domains = claim == EMAIL and all(value.startswith("*@") and not WILD.search(value[1:]) for value in values)
    return domains or not any(WILD.search(value) for value in values)


def _values(value: Any) -> list[str]:
    several = value if isinstance(value, list) else [value]
    return [text for one in several if isinstance(text := text_of(one), str)]


def _found(claims: Mapping[str, Any], claim: str, wanted: tuple[str, ...]) -> bool:
    if claim == EMAIL and "true" not in _values(claims.get("email_verified")):
        return False
    return any(matches(pattern, value) for value in _values(claims.get(claim)) for pattern in wanted)
