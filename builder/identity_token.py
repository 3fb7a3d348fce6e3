"""The signed token with which a CI tells who a job is (OpenID Connect)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import httpx
from pydantic import BaseModel, Field, ValidationError

from compliance.errors import InvalidInput, Location, Unavailable

TOKEN: Final = "MLBUILD_ID_TOKEN"  # noqa: S105 - the name of a variable
_GITHUB_URL: Final = "ACTIONS_ID_TOKEN_REQUEST_URL"
_GITHUB_TOKEN: Final = "ACTIONS_ID_TOKEN_REQUEST_TOKEN"  # noqa: S105 - the name of a variable
_WAIT: Final = httpx.Timeout(30)


class _Answer(BaseModel):
    value: str = Field(min_length=1)


def identity_token(audience: str, environment: Mapping[str, str], file: Path | None = None) -> str:
    """This job's token for `audience`.

    From `file` where it is given; from MLBUILD_ID_TOKEN, which a CI such as GitLab sets as its
    configuration says; from GitHub Actions, which is asked for one. Raises InvalidInput when there is none
    of them, Unavailable when GitHub does not answer.
    """
    if file is not None:
        return _read(file)
    if given := environment.get(TOKEN):
        return given.strip()
    url, bearer = environment.get(_GITHUB_URL), environment.get(_GITHUB_TOKEN)
    if not url or not bearer:
        raise InvalidInput(
            "this job has no identity token",
            remedy=f"On GitHub give the job `permissions: id-token: write`; elsewhere set {TOKEN}.",
        )
    return _ask_github(url, bearer, audience)


def _read(file: Path) -> str:
    try:
        token = file.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(f"holds no token: {error}", at=Location(file)) from error
    if not token:
        raise InvalidInput("holds no token", at=Location(file))
    return token


def _ask_github(url: str, bearer: str, audience: str) -> str:
    try:
        asked = httpx.URL(url)
        answer = httpx.get(
            asked.copy_merge_params({"audience": audience}),
            headers={"Authorization": f"bearer {bearer}", "Accept": "application/json"},
            timeout=_WAIT,
        )
        answer.raise_for_status()
        return _Answer.model_validate_json(answer.content).value
    except (httpx.HTTPError, httpx.InvalidURL, ValidationError) as error:
        raise Unavailable(f"GitHub gives this job no identity token: {type(error).__name__}") from error
