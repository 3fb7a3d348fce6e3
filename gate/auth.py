"""HTTP basic authentication (RFC 7617) against the users file, with three roles."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import logging
import secrets
import threading
import time
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import bcrypt

from compliance.errors import InvalidInput
from gate.errors import Code, Fault
from gate.users import MAX_PASSWORD, Account, Role, read_users

_REMEMBERED: Final = 1024
_REMEMBERED_SECONDS: Final = 300.0
_CHALLENGE: Final = {"WWW-Authenticate": 'Basic realm="mlgate", charset="UTF-8"'}

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class User:
    """Who is asking."""

    name: str
    role: Role

    def require(self, role: Role, what: str) -> None:
        """Raise the answer for somebody who may not do `what`."""
        if not self.role.includes(role):
            raise Fault(
                403, Code.DENIED, f"{self.name} may only {self.role}, and to {what} the {role} role is needed"
            )


class Authentication:
    """Checks user names and passwords. The file is read again when it changes.

    bcrypt is slow on purpose and a push asks hundreds of times, so a password that was right is remembered
    for five minutes, as a keyed digest, for as long as the user's entry stays the same.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._key = secrets.token_bytes(32)
        self._decoy = bcrypt.hashpw(secrets.token_bytes(16), bcrypt.gensalt())
        self._remembered: OrderedDict[bytes, tuple[str, float]] = OrderedDict()
        self._lock = threading.Lock()
        self._stamp: tuple[int, int, int] | None = None
        self._accounts: dict[str, Account] = {}
        self._read()
        if not self._accounts:
            raise InvalidInput(
                f"there is no user in {path}", remedy=f"Add one: mlgate user add NAME --role push --users {path}"
            )

    def remembered(self, authorization: str | None) -> User | None:
        """The user that an `Authorization` header proves, if that was found out lately. Takes no time."""
        given = _decode(authorization)
        if given is None:
            return None
        name, password = given
        self._read()
        account = self._accounts.get(name)
        with self._lock:
            seen = self._remembered.get(self._mark(name, password))
        if account is None or seen is None or seen[0] != account.bcrypt or seen[1] <= time.monotonic():
            return None
        return User(name, account.role)

    def check(self, authorization: str | None) -> User:
        """The user that an `Authorization` header proves. Raises the 401 answer otherwise. May take 0.3 s."""
        given = _decode(authorization)
        if given is None:
            raise Fault(401, Code.UNAUTHORIZED, "a user name and password are needed", headers=_CHALLENGE)
        user = self.remembered(authorization)
        if user is not None:
            return user
        name, password = given
        account = self._accounts.get(name)
        # An unknown name takes as long as a wrong password, so that names cannot be told apart by time.
        expected = self._decoy if account is None else account.bcrypt.encode()
        right = len(password) <= MAX_PASSWORD and bcrypt.checkpw(password, expected)
        if not right or account is None:
            raise Fault(401, Code.UNAUTHORIZED, "the user name or password is wrong", headers=_CHALLENGE)
        with self._lock:
            self._remembered[self._mark(name, password)] = (
                account.bcrypt,
                time.monotonic() + _REMEMBERED_SECONDS,
            )
            while len(self._remembered) > _REMEMBERED:
                self._remembered.popitem(last=False)
        return User(name, account.role)

    def _mark(self, name: str, password: bytes) -> bytes:
        return hmac.new(self._key, name.encode() + b"\0" + password, hashlib.sha256).digest()

    def _read(self) -> None:
        try:
            status = self._path.stat()
        except FileNotFoundError:
            stamp = None
        else:
            stamp = (status.st_mtime_ns, status.st_size, status.st_ino)
        with self._lock:
            if stamp == self._stamp:
                return
            try:
                self._accounts = {} if stamp is None else dict(read_users(self._path).users)
            except InvalidInput:
                if self._stamp is None:
                    raise
                log.exception("the users file was changed into something that cannot be read; nobody gets in")
                self._accounts = {}
            self._stamp = stamp


def _decode(authorization: str | None) -> tuple[str, bytes] | None:
    scheme, _, encoded = (authorization or "").partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        name, colon, password = base64.b64decode(encoded.strip(), validate=True).partition(b":")
        return (name.decode(), password) if colon else None
    except (binascii.Error, ValueError):
        return None
