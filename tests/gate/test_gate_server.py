"""The gate as a process: how it starts, where it listens, and how it ends."""

from __future__ import annotations

import datetime
import os
import signal
import socket
import ssl
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from compliance.oci.manifest import OCI_MANIFEST

pytestmark = pytest.mark.acceptance

MALFORMED = sorted((Path(__file__).parent / "data" / "manifests").glob("*.json"))


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_a_gate_that_is_told_to_stop_ends_well_and_takes_its_registry_along(start_gate, how):
    gate = start_gate()
    pid = gate.process.pid
    (registry,) = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    assert gate.end(how) == 0
    assert not Path(f"/proc/{registry}/cmdline").exists() or not Path(f"/proc/{registry}/cmdline").read_bytes()


def serve(*options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from gate.cli import main; main()", "serve", *options]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)


def test_a_port_that_is_taken_is_a_message_and_exit_code_2(tmp_path):
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        done = serve("--listen", f"127.0.0.1:{taken.getsockname()[1]}", "--data", str(tmp_path))
    assert done.returncode == 2
    assert "cannot listen" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_second_gate_on_the_same_data_does_not_start(gate):
    done = serve(
        *("--listen", "127.0.0.1:0", "--data", str(gate.data), "--policies", str(gate.policies)),
        *("--bases", str(gate.root / "bases"), "--trusted-keys", str(gate.root / "keys")),
        *("--users", str(gate.root / "users.yaml")),
    )
    assert done.returncode == 3
    assert f"another gate runs on {gate.data}" in done.stderr


def test_a_malformed_policy_keeps_the_gate_from_starting_and_is_named_with_its_line(gate, tmp_path):
    (tmp_path / "policies").mkdir()
    (tmp_path / "policies" / "bad.yaml").write_text("name: bad\nrules:\n  - {id: a, check: nonroot}\n")
    done = serve(
        *("--listen", "127.0.0.1:0", "--data", str(tmp_path / "data"), "--policies", str(tmp_path / "policies")),
        *("--bases", str(gate.root / "bases"), "--trusted-keys", str(gate.root / "keys")),
        *("--users", str(gate.root / "users.yaml")),
    )
    assert done.returncode == 2
    assert "bad.yaml:3: " in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--data", "FILE"], "FILE: cannot be written: File exists\n  -> Choose another --data directory"),
        (["--data", "FILE/below"], "FILE/below: cannot be written: Not a directory\n  -> Choose another --data"),
        (["--tls-certificate", "none", "--tls-key", "FILE"], "tls_key: No such file or directory\n  -> Each of"),
        (
            ["--tls-certificate", "FILE", "--tls-key", "FILE"],
            "  -> Each of these is to be a PEM file that the gate",
        ),
        (["--access", "FILE.yaml"], "FILE.yaml: there is no such access file\n  -> Write it, or leave"),
    ],
)
def test_files_that_the_gate_cannot_serve_with_are_a_message_and_exit_code_2(gate, tmp_path, options, said):
    file = tmp_path / "no-directory"
    file.write_text("no certificate")
    done = serve(
        *("--listen", "127.0.0.1:0", "--data", str(tmp_path / "data"), "--users", str(gate.root / "users.yaml")),
        *(option.replace("FILE", str(file)) for option in options),
    )
    assert done.returncode == 2
    assert said.replace("FILE", str(file)) in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("path", MALFORMED, ids=lambda path: path.stem)
def test_a_malformed_manifest_is_a_bad_request(gate, path):
    answer = httpx.put(
        f"http://{gate.host}/v2/team/malformed/manifests/v1",
        content=path.read_bytes(),
        headers={"Content-Type": OCI_MANIFEST},
        auth=("ci", "correct horse"),
        timeout=60,
    )
    assert answer.status_code == 400
    (error,) = answer.json()["errors"]
    assert error["code"] == "MANIFEST_INVALID"


@pytest.mark.parametrize(("path", "allowed"), [("/healthz", {200}), ("/readyz", {200, 503}), ("/", {303})])
def test_load_balancers_may_probe_with_head(gate, path, allowed):
    """The first page sends whoever is not logged in to do so; readiness may change between two questions."""
    asked, told = (httpx.request(method, f"http://{gate.host}{path}", timeout=60) for method in ("HEAD", "GET"))
    assert {asked.status_code, told.status_code} <= allowed
    assert asked.content == b""
    assert asked.headers.get("Content-Type") == told.headers.get("Content-Type")


def test_with_a_certificate_the_gate_speaks_tls(start_gate, make_image, tmp_path):
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, SHA256())
    )
    (tmp_path / "gate.pem").write_bytes(certificate.public_bytes(Encoding.PEM))
    (tmp_path / "gate.key").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    gate = start_gate("--tls-certificate", str(tmp_path / "gate.pem"), "--tls-key", str(tmp_path / "gate.key"))
    trusting = ssl.create_default_context(cafile=str(tmp_path / "gate.pem"))
    image = make_image({"app/large": os.urandom(3_000_000)})
    raw = {blob.digest: image.layout.read_bytes(blob.digest) for blob in image.manifest.layers}
    raw[image.manifest.config.digest] = image.layout.read_bytes(image.manifest.config.digest)
    with httpx.Client(
        base_url=f"https://localhost:{gate.port}", auth=("ci", "correct horse"), verify=trusting, timeout=60
    ) as client:
        for digest, data in raw.items():
            assert client.post(f"/v2/a/blobs/uploads/?digest={digest}", content=data).status_code == 201
        headers = {"Content-Type": OCI_MANIFEST}
        assert client.put("/v2/a/manifests/v1", content=image.raw, headers=headers).status_code == 201
        for digest, data in raw.items():
            assert client.get(f"/v2/a/blobs/{digest}").content == data


def test_an_answer_in_two_parts_does_not_wait_for_the_client(gate):
    """With Nagle's algorithm on, each would take 40 ms."""
    with httpx.Client(base_url=f"http://{gate.host}", auth=("pod", "correct horse"), timeout=60) as client:
        client.get("/v2/")
        times = []
        for _ in range(50):
            begin = time.perf_counter()
            client.get("/v2/")
            times.append(time.perf_counter() - begin)
    assert min(times) < 0.03
