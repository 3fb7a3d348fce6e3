"""Robot accounts: names for programs, with a secret, a role, and an end.

A secret is 256 random bits, so it is kept as its SHA-256: what slow hashes are for is to make guessing short
passwords expensive, and this one cannot be guessed at any speed. Comparing a hash also leaks nothing by its time.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import LargeBinary, String, Text, select
from sqlalchemy.orm import Mapped, mapped_column

from compliance.errors import InvalidInput
from gate.audit.entry import Action, Event
from gate.audit.log import AuditLog
from gate.database import Database
from gate.identity.permissions import Identity, Permission, Role, repository_pattern
from gate.schema import Table

PREFIX: Final = "robot+"
"""What a robot's name begins with where it logs in; no user's name can hold a plus."""

MARK: Final = "mlgr_"
"""What secrets begin with, so that scanners find those that leaked."""

_NAME: Final = r"[a-z0-9][a-z0-9._-]{0,62}"


class StoredRobot(Table):
    """A robot account. Secrets are kept as SHA-256; the one before holds until `former_until`."""

    __tablename__ = "robots"

    name: Mapped[str] = mapped_column(String(63), primary_key=True)
    role: Mapped[str] = mapped_column(String(16))
    repositories: Mapped[str] = mapped_column(Text)
    """Patterns, one a line."""
    created: Mapped[datetime]
    expires: Mapped[datetime]
    secret: Mapped[bytes] = mapped_column(LargeBinary)
    former: Mapped[bytes | None] = mapped_column(LargeBinary)
    former_until: Mapped[datetime | None]
    revoked: Mapped[datetime | None]


@dataclass(frozen=True, slots=True)
class Robot:
    """What is known of a robot account, without its secret."""

    name: str
    role: Role
    repositories: tuple[str, ...]
    created: datetime
    expires: datetime
    former_until: datetime | None
    revoked: datetime | None

    def state(self, at: datetime) -> str:
        """`active`, `rotating` while two secrets hold, `expired` or `revoked`."""
        if self.revoked is not None:
            return "revoked"
        if self.expires <= at:
            return "expired"
        return "rotating" if self.former_until is not None and self.former_until > at else "active"


class Robots:
    """All robot accounts of a database. `now` tells the time. May be used from several threads.

    `by` is who changes an account, for the audit log, which is told in the same transaction.
    """

    def __init__(self, database: Database, audit: AuditLog, now: Callable[[], datetime]) -> None:
        self._database = database
        self._audit = audit
        self._now = now

    def create(self, name: str, role: Role, repositories: tuple[str, ...], lifetime: timedelta, *, by: str) -> str:
        """Make an account and return its secret, which nobody can find out again.

        Raises InvalidInput when that name was ever used: old tokens and logs would mean somebody else.
        """
        if not re.fullmatch(_NAME, name):
            raise InvalidInput(
                f"{name!r} cannot be the name of a robot",
                remedy="Use at most 63 lower-case letters, digits and . _ - and start with a letter or digit.",
            )
        try:
            patterns = [repository_pattern(pattern) for pattern in repositories]
        except ValueError as error:
            raise InvalidInput(str(error)) from error
        if not patterns:
            raise InvalidInput("a robot needs repositories", remedy="Name them: --repository 'team/**'")
        now, secret = self._now(), _new_secret()
        with self._database.writing() as session:
            if session.get(StoredRobot, name) is not None:
                raise InvalidInput(
                    f"there is a robot {name!r} already, or there was",
                    remedy=f"Choose another name, or give it a new secret: mlgate robot rotate {name}",
                )
            session.add(
                StoredRobot(
                    name=name,
                    role=role.value,
                    repositories="\n".join(patterns),
                    created=now,
                    expires=_later(now, lifetime),
                    secret=_hashed(secret),
                )
            )
            detail = f"{PREFIX}{name} is {role} in {' '.join(patterns)}"
            self._audit.append(session, Event(Action.ROBOT_CREATED, by, detail=detail))
        return secret

    def rotate(self, name: str, lifetime: timedelta, overlap: timedelta, *, by: str) -> str:
        """Return a new secret, good for `lifetime`; the present one is good for `overlap` more, if that long."""
        now, secret = self._now(), _new_secret()
        with self._database.writing() as session:
            robot = _found(session.get(StoredRobot, name), name)
            if robot.revoked is not None:
                raise InvalidInput(f"the robot {name!r} was revoked", remedy="Create another one.")
            robot.former = robot.secret
            robot.former_until = min(_later(now, overlap), robot.expires)
            robot.secret = _hashed(secret)
            robot.expires = _later(now, lifetime)
            detail = f"{PREFIX}{name} has a new secret"
            self._audit.append(session, Event(Action.ROBOT_CHANGED, by, detail=detail))
        return secret

    def revoke(self, name: str, *, by: str) -> bool:
        """End an account for good; False when it had been ended before. Tokens it has hold for their minutes."""
        with self._database.writing() as session:
            robot = _found(session.get(StoredRobot, name), name)
            if robot.revoked is not None:
                return False
            robot.revoked = self._now()
            self._audit.append(session, Event(Action.ROBOT_REMOVED, by, detail=f"{PREFIX}{name} is revoked"))
            return True

    def all(self) -> Sequence[Robot]:
        """Every account, revoked ones too, by name."""
        with self._database.reading() as session:
            return [_described(robot) for robot in session.scalars(select(StoredRobot).order_by(StoredRobot.name))]

    def present(self, login: str) -> tuple[Identity, bytes] | None:
        """The robot of this name, with its prefix, while it may log in, and the hash of its secret."""
        robot = self._good(login)
        return None if robot is None else (_identity(login, robot), robot.secret)

    def log_in(self, login: str, secret: bytes) -> Identity | None:
        """Whoever logs in by this name, with its prefix, if the secret is right and holds now."""
        hashed, now = hashlib.sha256(secret).digest(), self._now()
        robot = self._good(login)
        if robot is None:
            return None
        right = hmac.compare_digest(hashed, robot.secret)
        if robot.former is not None and robot.former_until is not None and now < robot.former_until:
            right |= hmac.compare_digest(hashed, robot.former)
        return _identity(login, robot) if right else None

    def _good(self, login: str) -> StoredRobot | None:
        with self._database.reading() as session:
            robot = session.get(StoredRobot, login.removeprefix(PREFIX))
        return None if robot is None or robot.revoked is not None or robot.expires <= self._now() else robot


def _identity(login: str, robot: StoredRobot) -> Identity:
    return Identity(login, (Permission.of(Role(robot.role), tuple(robot.repositories.split("\n"))),))


def _new_secret() -> str:
    return MARK + secrets.token_urlsafe(32)


def _hashed(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()


def _later(now: datetime, by: timedelta) -> datetime:
    try:
        return now + by
    except OverflowError as error:
        raise InvalidInput("that is too long") from error


def _found(robot: StoredRobot | None, name: str) -> StoredRobot:
    if robot is None:
        raise InvalidInput(f"there is no robot {name!r}", remedy="See which there are: mlgate robot list")
    return robot


def _described(robot: StoredRobot) -> Robot:
    return Robot(
        robot.name,
        Role(robot.role),
        tuple(robot.repositories.split("\n")),
        robot.created,
        robot.expires,
        robot.former_until,
        robot.revoked,
    )
