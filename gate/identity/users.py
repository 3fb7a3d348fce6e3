"""The users file: names, roles and bcrypt hashes, in YAML.

users:
  ci:
    role: pusher
    repositories: [team/**]   # left out: all
    bcrypt: $2b$12$…
"""

from __future__ import annotations

import os
import re
import tempfile
from pathlib import Path
from typing import Annotated, Final

import bcrypt
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, ValidationError
from ruamel.yaml import YAML

from compliance.document import read_model
from compliance.errors import InvalidInput, Location
from gate.identity.permissions import EVERYWHERE, Permission, RepositoryPattern, Role

MAX_PASSWORD: Final = 72
"""Bytes; bcrypt looks at no more, so a longer password is refused rather than cut."""

ROUNDS: Final = 12
"""Of bcrypt, as a power of two: so slow that guessing does not pay, and a login is still quick."""

USER_NAME: Final = r"^[A-Za-z0-9][A-Za-z0-9._@-]{0,127}$"
_HASH: Final = r"^\$2[aby]\$[0-9]{2}\$[./A-Za-z0-9]{53}$"

PIPELINES: Final = "oidc"
"""The user name that goes with tokens of issuers, and so with no password."""

ANONYMOUS: Final = "anonymous"
"""What somebody is called who has not logged in."""

_TAKEN: Final = frozenset({PIPELINES, ANONYMOUS})


def _is_free(name: str) -> str:
    if name in _TAKEN:
        raise ValueError(f"{name} means somebody else to the gate; choose another name")
    return name


UserName = Annotated[str, StringConstraints(pattern=USER_NAME), AfterValidator(_is_free)]


class Account(BaseModel):
    """What the gate knows of one user."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    role: Role
    repositories: tuple[RepositoryPattern, ...] = Field(default=EVERYWHERE, min_length=1)
    bcrypt: Annotated[str, StringConstraints(pattern=_HASH)]

    @property
    def permission(self) -> Permission:
        return Permission.of(self.role, self.repositories)


class Users(BaseModel):
    """All accounts, by name."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    users: dict[UserName, Account] = {}


def read_users(path: Path) -> Users:
    """Read a users file. Raises InvalidInput, with the line, when it cannot be accepted."""
    users, _ = read_model(path, Users)
    return users


def set_user(
    path: Path,
    name: str,
    role: Role,
    password: str,
    repositories: tuple[str, ...] = EVERYWHERE,
    *,
    rounds: int = ROUNDS,
) -> bool:
    """Add a user or give one a new password and role; True when the user is new.

    `rounds` is how slow it is to check the password, as a power of two. The file appears whole or not
    at all, readable by its owner only.
    """
    if not re.fullmatch(USER_NAME, name) or name in _TAKEN:
        raise InvalidInput(
            f"{name!r} cannot be a user name",
            remedy=f"Use letters, digits and . _ @ -, first a letter or digit; not {ANONYMOUS} or {PIPELINES}.",
        )
    if not password or len(password.encode()) > MAX_PASSWORD:
        raise InvalidInput(f"a password is 1 to {MAX_PASSWORD} bytes long")
    users = read_users(path).users if path.exists() else {}
    hashed = bcrypt.hashpw(password.encode(), bcrypt.gensalt(rounds)).decode()
    try:
        account = Account(role=role, repositories=repositories, bcrypt=hashed)
    except ValidationError as error:
        raise InvalidInput(error.errors()[0]["msg"].removeprefix("Value error, ")) from error
    _write(path, Users(users={**users, name: account}))
    return name not in users


def remove_user(path: Path, name: str) -> None:
    """Take a user out of the file. Raises InvalidInput when it is not in it."""
    users = read_users(path).users
    if name not in users:
        raise InvalidInput(f"has no user {name!r}", at=Location(path))
    _write(path, Users(users={other: account for other, account in users.items() if other != name}))


def _write(path: Path, users: Users) -> None:
    yaml = YAML()
    yaml.default_flow_style = False
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=".users-")
        try:
            with os.fdopen(handle, "wb") as stream:
                yaml.dump(users.model_dump(mode="json", exclude_defaults=True), stream)
            Path(name).replace(path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise InvalidInput(f"cannot be written: {error.strerror}", at=Location(path)) from error
