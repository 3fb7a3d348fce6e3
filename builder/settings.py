"""The builder's settings: from the environment (MLBUILD_…), else the configuration file, else defaults."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Final

from platformdirs import user_cache_path, user_config_path
from pydantic import ByteSize, Field, ValidationError
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from compliance.errors import InvalidInput, Location
from compliance.shipped import shipped

CONFIG_FILE: Final = user_config_path("mlbuild") / "config.toml"


class Settings(BaseSettings):
    """Where things are. Every field can be set as MLBUILD_<NAME> or in the configuration file."""

    model_config = SettingsConfigDict(env_prefix="MLBUILD_", extra="forbid", frozen=True, toml_file=CONFIG_FILE)

    cache: Path = Field(
        default_factory=lambda: user_cache_path("mlbuild"), description="Downloads, layers, databases."
    )
    cache_limit: ByteSize = Field(
        default=ByteSize(100 * 10**9),
        description="What the cache may grow to, such as 50GB; the longest unused goes first.",
    )
    policies: Path = Field(
        default_factory=lambda: shipped("policies"), description="Policy sets, waivers, advisories."
    )
    bases: Path = Field(default_factory=lambda: shipped("base-images"), description="Curated base images.")
    key: Path = Field(
        default_factory=lambda: user_config_path("mlbuild") / "key.pem", description="Private signing key."
    )
    trusted_keys: Path = Field(
        default_factory=lambda: user_config_path("mlbuild") / "trusted-keys",
        description="Directory of public keys (*.pem) whose signatures count.",
    )
    accelerators: Path | None = Field(
        default=None, description="Table (TOML) of the indexes with builds for accelerators, in place of ours."
    )
    gate: str | None = Field(default=None, description="Host and port of the gate that images are pushed to.")
    gate_key: Path | None = Field(
        default=None, description="The gate's public key (PEM), by which its admissions are verified."
    )
    builder_id: str = Field(default="urn:mlbuild:builder:local", description="Who builds, as provenance names it.")
    trivy: Path | None = Field(default=None, description="The trivy program; looked up on PATH when not set.")
    database: str | None = Field(
        default=None,
        description="Repository of Trivy's database (HOST/REPOSITORY[:TAG]); where Trivy has it from if not set.",
    )
    sdist: bool = Field(default=True, description="Whether packages without a wheel may be built from source.")
    workers: int = Field(default=8, ge=1, le=64, description="Downloads and uploads at once.")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - the signature is pydantic's
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls)


def read_settings() -> Settings:
    """The settings in force. Raises InvalidInput that names the key when one cannot be accepted."""
    try:
        return Settings()
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
        name = ".".join(str(part) for part in problem["loc"])
        raise InvalidInput(
            f"setting {name!r}: {problem['msg']}", remedy=f"Mend MLBUILD_{name.upper()} or {CONFIG_FILE}."
        ) from error
    except tomllib.TOMLDecodeError as error:
        raise InvalidInput(f"is not valid TOML: {error}", at=Location(CONFIG_FILE)) from error
