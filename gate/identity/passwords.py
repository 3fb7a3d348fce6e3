"""Users and their passwords, by the users file."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import bcrypt

from compliance.errors import InvalidInput
from gate.identity.users import MAX_PASSWORD, ROUNDS, Account, read_users
from gate.identity.watched import Watched

_REMEMBERED: Final = 1024
_REMEMBERED_SECONDS: Final = 300.0


class Passwords:
    """Checks user names and passwords. The file is read again when it changes.

    bcrypt is slow on purpose and a push asks hundreds of times, so a password that was right is remembered
    for five minutes, as a keyed digest, for as long as the user's entry stays the same. `rounds` is how slow
    it is to refuse a name that there is not: as slow as to check the passwords in the file.
    """

    def __init__(self, path: Path, *, rounds: int = ROUNDS) -> None:
        self._accounts = Watched[Mapping[str, Account]](path, lambda file: read_users(file).users, {})
        self._key = secrets.token_bytes(32)
        self._decoy = bcrypt.hashpw(secrets.token_bytes(16), bcrypt.gensalt(rounds))
        self._remembered: OrderedDict[bytes, tuple[str, float]] = OrderedDict()
        self._lock = threading.Lock()
        if not self._accounts():
            raise InvalidInput(
                f"there is no user in {path}", remedy=f"Add one: mlgate user add NAME --role pusher --users {path}"
            )

    def account(self, name: str) -> Account | None:
        """The account of this name, which proves nothing."""
        return self._accounts().get(name)

    def remembered(self, name: str, password: bytes) -> Account | None:
        """The account, if the password was found to be right lately. Takes no time."""
        account = self._accounts().get(name)
        with self._lock:
            seen = self._remembered.get(self._mark(name, password))
        if account is None or seen is None or seen[0] != account.bcrypt or seen[1] <= time.monotonic():
            return None
        return account

    def check(self, name: str, password: bytes) -> Account | None:
        """The account, if this is its password. May take 0.3 s."""
        account = self._accounts().get(name)
        # An unknown name takes as long as a wrong password, so that names cannot be told apart by time.
        expected = self._decoy if account is None else account.bcrypt.encode()
        right = len(password) <= MAX_PASSWORD and bcrypt.checkpw(password, expected)
        if not right or account is None:
            return None
        with self._lock:
            self._remembered[self._mark(name, password)] = (
                account.bcrypt,
                time.monotonic() + _REMEMBERED_SECONDS,
            )
            while len(self._remembered) > _REMEMBERED:
                self._remembered.popitem(last=False)
        return account

    def _mark(self, name: str, password: bytes) -> bytes:
        return hmac.new(self._key, name.encode() + b"\0" + password, hashlib.sha256).digest()
