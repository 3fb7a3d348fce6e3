"""The access file: who may do what beyond the users file, in YAML.

anonymous: [public/**]          # may be pulled without logging in; left out: nothing
grants:                         # more roles for those of the users file
  - users: [alice]
    role: admin
    repositories: [team/**]
oidc:                           # pipelines that log in with a token of their CI
  - name: github
    issuer: https://token.actions.githubusercontent.com
    audience: https://gate.example.org
    grants:
      - when: {repository_owner_id: "9919", ref: refs/heads/main}
        role: pusher
        repositories: ["{repository_owner}/**"]
login:                          # people who log in at a provider, to read the gate's pages
  - name: corp
    title: Example SSO
    issuer: https://sso.example.org
    client_id: mlgate
    client_secret_file: /run/secrets/sso
    grants:
      - when: {groups: ml-security}
        role: security
        repositories: ["**"]
"""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from compliance.document import read_model
from compliance.errors import InvalidInput, Location
from gate.identity.issuers import Issuer
from gate.identity.permissions import Action, Identity, Permission, Proof, RepositoryPattern, Role
from gate.identity.providers import LoginProvider
from gate.identity.users import ANONYMOUS, UserName
from gate.identity.watched import Watched


class Grant(BaseModel):
    """A role that some users have in some repositories."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    users: tuple[UserName, ...] = Field(min_length=1)
    role: Role
    repositories: tuple[RepositoryPattern, ...] = Field(min_length=1)


class AccessFile(BaseModel):
    """All that the file says. An empty one allows nothing."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    anonymous: tuple[RepositoryPattern, ...] = ()
    grants: tuple[Grant, ...] = ()
    oidc: tuple[Issuer, ...] = ()
    login: tuple[LoginProvider, ...] = ()

    @model_validator(mode="after")
    def _are_named_once(self) -> AccessFile:
        names = [*(one.name for one in self.oidc), *(one.name for one in self.login)]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise ValueError(
                f"two of `oidc` and `login` have the name {twice}, by which their people are told apart"
            )
        return self

    @field_validator("oidc")
    @classmethod
    def _are_told_apart(cls, issuers: tuple[Issuer, ...]) -> tuple[Issuer, ...]:
        for what, values in (
            ("name", [one.name for one in issuers]),
            ("address", [one.issuer for one in issuers]),
        ):
            twice = next((value for value in values if values.count(value) > 1), None)
            if twice is not None:
                raise ValueError(f"two issuers have the {what} {twice}; put their grants under one")
        return issuers

    def of_user(self, name: str) -> tuple[Permission, ...]:
        """What a user may do besides what the users file says."""
        return tuple(Permission.of(one.role, one.repositories) for one in self.grants if name in one.users)

    @property
    def stranger(self) -> Identity:
        """Somebody who has not logged in."""
        pulls = (Permission(frozenset({Action.PULL}), self.anonymous),) if self.anonymous else ()
        return Identity(ANONYMOUS, pulls, Proof.NOTHING)


def read_access(path: Path) -> AccessFile:
    """Read an access file. Raises InvalidInput, with the line, when it cannot be accepted."""
    access, _ = read_model(path, AccessFile)
    return access


def watch_access(path: Path, *, required: bool = False) -> Watched[AccessFile]:
    """The access file as it is now; one that is not there allows nothing.

    Raises InvalidInput when it is not there now, where it is `required`, and when it cannot be accepted.
    """
    if required and not path.exists():
        raise InvalidInput(
            "there is no such access file",
            at=Location(path),
            remedy="Write it, or leave the setting `access` out.",
        )
    return Watched(path, read_access, AccessFile())
