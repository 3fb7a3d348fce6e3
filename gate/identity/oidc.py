"""Pipelines that log in with a token of their CI's issuer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gate.identity.access import AccessFile
from gate.identity.issuer_tokens import IssuerTokens, claimed_issuer, name_of
from gate.identity.issuers import Issuer
from gate.identity.permissions import Identity
from gate.identity.proof import NotProven, Why
from gate.identity.sessions import Session, Sessions
from gate.identity.watched import Watched


class Oidc:
    """Believes tokens of the issuers in the access file. For several threads."""

    def __init__(self, access: Watched[AccessFile], tokens: IssuerTokens, sessions: Sessions) -> None:
        self._sessions = sessions
        self._access = access
        self._tokens = tokens

    def log_in(self, token: bytes) -> Identity:
        """Who a token is for. Raises NotProven, and Unavailable when the issuer's keys cannot be known."""
        issuer = self._issuer(claimed_issuer(token))
        if issuer is None:
            raise NotProven(Why.WRONG, "the token is of an issuer that is not trusted here")
        claims = self._tokens.read(token, issuer.name, issuer.issuer, issuer.audience)
        kept = {claim: claims[claim] for claim in issuer.asked_for & claims.keys()}
        session = self._sessions.issue(Session(issuer.issuer, claims["sub"], kept))
        return _granted(issuer, claims["sub"], claims, session)

    def log_in_again(self, token: str) -> Identity:
        """Who a session is for, with what the access file gives now. Raises NotProven."""
        session = self._sessions.read(token)
        issuer = None if session is None else self._issuer(session.issuer)
        if session is None or issuer is None:
            raise NotProven(Why.WRONG, "the session is over; log in again")
        return _granted(issuer, session.subject, session.claims, token)

    def _issuer(self, address: object) -> Issuer | None:
        return next((one for one in self._access().oidc if one.issuer == address), None)


def _granted(issuer: Issuer, subject: str, claims: Mapping[str, Any], session: str) -> Identity:
    permissions = issuer.permissions(claims)
    name = name_of(issuer.name, subject)
    if not permissions:
        raise NotProven(Why.WRONG, f"the token of {name} is good, but nothing is granted for its claims")
    return Identity(name, permissions, session=session)
