"""One comment on a pull request, written again each time and never repeated."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx
from pydantic import BaseModel, TypeAdapter, ValidationError

from compliance.errors import InvalidInput, Location, Unavailable

MOST: Final = 65_000
"""Characters of a comment; GitHub takes 65,536."""

_WAIT: Final = httpx.Timeout(30)
_MOST_PAGES: Final = 50
_PAGE: Final = 100


class _User(BaseModel):
    type: str = ""


class _Comment(BaseModel):
    id: int
    body: str | None = None
    user: _User | None = None
    html_url: str = ""


_COMMENTS: Final = TypeAdapter(list[_Comment])


class _PullRequest(BaseModel):
    number: int


class _Event(BaseModel):
    pull_request: _PullRequest


@dataclass(frozen=True, slots=True)
class PullRequest:
    """Where a workflow was started from, and the token that it may comment with."""

    api: str
    repository: str
    number: int
    token: str

    @classmethod
    def of_workflow(cls, environment: Mapping[str, str]) -> PullRequest:
        """The pull request of the workflow whose environment this is. Raises InvalidInput when there is none."""
        names = ("GITHUB_EVENT_PATH", "GITHUB_REPOSITORY", "GITHUB_TOKEN")
        missing = [name for name in names if not environment.get(name)]
        if missing:
            raise InvalidInput(
                f"there is no pull request to comment on: {', '.join(missing)} not set",
                remedy="Comment from a workflow of a pull request, with `GITHUB_TOKEN: ${{ github.token }}`.",
            )
        path, repository, token = (environment[name] for name in names)
        try:
            event = _Event.model_validate_json(Path(path).read_bytes())
        except (OSError, ValidationError) as error:
            raise InvalidInput(
                "tells of no pull request", at=Location(Path(path)), remedy="Start the workflow on: pull_request."
            ) from error
        api = environment.get("GITHUB_API_URL") or "https://api.github.com"
        return cls(api, repository, event.pull_request.number, token)

    def comment(self, marker: str, text: str) -> str:
        """Write the comment that begins with `marker`, over an earlier one; returns its address.

        Only a comment of a bot counts as the earlier one, so that nobody's own words are written over.
        Raises Unavailable when GitHub does not answer or does not allow it.
        """
        body = f"{marker}\n{text}"
        if len(body) > MOST:
            body = body[:MOST].rpartition("\n")[0] + "\n\nThe rest does not fit; it is in the job's summary.\n"
        headers = {"Authorization": f"Bearer {self.token}", "Accept": "application/vnd.github+json"}
        issue = f"/repos/{self.repository}/issues"
        try:
            with httpx.Client(base_url=self.api, headers=headers, timeout=_WAIT) as http:
                earlier = next((one for one in self._comments(http) if _is_ours(one, marker)), None)
                if earlier is None:
                    answer = _sent(http, "POST", f"{issue}/{self.number}/comments", {"body": body})
                else:
                    answer = _sent(http, "PATCH", f"{issue}/comments/{earlier.id}", {"body": body})
                return _Comment.model_validate_json(answer.content).html_url
        except httpx.HTTPError as error:
            raise Unavailable(f"{self.api} does not answer: {error}") from error
        except ValidationError as error:
            raise Unavailable(f"{self.api} answers something else than comments") from error

    def _comments(self, http: httpx.Client) -> Iterator[_Comment]:
        for page in range(1, _MOST_PAGES + 1):
            path = f"/repos/{self.repository}/issues/{self.number}/comments?per_page={_PAGE}&page={page}"
            found = _COMMENTS.validate_json(_sent(http, "GET", path).content)
            yield from found
            if len(found) < _PAGE:
                return


def _is_ours(comment: _Comment, marker: str) -> bool:
    return (comment.body or "").startswith(marker) and comment.user is not None and comment.user.type == "Bot"


def _sent(http: httpx.Client, method: str, path: str, body: Any = None) -> httpx.Response:
    answer = http.request(method, path, content=None if body is None else json.dumps(body))
    if not answer.is_success:
        raise Unavailable(
            f"{method} {answer.url.path}: GitHub answers {answer.status_code}",
            remedy="Give the job `permissions: pull-requests: write`; a fork's pull request never has it.",
        )
    return answer
