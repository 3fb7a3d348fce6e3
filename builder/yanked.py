"""Which of the chosen releases their index has withdrawn (PEP 592), by its JSON simple API (PEP 691).

uv takes a yanked release only where a requirement pins it exactly, and writes nothing of it into a lock. So
the index is asked for the projects that are locked, and only where a policy wants to know.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

import httpx
from pydantic import BaseModel, ConfigDict, ValidationError

from builder.index_client import IndexClient, index_client
from builder.uv import ResolvedWheel
from compliance.retries import Retries

_JSON = "application/vnd.pypi.simple.v1+json"


class _File(BaseModel):
    model_config = ConfigDict(extra="ignore")

    filename: str
    yanked: bool | str = False


class _Project(BaseModel):
    model_config = ConfigDict(extra="ignore")

    files: tuple[_File, ...]


def read_yanked(
    wheels: Sequence[ResolvedWheel],
    environment: Mapping[str, str],
    workers: int = 8,
    retries: Retries = Retries(),  # noqa: B008 - frozen
) -> dict[str, bool | None]:
    """Whether each wheel was yanked, by package name; None where its index cannot be asked or does not say."""
    with index_client(environment, retries) as client, ThreadPoolExecutor(workers) as pool:
        said = pool.map(lambda wheel: _is_yanked(wheel, client), wheels)
        return {wheel.name: yanked for wheel, yanked in zip(wheels, said, strict=True)}


def _is_yanked(wheel: ResolvedWheel, client: IndexClient) -> bool | None:
    if wheel.index is None:
        return None
    try:
        answer = client.get(
            f"{wheel.index.rstrip('/')}/{wheel.name}/", {"Accept": _JSON, "Accept-Encoding": "gzip"}
        )
        files = _Project.model_validate_json(answer.content).files
    except (httpx.HTTPError, ValidationError):
        return None
    return next((bool(one.yanked) for one in files if one.filename == wheel.filename), None)
