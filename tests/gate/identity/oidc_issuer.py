"""An OIDC issuer on a socket of its own, with real keys."""

from __future__ import annotations

import functools
import json
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from joserfc import jwt
from joserfc.jwk import ECKey, RSAKey

AUDIENCE = "https://gate.example.org"
ACCESS = """\
oidc:
  - name: github
    provider: github
    issuer: {url}
    audience: {audience}
    grants:
      - when: {{repository_owner_id: "9919", ref: refs/heads/main}}
        role: pusher
        repositories: ["{{repository_owner}}/**"]
"""


@functools.cache
def _first_key() -> RSAKey:
    return RSAKey.generate_key(2048, {"kid": "first"})


class TestIssuer:
    """What it answers can be changed while it runs: its keys, what it calls itself, and whether it answers."""

    __test__ = False

    def __init__(self) -> None:
        self.keys: dict[str, RSAKey | ECKey] = {"first": _first_key()}
        self.asked: list[str] = []
        self.down = False
        self.port = 0
        self.calls_itself: str | None = None
        self.published: list[dict[str, Any]] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def add_key(self, name: str) -> None:
        self.keys[name] = ECKey.generate_key("P-256", {"kid": name})

    def answer(self, path: str) -> Any | None:
        self.asked.append(path)
        if self.down:
            return None
        if path == "/.well-known/openid-configuration":
            return {"issuer": self.calls_itself or self.url, "jwks_uri": f"{self.url}/keys"}
        if path == "/keys":
            public = [{**key.as_dict(private=False), "kid": name, "use": "sig"} for name, key in self.keys.items()]
            return {"keys": public if self.published is None else self.published}
        return None

    def token(
        self,
        claims: Mapping[str, Any] | None = None,
        *,
        key: str = "first",
        at: float | None = None,
        **changed: Any,
    ) -> str:
        """A token with good claims, but for `changed`; None leaves one out."""
        now = int(time.time() if at is None else at)
        good = {"iss": self.url, "aud": AUDIENCE, "sub": "repo:octo/app:ref:refs/heads/main"}
        times = {"iat": now, "nbf": now, "exp": now + 300}
        all_claims = {**good, **times, **(claims or {}), **changed}
        signing = self.keys[key]
        algorithm = "RS256" if isinstance(signing, RSAKey) else "ES256"
        return jwt.encode(
            {"alg": algorithm, "kid": key},
            {name: value for name, value in all_claims.items() if value is not None},
            signing,
        )


@contextmanager
def running() -> Iterator[TestIssuer]:
    issuer = TestIssuer()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answer = issuer.answer(self.path)
            body = json.dumps(answer).encode()
            self.send_response(503 if answer is None else 200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *arguments: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        issuer.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield issuer
        finally:
            server.shutdown()
            thread.join()
