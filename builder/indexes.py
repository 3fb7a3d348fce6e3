"""Package indexes: which ones the user set up for pip or uv, and addresses free of credentials.

uv reads its own settings. pip's are translated here, so that whoever has only ever configured pip gets
the same index. Sources on the local disk are left out: a lock must mean the same on every machine.
"""

from __future__ import annotations

import configparser
import os
import ssl
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit, urlunsplit

from compliance.errors import InvalidInput, Location

_REMOTE: Final = ("https://", "http://")
_UV_DEFAULT: Final = ("UV_DEFAULT_INDEX", "UV_INDEX_URL")
_UV_EXTRA: Final = ("UV_INDEX", "UV_EXTRA_INDEX_URL")


def without_credentials(url: str) -> str:
    """`url` without user and password; text that is not an address comes back as it is."""
    parts = urlsplit(url)
    if "@" not in parts.netloc:
        return url
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def is_remote(url: str) -> bool:
    """Whether `url` is one that another machine can use too."""
    return url.startswith(_REMOTE)


def uv_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment for uv: the given one, plus pip's index settings where uv has none of its own."""
    result = dict(environment)
    pip = _pip_settings(environment)
    default = pip.get("index-url", "").strip()
    if is_remote(default) and not any(name in result for name in _UV_DEFAULT):
        result["UV_DEFAULT_INDEX"] = default
    extra = [url for url in pip.get("extra-index-url", "").split() if is_remote(url)]
    if extra and not any(name in result for name in _UV_EXTRA):
        result["UV_INDEX"] = " ".join(extra)
    return result


def _pip_settings(environment: Mapping[str, str]) -> dict[str, str]:
    """pip's `[global]` and `[install]` index settings; later files win, then the environment."""
    settings: dict[str, str] = {}
    for path in _pip_files(environment):
        parser = configparser.RawConfigParser()
        try:
            parser.read(path, encoding="utf-8")
        except (configparser.Error, UnicodeDecodeError) as error:
            raise InvalidInput(
                "is not a pip configuration file",
                at=Location(path),
                remedy="Mend it, or set PIP_CONFIG_FILE=/dev/null to go without it.",
            ) from error
        for section in ("global", "install"):
            if parser.has_section(section):
                settings |= {key.replace("_", "-"): value for key, value in parser.items(section)}
    for name in ("index-url", "extra-index-url"):
        variable = "PIP_" + name.replace("-", "_").upper()
        if variable in environment:
            settings[name] = environment[variable]
    return settings


def _pip_files(environment: Mapping[str, str]) -> Iterator[Path]:
    named = environment.get("PIP_CONFIG_FILE")
    if named == os.devnull:
        return
    yield Path("/etc/pip.conf")
    home = environment.get("HOME")
    if home:
        yield Path(home) / ".pip" / "pip.conf"
        yield Path(environment.get("XDG_CONFIG_HOME") or Path(home) / ".config") / "pip" / "pip.conf"
    if named:
        yield Path(named)


def has_system_certificates() -> bool:
    """Whether the machine has a certificate store that OpenSSL finds, SSL_CERT_FILE and SSL_CERT_DIR included."""
    paths = ssl.get_default_verify_paths()
    if paths.cafile:
        return True
    return paths.capath is not None and any(Path(paths.capath).iterdir())


def index_credentials(environment: Mapping[str, str]) -> Iterator[tuple[str, tuple[str, str]]]:
    """User and password by host, from the index addresses in the environment and in pip's settings."""
    known = uv_environment(environment)
    for name in (*_UV_EXTRA, *_UV_DEFAULT):
        for item in known.get(name, "").split():
            parts = urlsplit(item.partition("=")[2] if not is_remote(item) else item)
            if parts.username is not None:
                host = parts.netloc.rpartition("@")[2]
                yield host, (unquote(parts.username), unquote(parts.password or ""))
