"""People whom a provider has vouched for, and what the access file gives them now."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from gate.identity.access import AccessFile
from gate.identity.issuer_tokens import name_of
from gate.identity.permissions import Identity
from gate.identity.proof import NotProven, Why
from gate.identity.providers import LoginProvider

MAX_SUBJECT: Final = 255
_CALLED: Final = ("email", "preferred_username", "name")
_LONGEST_NAME: Final = 100


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody at a provider, as one that has this issuer and knows this gate as that client.

    `claims` are those that grants go by. `called` is for their own eyes, and no right goes by it.
    """

    provider: str
    issuer: str
    client: str
    subject: str
    claims: Mapping[str, Any]
    called: str

    @classmethod
    def of(cls, provider: LoginProvider, claims: Mapping[str, Any]) -> Person:
        """Whom verified claims are about. Raises NotProven for claims about nobody."""
        subject = claims.get("sub")
        if not isinstance(subject, str) or not 0 < len(subject) <= MAX_SUBJECT:
            raise NotProven(Why.WRONG, "the token does not say who it is about")
        names = (claims.get(claim) for claim in _CALLED)
        called = next((one for one in names if isinstance(one, str) and one.isprintable() and one.strip()), "")
        return cls(
            provider.name,
            provider.issuer,
            provider.client_id,
            subject,
            provider.kept(claims),
            called[:_LONGEST_NAME],
        )

    @property
    def name(self) -> str:
        return name_of(self.provider, self.subject)


def provider_of(access: AccessFile, person: Person) -> LoginProvider | None:
    """The provider somebody came by, as long as it is the one that vouched for them."""
    return next(
        (
            one
            for one in access.login
            if (one.name, one.issuer, one.client_id) == (person.provider, person.issuer, person.client)
        ),
        None,
    )


def identity_of(access: AccessFile, person: Person) -> Identity | None:
    """Somebody with what they may do now; None where that is nothing."""
    provider = provider_of(access, person)
    permissions = () if provider is None else provider.permissions(person.claims)
    return Identity(person.name, permissions, called=person.called) if permissions else None
