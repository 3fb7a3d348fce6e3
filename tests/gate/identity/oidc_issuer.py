"""An OIDC issuer on a socket of its own, with real keys: for pipelines, and for people in a browser.

At its authorization endpoint, whoever comes clicks on who they are.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import json
import secrets
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode

from joserfc import jwt
from joserfc.jwk import ECKey, RSAKey

AUDIENCE = "https://gate.example.org"
CLIENT_SECRET = "a secret: with / and +"
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
        self.people: dict[str, dict[str, Any]] = {}
        self.codes: dict[str, tuple[str, dict[str, str]]] = {}
        self.changed: dict[str, Any] = {}
        self.key = "first"
        self.ends_at = ""
        self.gone: list[str] = []

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
            end = {"end_session_endpoint": self.ends_at} if self.ends_at else {}
            return {
                **end,
                "issuer": self.calls_itself or self.url,
                "jwks_uri": f"{self.url}/keys",
                "authorization_endpoint": f"{self.url}/authorize?tenant=one",
                "token_endpoint": f"{self.url}/token",
                "authorization_response_iss_parameter_supported": True,
            }
        if path == "/keys":
            public = [{**key.as_dict(private=False), "kid": name, "use": "sig"} for name, key in self.keys.items()]
            return {"keys": public if self.published is None else self.published}
        return None

    def authorize(self, query: dict[str, str]) -> str:
        """A page on which somebody says who they are."""
        assert (query["response_type"], query["tenant"]) == ("code", "one")
        links = (f'<p><a href="/allow?{urlencode({**query, "as": name})}">{name}</a></p>' for name in self.people)
        return f'<!doctype html><html lang="en"><title>Who are you?</title>{"".join(links)}</html>'

    def allow(self, query: dict[str, str]) -> str:
        """Where somebody goes on with a code."""
        code = secrets.token_urlsafe(16)
        self.codes[code] = query["as"], query
        answer = urlencode({"code": code, "state": query["state"], "iss": self.url})
        return f"{query['redirect_uri']}?{answer}"

    def end(self, query: dict[str, str]) -> str:
        """Where somebody goes on whose session has ended (RP-Initiated Logout 1.0): the hint says who."""
        token = jwt.decode(query["id_token_hint"], self.keys[self.key])
        assert token.claims["aud"] == query["client_id"]
        self.gone.append(token.claims["sub"])
        return f"{query['post_logout_redirect_uri']}?{urlencode({'state': query['state']})}"

    def redeem(self, form: dict[str, str], authorization: str) -> tuple[int, dict[str, str]]:
        """The ID token for a code, which is good once (RFC 6749, RFC 7636)."""
        who, asked = self.codes.pop(form["code"], ("", {}))
        login = base64.b64encode(f"{asked.get('client_id')}:{quote(CLIENT_SECRET, safe='')}".encode()).decode()
        challenge = base64.urlsafe_b64encode(hashlib.sha256(form["code_verifier"].encode()).digest())
        if not who or authorization != f"Basic {login}" or form["redirect_uri"] != asked["redirect_uri"]:
            return 400, {"error": "invalid_grant"}
        if challenge.rstrip(b"=").decode() != asked["code_challenge"]:
            return 400, {"error": "invalid_grant"}
        claims = {"aud": asked["client_id"], "nonce": asked["nonce"], **self.people[who], **self.changed}
        return 200, {"id_token": self.token(claims, key=self.key), "access_token": "none", "token_type": "Bearer"}

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
            path, _, query = self.path.partition("?")
            if path == "/authorize":
                self._say(200, issuer.authorize(dict(parse_qsl(query))).encode(), "text/html")
            elif path in {"/allow", "/end"}:
                leave = issuer.allow if path == "/allow" else issuer.end
                self.send_response(302)
                self.send_header("Location", leave(dict(parse_qsl(query))))
                self.send_header("Content-Length", "0")
                self.end_headers()
            else:
                answer = issuer.answer(self.path)
                self._say(503 if answer is None else 200, json.dumps(answer).encode())

        def do_POST(self) -> None:
            form = self.rfile.read(int(self.headers["Content-Length"])).decode()
            status, answer = issuer.redeem(dict(parse_qsl(form)), self.headers.get("Authorization", ""))
            self._say(status, json.dumps(answer).encode())

        def _say(self, status: int, body: bytes, kind: str = "application/json") -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *arguments: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        issuer.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield issuer
        finally:
            server.shutdown()
            thread.join()
