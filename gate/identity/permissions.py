"""Roles, what each allows, and somebody who has some."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Annotated, Final, Self

from pydantic import AfterValidator

from compliance.policy.pattern import matches

EVERYWHERE: Final = ("**",)
_SHORT: Final = {"pull": "puller", "push": "pusher"}
_PATTERN: Final = re.compile(r"[a-z0-9._*?\[\]!^-]+(?:/[a-z0-9._*?\[\]!^-]+)*")


class Action(StrEnum):
    """What can be done with a repository. The first three are the words of registry tokens.

    To review is to read decisions, evidence and waivers without a need to pull.
    """

    PULL = "pull"
    PUSH = "push"
    DELETE = "delete"
    REVIEW = "review"


class Role(StrEnum):
    """What somebody is to some repositories. `pull` and `push` can be written for the first two."""

    PULLER = "puller"
    PUSHER = "pusher"
    SECURITY = "security"
    ADMIN = "admin"

    @classmethod
    def _missing_(cls, value: object) -> Self | None:
        return cls(_SHORT[value]) if isinstance(value, str) and value in _SHORT else None

    @property
    def actions(self) -> frozenset[Action]:
        return _ALLOWED[self]


_ALLOWED: Final = {
    Role.PULLER: frozenset({Action.PULL}),
    Role.PUSHER: frozenset({Action.PULL, Action.PUSH}),
    Role.SECURITY: frozenset({Action.PULL, Action.REVIEW}),
    Role.ADMIN: frozenset(Action),
}


def repository_pattern(text: str) -> str:
    """The pattern, as policies have them. Raises ValueError for one that fits no repository."""
    if not _PATTERN.fullmatch(text):
        raise ValueError(
            f"{text!r} can fit no repository: names are lower-case, without registry, tag and leading /"
        )
    return text


RepositoryPattern = Annotated[str, AfterValidator(repository_pattern)]


@dataclass(frozen=True, slots=True)
class Permission:
    """Actions allowed in the repositories that fit one of the patterns."""

    actions: frozenset[Action]
    repositories: tuple[str, ...] = EVERYWHERE

    @classmethod
    def of(cls, role: Role, repositories: tuple[str, ...] = EVERYWHERE) -> Permission:
        return cls(role.actions, repositories)

    def allows(self, action: Action, repository: str) -> bool:
        return action in self.actions and any(matches(pattern, repository) for pattern in self.repositories)


class Proof(StrEnum):
    """How somebody proved who they are. A token allows what it was made for, which may be less than they may."""

    NOTHING = "nothing"
    LOGIN = "login"
    BEARER = "bearer"


@dataclass(frozen=True, slots=True)
class Identity:
    """Who is asking. `name` is what decisions and logs say.

    `session` logs in again for a while, where what somebody logged in with ends within minutes. `called` is how
    somebody is greeted whose name is a number.
    """

    name: str
    permissions: tuple[Permission, ...]
    proof: Proof = Proof.LOGIN
    session: str | None = field(default=None, repr=False)
    called: str = ""

    def may(self, action: Action, repository: str) -> bool:
        return any(permission.allows(action, repository) for permission in self.permissions)

    def patterns(self, action: Action) -> frozenset[str]:
        """The patterns of the repositories that they may do it with."""
        allowed = (one.repositories for one in self.permissions if action in one.actions)
        return frozenset(pattern for patterns in allowed for pattern in patterns)

    def sees(self, repository: str) -> bool:
        """Whether the repository, and what was decided about it, exists for them."""
        return self.may(Action.PULL, repository) or self.may(Action.REVIEW, repository)
