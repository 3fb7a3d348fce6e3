"""The values that `mlbuild.yaml` may hold: what each must look like, and what is said of one that does not."""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from typing import Annotated, Any, Final, Literal

from packaging.requirements import InvalidRequirement, Requirement
from pydantic import AfterValidator, BeforeValidator

from compliance.oci.reference import is_repository

SPEC_NAME: Final = "mlbuild.yaml"

_WORD: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_USER: Final = re.compile(r"(?:[a-z_][a-z0-9_-]{0,31}|[0-9]{1,10})(?::(?:[a-z_][a-z0-9_-]{0,31}|[0-9]{1,10}))?")
_DEBIAN_PACKAGE: Final = re.compile(r"[a-z0-9][a-z0-9+.-]+")  # Debian policy 5.6.1
_PORT: Final = re.compile(r"(?P<number>[0-9]{1,5})(?:/(?P<protocol>tcp|udp|sctp))?")
_LIBRARY: Final = re.compile(r"[A-Za-z0-9._+-]+\.so(?:\.[A-Za-z0-9._+-]+)?")
_DRIVE: Final = re.compile(r"[A-Za-z]:")
_REQUIREMENT_FILES: Final = (".txt", ".in")
_REQUIREMENT_NAMES: Final = re.compile(
    r"pyproject\.toml|uv\.lock|pylock(\.[^.]+)?\.toml|[^/]*environment[^/]*\.ya?ml"
)


def _repository(text: str) -> str:
    if not is_repository(text):
        raise ValueError(
            f"{text!r} is not a repository name: lower-case words with `/` between, such as serving/iris, "
            "without registry and tag"
        )
    return text


def _word(text: str) -> str:
    if not _WORD.fullmatch(text):
        raise ValueError(f"{text!r} is not a plain name: letters, digits, dots and dashes")
    return text


def _text(value: Any) -> Any:
    """Numbers and truth values are refused rather than turned into text that may not be what was meant."""
    if isinstance(value, bool | int | float):
        raise ValueError(f'write it in quotes: "{str(value).lower() if isinstance(value, bool) else value}"')
    return value


def _argument(text: str) -> str:
    if "\0" in text:
        raise ValueError("cannot hold a NUL character")
    return text


def _arguments(value: Any) -> Any:
    if isinstance(value, str):
        words = ", ".join(f'"{word}"' for word in value.split())
        raise ValueError(f"write a list, one item an argument: [{words}] (no shell reads it)")
    return value


def _names_program(words: tuple[str, ...]) -> tuple[str, ...]:
    if not words or not words[0]:
        raise ValueError("is empty: name the program to run, or leave the key out")
    return words


def _pattern(text: str) -> str:
    """A glob relative to the project, with `/` between parts."""
    parts = PurePosixPath(text).parts
    if not text or "\0" in text or "\\" in text or _DRIVE.match(text):
        raise ValueError(f"{text!r} is not a pattern: use relative paths with / between the parts")
    if text.startswith("/") or ".." in parts:
        raise ValueError(f"{text!r} leads out of the project: patterns are relative to {SPEC_NAME}")
    return text


def _requirement_file(text: str) -> str:
    if not text or text.startswith("/") or "\0" in text or "\\" in text or _DRIVE.match(text):
        raise ValueError(f"{text!r} is not a relative path: requirement files stand beside {SPEC_NAME}")
    name = PurePosixPath(text).name
    if not (name.endswith(_REQUIREMENT_FILES) or _REQUIREMENT_NAMES.fullmatch(name)):
        raise ValueError(
            f"{text!r} is none of: a requirements .txt or .in file, pyproject.toml, uv.lock, pylock.toml, "
            "environment.yml"
        )
    if text == "pylock.toml":
        raise ValueError(
            "pylock.toml beside the spec is mlbuild's own: move yours, for example to locked/pylock.toml"
        )
    return text


def _requirement(text: str) -> str:
    try:
        Requirement(text)
    except InvalidRequirement as error:
        reason = str(error).splitlines()[0]
        raise ValueError(f"{text!r} is not a requirement such as fastapi>=0.110: {reason}") from error
    return text


def _library(text: str) -> str:
    if not _LIBRARY.fullmatch(text):
        raise ValueError(f"{text!r} is not the name of a shared library, such as libcuda.so.1")
    return text


def _debian_package(text: str) -> str:
    if not _DEBIAN_PACKAGE.fullmatch(text):
        raise ValueError(
            f"{text!r} is not the name of a Debian package, such as libgl1: no version, no architecture"
        )
    return text


def _port(value: Any) -> Any:
    match = None if isinstance(value, bool) else _PORT.fullmatch(str(value))
    if match is None or not 1 <= int(match["number"]) <= 65535:
        raise ValueError(f'{value!r} is not a port: a number from 1 to 65535, or "53/udp"')
    return f"{int(match['number'])}/{match['protocol'] or 'tcp'}"


def _user(value: Any) -> Any:
    text = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
    if isinstance(text, str) and not _USER.fullmatch(text):
        raise ValueError(f"{text!r} is not a user: a name such as nonroot, a number, or uid:gid in quotes")
    return text


Repository = Annotated[str, AfterValidator(_repository)]
Word = Annotated[str, AfterValidator(_word)]
RequirementFile = Annotated[str, AfterValidator(_requirement_file)]
RequirementText = Annotated[str, AfterValidator(_requirement)]
DebianPackage = Annotated[str, AfterValidator(_debian_package)]
Text = Annotated[str, BeforeValidator(_text), AfterValidator(_argument)]
Arguments = Annotated[tuple[Text, ...], BeforeValidator(_arguments), AfterValidator(_names_program)]
User = Annotated[str, BeforeValidator(_user, json_schema_input_type=int | str)]
Pattern = Annotated[str, AfterValidator(_pattern)]
Library = Annotated[str, AfterValidator(_library)]
Platform = Literal["linux/amd64", "linux/arm64"]
Port = Annotated[str, BeforeValidator(_port, json_schema_input_type=int | str)]
