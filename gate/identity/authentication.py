"""Who an `Authorization` header proves somebody to be: a password, or one of the gate's own tokens."""

from __future__ import annotations

import base64
import binascii
import logging
from dataclasses import dataclass

from gate.identity.access import AccessFile
from gate.identity.passwords import Passwords
from gate.identity.permissions import Identity
from gate.identity.proof import NotProven, Why
from gate.identity.tokens import Tokens
from gate.identity.users import Account
from gate.identity.watched import Watched

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Login:
    """A name and a secret, as `docker login` has them."""

    name: str
    secret: bytes


class Authentication:
    """All ways to prove who one is. May be used from several threads."""

    def __init__(self, passwords: Passwords, access: Watched[AccessFile], tokens: Tokens) -> None:
        self._passwords = passwords
        self._access = access
        self.tokens = tokens

    @property
    def stranger(self) -> Identity:
        """Somebody who proves nothing; may do what is open to everybody."""
        return self._access().stranger

    def at_once(self, authorization: str) -> Identity | None:
        """Who it is, where that takes no time; None where it has to be checked."""
        token = _bearer(authorization)
        if token is not None:
            return self.tokens.read(token)
        login = _basic(authorization)
        if login is None:
            return None
        account = self._passwords.remembered(login.name, login.secret)
        return None if account is None else self._user(login.name, account)

    def check(self, authorization: str) -> Identity:
        """Who it is. Raises NotProven. May take 0.3 s."""
        token = _bearer(authorization)
        if token is not None:
            identity = self.tokens.read(token)
            if identity is None:
                raise NotProven(Why.INVALID_TOKEN, "the token is not good, or not any more")
            return identity
        login = _basic(authorization)
        if login is None:
            raise NotProven(Why.MISSING, "a user name and password are needed")
        return self.log_in(login)

    def log_in(self, login: Login) -> Identity:
        """Who has this name and secret. Raises NotProven. May take 0.3 s."""
        account = self._passwords.check(login.name, login.secret)
        if account is None:
            raise NotProven(Why.WRONG, "the user name or password is wrong")
        return self._user(login.name, account)

    def _user(self, name: str, account: Account) -> Identity:
        return Identity(name, (account.permission, *self._access().of_user(name)))


def _bearer(authorization: str) -> str | None:
    scheme, _, token = authorization.partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None


def _basic(authorization: str) -> Login | None:
    """RFC 7617."""
    scheme, _, encoded = authorization.partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        name, colon, password = base64.b64decode(encoded.strip(), validate=True).partition(b":")
        return Login(name.decode(), password) if colon else None
    except (binascii.Error, ValueError):
        return None
