"""A real registry on the loopback, open or behind a token service."""

from __future__ import annotations

import base64
import json
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from compliance.errors import Unavailable
from compliance.oci.registry import Credentials, RegistryClient, RegistryError
from tests.held_port import HeldPort

StartRegistry = Callable[..., str]


@pytest.fixture
def start_registry(tmp_path: Path) -> Iterator[StartRegistry]:
    """Starts registries that end with the test; returns `host:port`. `auth` is that part of the configuration."""
    running: list[subprocess.Popen[bytes]] = []
    held: list[HeldPort] = []

    def start(auth: dict[str, Any] | None = None) -> str:
        held.append(HeldPort())
        host = f"127.0.0.1:{held[-1].number}"
        root = tmp_path / f"registry-{len(running)}"
        root.mkdir()
        config = {
            "version": 0.1,
            "log": {"level": "error", "accesslog": {"disabled": True}},
            "storage": {"filesystem": {"rootdirectory": str(root / "storage")}},
            "http": {"addr": host, "secret": "of-the-test"},
            **({"auth": auth} if auth else {}),
        }
        (root / "config.json").write_text(json.dumps(config))
        with (root / "log").open("wb") as log:
            running.append(
                subprocess.Popen(["docker-registry", "serve", root / "config.json"], stdout=log, stderr=log)
            )
        deadline = time.monotonic() + 120
        while not _answers(host):
            assert time.monotonic() < deadline, (root / "log").read_text()
            time.sleep(0.05)
        return host

    yield start
    for process in running:
        process.kill()
        process.wait()


def _answers(host: str) -> bool:
    try:
        with RegistryClient(host) as client:
            client.ping()
    except RegistryError:
        return True
    except Unavailable:
        return False
    return True


@dataclass
class TokenService:
    """The token service of the distribution specification, for one user. `scopes` is what it was asked for."""

    credentials: Credentials
    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate
    scopes: list[str] = field(default_factory=list)
    seconds: int = 300
    url: str = ""

    def token(self, scope: str) -> str:
        kind, _, rest = scope.partition(":")
        name, _, actions = rest.rpartition(":")
        now = int(time.time())
        header = {
            "typ": "JWT",
            "alg": "ES256",
            "x5c": [base64.b64encode(self.certificate.public_bytes(Encoding.DER)).decode()],
        }
        claims = {
            "iss": "the-test",
            "sub": self.credentials.username,
            "aud": "the-registry",
            "exp": now + 300,
            "nbf": now - 10,
            "iat": now,
            "jti": str(len(self.scopes)),
            "access": [{"type": kind, "name": name, "actions": actions.split(",")}] if scope else [],
        }
        signed = ".".join(_base64url(json.dumps(part).encode()) for part in (header, claims))
        r, s = decode_dss_signature(self.key.sign(signed.encode(), ec.ECDSA(SHA256())))
        return f"{signed}.{_base64url(r.to_bytes(32, 'big') + s.to_bytes(32, 'big'))}"


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


@pytest.fixture
def token_service(tmp_path: Path) -> Iterator[TokenService]:
    """A token service on the loopback, whose certificate is in `tmp_path/root.pem`."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "the test")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, SHA256())
    )
    (tmp_path / "root.pem").write_bytes(certificate.public_bytes(Encoding.PEM))
    service = TokenService(Credentials("ci", "secret"), key, certificate)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            scope = parse_qs(urlsplit(self.path).query).get("scope", [""])[0]
            if self.headers.get("Authorization") != service.credentials.basic:
                self.send_error(401)
                return
            service.scopes.append(scope)
            body = json.dumps({"token": service.token(scope), "expires_in": service.seconds}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *arguments: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    service.url = f"http://127.0.0.1:{server.server_address[1]}/token"
    yield service
    server.shutdown()
    thread.join()
    server.server_close()
