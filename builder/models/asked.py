"""What a spec says of a model file."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from glob import escape
from itertools import pairwise
from typing import Annotated, Final
from urllib.parse import unquote, urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

DEFAULT_FOLDER: Final = "/models"

_DRIVE: Final = re.compile(r"[A-Za-z]:")
_FILE_NAME: Final = re.compile(r"[^/\0]{1,255}")
_SYSTEM_FOLDERS: Final = frozenset(
    {
        *("bin", "boot", "dev", "etc", "lib", "lib32", "lib64", "libo32", "libx32"),
        *("proc", "root", "run", "sbin", "sys", "tmp", "usr", "var"),
    }
)


def _own_file(text: str) -> str:
    parts = text.split("/")
    if not text or "\0" in text or "\\" in text or _DRIVE.match(text) or {"", ".", ".."} & set(parts):
        raise ValueError(f"{text!r} is not the path of a file in the project; for others give a url: file:///...")
    return text


def _address(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in {"https", "http", "file"} or not (parts.netloc or parts.scheme == "file"):
        raise ValueError(f"{text!r} is not an https, http or file address")
    if "@" in parts.netloc:
        raise ValueError("the address holds a user name or password, and the spec is published: use ~/.netrc")
    if parts.fragment or " " in text:
        raise ValueError(f"{text!r} is not the address of a file")
    return text


def _place_of_model(text: str) -> str:
    top, *rest = text.removeprefix("/").split("/")
    if not text.startswith("/") or "\0" in text or {"", ".", ".."} & {top, *rest}:
        raise ValueError(f"{text!r} is not an absolute path to a file")
    if top in _SYSTEM_FOLDERS or text.startswith("/opt/venv/"):
        raise ValueError(f"{text} is among the system's own files: use /models, /data, /app or the user's home")
    return text


class Model(BaseModel):
    """A model file, from the project or from an address, as a layer of its own."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: Annotated[str, AfterValidator(_own_file)] | None = Field(
        default=None, description="A file of the project, relative to the spec."
    )
    url: Annotated[str, AfterValidator(_address)] | None = Field(
        default=None, description="An https, http or file address; needs sha256."
    )
    to: Annotated[str, AfterValidator(_place_of_model)] | None = Field(
        default=None, description="Where it is in the image; /models/NAME by default."
    )
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None = Field(
        default=None, description="Its sha256, as 64 hexadecimal digits. `mlbuild lock` finds it for a path."
    )

    @model_validator(mode="after")
    def _one_source(self) -> Model:
        if (self.path is None) == (self.url is None):
            raise ValueError("give one of path and url")
        if self.url is not None and self.sha256 is None:
            raise ValueError(
                "a model from an address needs its sha256: publishers list it, or run "
                f"`curl -fsSL {self.url} | sha256sum`"
            )
        if self.to is None and not _FILE_NAME.fullmatch(self._name):
            raise ValueError(f"{self._name!r} is no name for a file: say with `to` where the model goes")
        return self

    @property
    def source(self) -> str:
        """Where it comes from: a path or an address."""
        return self.path or self.url or ""

    @property
    def target(self) -> str:
        """Its absolute path in the image."""
        return self.to or f"{DEFAULT_FOLDER}/{self._name}"

    @property
    def _name(self) -> str:
        return (
            self.path.rpartition("/")[2]
            if self.path
            else unquote(urlsplit(self.url or "").path.rpartition("/")[2])
        )


def keep_apart(models: tuple[Model, ...]) -> tuple[Model, ...]:
    """The models, none of which takes the place of another. Raises ValueError that names the place."""
    targets = sorted(model.target for model in models)
    for one, other in pairwise(targets):
        if one == other:
            raise ValueError(f"two models go to {one}")
    for one in targets:
        if any(other.startswith(f"{one}/") for other in targets):
            raise ValueError(f"{one} is a model, so nothing can go below it")
    return models


def asked(models: Sequence[Model]) -> tuple[str, ...]:
    """What is asked for, a line each, sorted by place; the sha256 apart, which the spec need not say."""
    return tuple(f"{model.source} to {model.target}" for model in sorted(models, key=lambda model: model.target))


def patterns_of_models(models: Sequence[Model]) -> Iterator[str]:
    """Patterns for the files of the project that are models, and those whose place in /app a model takes."""
    for model in models:
        if model.path is not None:
            yield escape(model.path)
        if model.target.startswith("/app/"):
            yield escape(model.target.removeprefix("/app/"))
