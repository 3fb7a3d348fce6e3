"""Where a registry in plain HTTP leads to a storage over TLS."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from ipaddress import IPv4Address
from pathlib import Path

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from compliance.errors import Unavailable
from compliance.oci.digest import Digest
from compliance.oci.registry import RegistryClient

BLOB = b"what the storage holds"


@contextmanager
def serving(answer: type[BaseHTTPRequestHandler], context: ssl.SSLContext | None = None) -> Iterator[str]:
    """A server on loopback, as `host:port`, until the block ends."""
    with HTTPServer(("127.0.0.1", 0), answer) as server:
        if context is not None:
            server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


class Silent(BaseHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass


class Storage(Silent):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(BLOB)))
        self.end_headers()
        self.wfile.write(BLOB)


def made_up(folder: Path) -> Path:
    """A key and a certificate for 127.0.0.1 that nobody vouches for, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([])
    now = datetime.now(UTC)
    address = x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(address, critical=True)
        .sign(key, SHA256())
    )
    path = folder / "storage.pem"
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path.write_bytes(private + certificate.public_bytes(Encoding.PEM))
    return path


def test_a_storage_whose_certificate_nobody_vouches_for_is_not_read(tmp_path: Path) -> None:
    certificate = made_up(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with serving(Storage, context) as storage:
        told = ssl.create_default_context(cafile=certificate)
        assert httpx.get(f"https://{storage}/", verify=told, trust_env=False).content == BLOB

        class Registry(Silent):
            def do_GET(self) -> None:
                self.send_response(307)
                self.send_header("Location", f"https://{storage}/")
                self.send_header("Content-Length", "0")
                self.end_headers()

        with serving(Registry) as registry:
            for _ in range(2):
                with (
                    RegistryClient(registry) as client,
                    pytest.raises(Unavailable, match="CERTIFICATE_VERIFY_FAILED"),
                    client.open_blob("team/a", Digest.of(BLOB)),
                ):
                    pass
