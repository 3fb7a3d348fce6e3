"""The gate's settings: from the command line, else the environment (MLGATE_…), else a file, else defaults."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final
from urllib.parse import urlsplit

from platformdirs import user_data_path
from pydantic import Field, SecretStr, StringConstraints, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict
from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from compliance.errors import InvalidInput
from compliance.scan.mirror import parse_repository
from compliance.shipped import shipped
from gate.arrival import LARGEST, MAX_BYTES
from gate.settings_file import NO_FILE, key_of, read_settings_file
from gate.telemetry.logs import LogFormat

PREFIX: Final = "MLGATE_"
_LISTEN: Final = r"(?:[A-Za-z0-9.-]+|\[[0-9A-Fa-f:]+\]):[0-9]{1,5}"

_DATABASE_FORM: Final = "write postgresql://USER:PASSWORD@HOST[:PORT]/NAME, or sqlite:////DIRECTORY/FILE"


class Settings(BaseSettings):
    """What the gate runs with. Every field can be set as MLGATE_<NAME>."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, extra="forbid", frozen=True)

    listen: Annotated[str, StringConstraints(pattern=rf"^{_LISTEN}$")] = Field(
        default="127.0.0.1:5000", description="HOST:PORT the gate listens on; port 0 takes a free one."
    )
    upstream: str | None = Field(
        default=None, description="URL of the registry behind the gate; not set: the gate runs one itself."
    )
    upstream_user: str | None = Field(default=None, description="User name at the registry behind the gate.")
    upstream_password: SecretStr | None = Field(default=None, description="Password of that user.")
    data: Path = Field(
        default_factory=lambda: user_data_path("mlgate"),
        description="Decisions, caches, and the embedded registry.",
    )
    database: SecretStr | None = Field(
        default=None,
        description="URL of the database, postgresql://USER:PASSWORD@HOST/NAME where several gates share it;"
        " not set: a SQLite file, DATA/gate.db.",
    )
    policies: Path = Field(
        default_factory=lambda: shipped("policies"), description="Policy sets, waivers, advisories."
    )
    bases: Path = Field(default_factory=lambda: shipped("base-images"), description="Curated base images.")
    trusted_keys: Path | None = Field(
        default=None, description="Directory of public keys (*.pem); not set: DATA/trusted-keys."
    )
    users: Path | None = Field(default=None, description="Users file; not set: DATA/users.yaml.")
    access: Path | None = Field(
        default=None,
        description="Access file: roles by repository, and what is public; not set: DATA/access.yaml.",
    )
    notify: Path | None = Field(
        default=None, description="Notify file: who is told of what, and where; not set: DATA/notify.yaml."
    )
    token_seconds: int = Field(
        default=300,
        ge=60,
        le=3600,
        description="Seconds a token for registry clients is good; they take 60 for less.",
    )
    trivy: Path | None = Field(default=None, description="The trivy program; looked up on PATH when not set.")
    trivy_database: str | None = Field(
        default=None,
        description="Repository of Trivy's database (HOST/REPOSITORY[:TAG]); where Trivy has it from if not set.",
    )
    public_url: str | None = Field(
        default=None, description="URL under which people reach the gate, for links to reports and logins."
    )
    tls_certificate: Path | None = Field(default=None, description="PEM file; together with tls_key serves HTTPS.")
    tls_key: Path | None = Field(default=None, description="PEM file with the certificate's private key.")
    cache_bytes: int = Field(default=20 << 30, ge=0, description="Most bytes of blobs kept for reading again.")
    image_bytes: int = Field(
        default=32 << 30, gt=0, description="Most bytes that the layers of an image may unpack to."
    )
    manifest_bytes: int = Field(
        default=MAX_BYTES, ge=64 << 10, le=LARGEST, description="Most bytes of a manifest that is pushed."
    )
    blob_bytes: int = Field(default=128 << 30, gt=0, description="Most bytes of a blob that is pushed.")
    request_rate: float = Field(
        default=1000, gt=0, description="Requests a second by one user, or by one address without a login."
    )
    judges: int = Field(default=2, ge=1, le=32, description="Images judged at once.")
    reconcile: float = Field(
        default=300, gt=0, description="Seconds between two looks for what a crash or a failure left half done."
    )
    uploads_kept: float = Field(
        default=86400, gt=0, description="Seconds an upload may be left unfinished before it is given up."
    )
    patience: float = Field(default=540, gt=0, description="Seconds a client is kept waiting for a verdict.")
    rejudge: float = Field(
        default=10, gt=0, description="Seconds between looks for what was admitted and is to be judged again."
    )
    grace: float = Field(
        default=60, ge=0, description="Seconds that pushes under way get to end, once the gate is told to stop."
    )
    log_format: LogFormat = Field(
        default=LogFormat.AUTO, description="json, text, or auto: text on a terminal and json elsewhere."
    )
    metrics_listen: Annotated[str, StringConstraints(pattern=rf"^{_LISTEN}$")] | None = Field(
        default=None,
        description="HOST:PORT for /metrics, /healthz and /readyz alone, without TLS; not set: the gate's own.",
    )
    cluster: Path | None = Field(
        default=None,
        description="Cluster file: where the webhook for Kubernetes listens, and what it goes by; not set: none.",
    )
    metrics_token: SecretStr | None = Field(
        default=None, description="Bearer token that /metrics asks for, instead of a user of the gate."
    )

    @field_validator("upstream", "public_url")
    @classmethod
    def _is_root_url(cls, value: str | None) -> str | None:
        if value is None:
            return None
        parts = urlsplit(value)
        if parts.scheme not in {"http", "https"} or not parts.netloc or parts.path.strip("/") or parts.query:
            raise ValueError("write http://HOST[:PORT] or https://HOST[:PORT], without a path")
        if "@" in parts.netloc:
            raise ValueError("write it without a login: upstream_user and upstream_password are for that")
        return f"{parts.scheme}://{parts.netloc}"

    @field_validator("trivy_database")
    @classmethod
    def _is_repository(cls, value: str | None) -> str | None:
        if value is not None:
            try:
                parse_repository(value)
            except InvalidInput as error:
                raise ValueError(error.message) from error
        return value

    @field_validator("database")
    @classmethod
    def _is_database(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None:
            parse_database(value.get_secret_value())
        return value

    @property
    def database_url(self) -> URL:
        """Where the database is. Its text hides the password; never log it any other way."""
        if self.database is None:
            return URL.create("sqlite", database=str(self.data / "gate.db"))
        return parse_database(self.database.get_secret_value())

    @property
    def host(self) -> str:
        return self.listen.rpartition(":")[0].strip("[]")

    @property
    def port(self) -> int:
        return int(self.listen.rpartition(":")[2])

    @property
    def users_file(self) -> Path:
        return self.users or self.data / "users.yaml"

    @property
    def access_file(self) -> Path:
        return self.access or self.data / "access.yaml"

    @property
    def notify_file(self) -> Path:
        return self.notify or self.data / "notify.yaml"

    @property
    def root(self) -> str:
        """The URL that messages know the gate by."""
        scheme = "https" if self.tls_certificate else "http"
        return self.public_url or f"{scheme}://{self.listen}"

    @property
    def keys_directory(self) -> Path:
        return self.trusted_keys or self.data / "trusted-keys"


def parse_database(text: str) -> URL:
    """A database's URL. Raises ValueError that does not repeat it, since it may hold a password."""
    try:
        url = make_url(text)
    except ArgumentError:
        raise ValueError(_DATABASE_FORM) from None
    known = url.drivername in {"sqlite", "postgresql", "postgresql+psycopg"}
    if not known or not url.database or "password" in url.query:
        raise ValueError(_DATABASE_FORM)
    return url


@dataclass(frozen=True, slots=True)
class Configuration:
    """The settings in force, and by what each that is no default was set: a flag, a variable, a line of a file."""

    settings: Settings
    origins: Mapping[str, str]


def configure(config: Path | None = None, **given: Any) -> Configuration:
    """The settings in force. Flags (`given`, where not None) win over the environment, and that over the file.

    The file is `config`, else what MLGATE_CONFIG names. Raises InvalidInput that names what cannot be accepted,
    by the flag, variable or line that set it.
    """
    flags = {name: value for name, value in given.items() if value is not None}
    path = config or os.environ.get(f"{PREFIX}CONFIG")
    file = read_settings_file(Path(path), Settings) if path else NO_FILE
    variables = [name for name in Settings.model_fields if variable_of(name) in os.environ]
    below = {name: value for name, value in file.values.items() if name not in variables}
    origins = {name: str(at) for name, at in file.lines.items()}
    origins |= {name: variable_of(name) for name in variables}
    origins |= {name: f"--{key_of(name)}" for name in flags}
    try:
        return Configuration(Settings(**{**below, **flags}), origins)
    except ValidationError as error:
        problem = error.errors(include_url=False, include_input=False)[0]
        name = ".".join(str(part) for part in problem["loc"])
        top = str(problem["loc"][0]) if problem["loc"] else ""
        at = file.lines.get(top) if top in below and top not in flags else None
        raise InvalidInput(
            f"setting {name!r}: {problem['msg'].removeprefix('Value error, ')}",
            at=at,
            remedy=None if at else f"Mend {f'--{key_of(top)} or ' if top in flags else ''}{variable_of(top)}.",
        ) from error


def read_settings(config: Path | None = None, **given: Any) -> Settings:
    """The settings in force, as `configure` finds them."""
    return configure(config, **given).settings


def variable_of(name: str) -> str:
    """The environment variable of a setting."""
    return f"{PREFIX}{name.upper()}"
