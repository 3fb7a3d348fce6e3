"""Who an `Authorization` header proves somebody to be: by a login of a user, robot or pipeline, or by a token."""

from __future__ import annotations

import base64
import binascii
import logging
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

from gate.audit.entry import GATE, Action, Event
from gate.audit.log import AuditLog
from gate.identity.access import AccessFile
from gate.identity.issuer_tokens import looks_like_token
from gate.identity.limits import Limits
from gate.identity.oidc import Oidc
from gate.identity.passwords import Passwords
from gate.identity.permissions import Identity
from gate.identity.proof import NotProven, Why
from gate.identity.robots import PREFIX, Robots
from gate.identity.tokens import Tokens
from gate.identity.users import PIPELINES, Account
from gate.identity.watched import Watched
from gate.telemetry.logs import fields

THREADS: Final = 4

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Login:
    """A name and a secret, as `docker login` has them."""

    name: str
    secret: bytes


class Authentication:
    """All ways to prove who one is. May be used from several threads.

    Where a method is given an `address`, wrong logins are counted by it.
    """

    def __init__(
        self,
        passwords: Passwords,
        access: Watched[AccessFile],
        tokens: Tokens,
        robots: Robots,
        oidc: Oidc,
        limits: Limits,
        audit: AuditLog,
    ) -> None:
        self._passwords = passwords
        self._access = access
        self.tokens = tokens
        self._robots = robots
        self._oidc = oidc
        self.limits = limits
        self._audit = audit
        self.threads = ThreadPoolExecutor(THREADS, "login")
        """What logins are checked in, so that slow ones keep nobody waiting who has logged in."""

    def close(self) -> None:
        self.threads.shutdown(cancel_futures=True)

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

    def check(self, authorization: str, address: str) -> Identity:
        """Who it is. Raises NotProven, and the 429 answer after too many that were wrong. May take seconds."""
        token = _bearer(authorization)
        if token is not None:
            identity = self.tokens.read(token)
            if identity is None:
                raise NotProven(Why.INVALID_TOKEN, "the token is not good, or not any more")
            return identity
        login = _basic(authorization)
        if login is None:
            raise NotProven(Why.MISSING, "a user name and password are needed")
        return self.log_in(login, address)

    def log_in(self, login: Login, address: str) -> Identity:
        """Who has this name and secret. Raises as `check` does."""
        try:
            return self._proven(login, address)
        except NotProven as error:
            self.refused(login.name, address, error.message)
            raise

    def account(self, name: str) -> tuple[Identity, bytes] | None:
        """Somebody of this name as they may act now, and what changes with their secret; None for nobody."""
        if name.startswith(PREFIX):
            return self._robots.present(name)
        account = self._passwords.account(name)
        return None if account is None else (self._user(name, account), account.bcrypt.encode())

    def log_in_again(self, session: str, address: str) -> Identity:
        """Who a session is for. Raises NotProven."""
        try:
            return self._oidc.log_in_again(session)
        except NotProven as error:
            self.refused(PIPELINES, address, error.message)
            raise

    def _proven(self, login: Login, address: str) -> Identity:
        if login.name == PIPELINES:
            return self._oidc.log_in(login.secret)
        if login.name.startswith(PREFIX):
            robot = self._robots.log_in(login.name, login.secret)
            if robot is None:
                raise NotProven(
                    Why.WRONG, "the robot is not known, was revoked, or its secret is wrong or expired"
                )
            return robot
        account = self._passwords.remembered(login.name, login.secret)
        if account is None:
            # Only passwords can be guessed. The other secrets are looked at however many were wrong before.
            self.limits.may_guess(login.name, address)
            account = self._passwords.check(login.name, login.secret)
        if account is None:
            hint = (
                f"; a token of a CI goes with the user name {PIPELINES}" if looks_like_token(login.secret) else ""
            )
            raise NotProven(Why.WRONG, f"the user name or password is wrong{hint}")
        return self._user(login.name, account)

    def refused(self, name: str, address: str, why: str) -> None:
        """Note a login that was wrong, and count it."""
        shown = name[:128] if name.isprintable() else "?"
        log.warning("a login was refused: %s", why, extra=fields(user=shown, client=address))
        if self.limits.wrong(name[:128], address):
            detail = f"{shown} from {address}, which has to wait: {why}"
            self._audit.record(Event(Action.LOGIN_REFUSED, GATE, detail=detail))

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
