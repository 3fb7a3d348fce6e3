"""Who a registry is asked as: a user name and password, as `docker login` keeps them."""

from __future__ import annotations

import base64
import binascii
import json
import os
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from compliance.errors import InvalidInput, Location, Unavailable

_HELPER_SECONDS: Final = 30
IDENTITY_TOKEN: Final = "<token>"  # noqa: S105 - what helpers put in place of a user name


class _Auth(BaseModel):
    auth: str | None = None
    username: str | None = None
    password: str | None = None
    identitytoken: str | None = None


class _DockerConfig(BaseModel):
    """The part of Docker's config.json that says where credentials are."""

    model_config = ConfigDict(populate_by_name=True)

    auths: dict[str, _Auth] = {}
    cred_helpers: dict[str, str] = Field(default={}, alias="credHelpers")
    creds_store: str | None = Field(default=None, alias="credsStore")


class _HelperAnswer(BaseModel):
    username: str = Field(alias="Username")
    secret: str = Field(alias="Secret")


@dataclass(frozen=True, slots=True)
class Credentials:
    """A user name and password. The password never shows in a representation.

    Of a `session` the password is what docker calls an identity token, which only a token service takes.
    """

    username: str
    password: str = field(repr=False)
    session: bool = False

    @property
    def basic(self) -> str:
        """The value of a basic `Authorization` header (RFC 7617)."""
        return "Basic " + base64.b64encode(f"{self.username}:{self.password}".encode()).decode()

    @classmethod
    def from_docker_config(cls, registry: str, config: Path | None = None) -> Credentials | None:
        """What `docker login` or a credential helper knows of `registry` (`host[:port]`), or None.

        `config` is the file to read, else `$DOCKER_CONFIG/config.json`, else `~/.docker/config.json`.
        Raises InvalidInput when the file cannot be understood, Unavailable when a helper does not work.
        """
        path = config or docker_config_path()
        try:
            docker = _DockerConfig.model_validate_json(path.read_bytes())
        except FileNotFoundError:
            return None
        except OSError as error:
            raise InvalidInput(f"cannot be read: {error.strerror}", at=Location(path)) from error
        except ValidationError as error:
            raise InvalidInput("is not a Docker configuration file", at=Location(path)) from error
        helper = docker.cred_helpers.get(registry) or docker.creds_store
        if helper is not None:
            return _ask_helper(helper, registry)
        found = next((docker.auths[key] for key in docker.auths if _host(key) == registry), None)
        return None if found is None else _from_entry(found, registry, path)


def docker_config_path() -> Path:
    """Where docker keeps what it knows of registries: `$DOCKER_CONFIG/config.json`, or in `~/.docker`."""
    return Path(os.environ.get("DOCKER_CONFIG") or Path.home() / ".docker") / "config.json"


def remember(registry: str, credentials: Credentials, config: Path | None = None) -> Path:
    """Write credentials where `docker login` would, readable by their owner only, and return where.

    What else the file holds is kept. Raises InvalidInput when it is no JSON object, or cannot be written.
    """
    path = config or docker_config_path()
    try:
        known = json.loads(path.read_bytes()) if path.exists() else {}
        if not isinstance(known, dict) or not isinstance(known.setdefault("auths", {}), dict):
            raise InvalidInput("is not a Docker configuration file", at=Location(path))
        known["auths"][registry] = _entry_of(credentials)
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f".{path.name}.{os.getpid()}")
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as stream:
            json.dump(known, stream, indent=2)
        part.replace(path)
    except ValueError as error:
        raise InvalidInput("is not a Docker configuration file", at=Location(path)) from error
    except OSError as error:
        raise InvalidInput(f"cannot be written: {error.strerror}", at=Location(path)) from error
    return path


def _host(key: str) -> str:
    """The `host[:port]` of a key in `auths`, which may be a URL."""
    return key.partition("://")[2].partition("/")[0] if "://" in key else key.partition("/")[0]


def _entry_of(credentials: Credentials) -> dict[str, str]:
    """As docker writes it: a session beside a login without a password."""
    password = "" if credentials.session else credentials.password
    entry = {"auth": base64.b64encode(f"{credentials.username}:{password}".encode()).decode()}
    return entry | ({"identitytoken": credentials.password} if credentials.session else {})


def _from_entry(entry: _Auth, registry: str, path: Path) -> Credentials | None:
    if entry.identitytoken:
        return Credentials(IDENTITY_TOKEN, entry.identitytoken, session=True)
    if entry.username and entry.password is not None:
        return Credentials(entry.username, entry.password)
    if not entry.auth:
        return None
    try:
        username, colon, password = base64.b64decode(entry.auth, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError) as error:
        raise InvalidInput(f"the auth of {registry} is not base64 text", at=Location(path)) from error
    if not colon:
        raise InvalidInput(f"the auth of {registry} holds no password", at=Location(path))
    return Credentials(username, password.rstrip("\0"))


def _ask_helper(helper: str, registry: str) -> Credentials | None:
    program = f"docker-credential-{helper}"
    try:
        done = subprocess.run(
            [program, "get"], input=registry.encode(), capture_output=True, timeout=_HELPER_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Unavailable(
            f"the credential helper {program} does not answer: {error}",
            remedy="Install it, or log in again with `docker login`.",
        ) from error
    if done.returncode != 0:
        return None  # by the helpers' protocol: it knows nothing of this registry
    try:
        answer = _HelperAnswer.model_validate_json(done.stdout)
    except ValidationError as error:
        raise Unavailable(f"the credential helper {program} answered nothing usable for {registry}") from error
    return Credentials(answer.username, answer.secret, session=answer.username == IDENTITY_TOKEN)
