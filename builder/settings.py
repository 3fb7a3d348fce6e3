"""The builder's settings: from the environment (MLBUILD_…), else the configuration file, else defaults."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from platformdirs import user_cache_path, user_config_path
from pydantic import BaseModel, ByteSize, ConfigDict, Field, ValidationError

from compliance.errors import InvalidInput, Location
from compliance.shipped import shipped

CONFIG_FILE: Final = user_config_path("mlbuild") / "config.toml"
PREFIX: Final = "MLBUILD_"


class Settings(BaseModel):
    """Where things are. Every field can be set as MLBUILD_<NAME> or in the configuration file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

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


def read_settings(
    environment: Mapping[str, str] = os.environ, file: Path = CONFIG_FILE, **given: object
) -> Settings:
    """The settings in force; `given` ones come before all others.

    Raises InvalidInput that names the key when one cannot be accepted.
    """
    try:
        return Settings.model_validate(_in_file(file) | _in_environment(environment) | given)
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
        name = ".".join(str(part) for part in problem["loc"])
        raise InvalidInput(
            f"setting {name!r}: {problem['msg']}", remedy=f"Mend {PREFIX}{name.upper()} or {file}."
        ) from error


def _in_file(path: Path) -> dict[str, Any]:
    """What the file says; nothing where there is none."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except OSError as error:
        raise InvalidInput(f"cannot be read: {error.strerror}", at=Location(path)) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InvalidInput(f"is not valid TOML: {error}", at=Location(path)) from error


def _in_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """What variables of our prefix say, in capitals or not. Those that are no setting are other programs'."""
    found = {name.upper(): value for name, value in environment.items()}
    return {
        field: found[variable]
        for field in Settings.model_fields
        if (variable := f"{PREFIX}{field.upper()}") in found
    }
