"""GitHub as a workflow sees it: comments on a pull request, and identity tokens for jobs."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.gate.identity.oidc_issuer import TestIssuer

TOKEN = "token-of-the-job"
CLAIMS = {"repository_owner_id": "9919", "repository_owner": "octo", "ref": "refs/heads/main"}


class GitHubService:
    """What it keeps can be looked at and changed while it runs."""

    def __init__(self, issuer: TestIssuer | None = None) -> None:
        self.issuer = issuer
        self.comments: list[dict[str, Any]] = []
        self.written: list[str] = []
        self.url = ""
        self.claims = dict(CLAIMS)

    def add_comment(self, body: str, kind: str) -> dict[str, Any]:
        number = len(self.comments) + 1
        address = f"{self.url}/octo/iris/pull/7#issuecomment-{number}"
        comment = {"id": number, "body": body, "user": {"type": kind}, "html_url": address}
        self.comments.append(comment)
        return comment

    def answer(self, method: str, target: str, token: str, body: dict[str, Any]) -> tuple[int, Any]:
        parts = urlsplit(target)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        if parts.path == "/identity" and self.issuer is not None:
            claims = {**self.claims, "aud": query["audience"]}
            return (200, {"value": self.issuer.token(claims)}) if token == f"bearer {TOKEN}" else (401, {})
        if token != f"Bearer {TOKEN}":
            return 403, {"message": "Resource not accessible by integration"}
        if (method, parts.path) == ("GET", "/repos/octo/iris/issues/7/comments"):
            size, page = int(query["per_page"]), int(query["page"])
            return 200, self.comments[size * (page - 1) : size * page]
        if (method, parts.path) == ("POST", "/repos/octo/iris/issues/7/comments"):
            self.written.append(method)
            return 201, self.add_comment(body["body"], "Bot")
        found = re.fullmatch(r"/repos/octo/iris/issues/comments/(\d+)", parts.path)
        if method == "PATCH" and found:
            self.written.append(method)
            comment = self.comments[int(found[1]) - 1]
            comment["body"] = body["body"]
            return 200, comment
        return 404, {"message": "Not Found"}


@contextmanager
def running(issuer: TestIssuer | None = None) -> Iterator[GitHubService]:
    service = GitHubService(issuer)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(length) or b"{}")
            status, answer = service.answer(self.command, self.path, self.headers.get("Authorization", ""), body)
            raw = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(raw)))
            self.end_headers()
            self.wfile.write(raw)

        do_POST = do_PATCH = do_GET  # noqa: N815 - the names are http.server's

        def log_message(self, *arguments: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        service.url = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield service
        finally:
            server.shutdown()
            thread.join()
