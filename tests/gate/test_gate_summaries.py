"""What the gate signs of its own admissions, and how those who pull check it."""

from __future__ import annotations

import io
import json
import re
import signal
import socket
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest

from compliance.attest.bundle import BUNDLE_TYPE, sign_statement, verify_bundle
from compliance.attest.keys import TrustedKeys, generate_key, load_signer
from compliance.attest.referrer import as_referrer, bundle_in
from compliance.attest.statement import subjects_for
from compliance.attest.summary import PREDICATE_TYPE, VerificationSummary, read_summary, summary_statement
from compliance.oci.digest import Digest
from compliance.oci.registry import RegistryClient, RegistryError
from gate.store import Store
from tests.gate.conftest import RunningGate
from tests.gate.interrupted import ATTACHES, PUBLISHES, StoppingProxy, push_into_the_void
from tests.gate.registry_process import Registry, eventually

pytestmark = pytest.mark.acceptance

NOW = datetime(2026, 11, 22, tzinfo=UTC)
AUDITED = """\
name: any
mode: audit
applies-to: {repositories: ["team/**"]}
rules:
  - id: not-root
    check: non-root
    effect: deny
    why: Root in the image is root in the cluster.
    fix: "Set `user: nonroot`."
"""


def public_key_of(gate, directory: Path) -> Path:
    path = directory / "gate-public.pem"
    path.write_text(httpx.get(f"http://{gate.host}/api/key", timeout=60).text)
    return path


def summaries_of(client, repository, image):
    return [
        entry
        for entry in client.referrers(repository, image.digest, BUNDLE_TYPE)
        if (entry.annotations or {})["dev.sigstore.bundle.predicateType"] == PREDICATE_TYPE
    ]


def statement_in(client, repository, entry, keys):
    artifact = client.get_manifest(repository, entry.digest).parse()
    with client.open_blob(repository, bundle_in(artifact).digest) as chunks:
        return verify_bundle(b"".join(chunks), keys)[0]


def push_bundle(client, repository, image, bundle):
    manifest, blobs = as_referrer(bundle, image.descriptor)
    for descriptor, data in blobs:
        client.push_blob(repository, descriptor.digest, descriptor.size, lambda data=data: io.BytesIO(data))
    raw = manifest.to_json()
    client.put_manifest(repository, Digest.of(raw), raw, manifest.media_type)


def run_verify(tmp_path: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    docker = tmp_path / "docker"
    docker.mkdir(exist_ok=True)
    host = arguments[0].partition("/")[0]
    # base64 of pod:correct horse
    (docker / "config.json").write_text(json.dumps({"auths": {host: {"auth": "cG9kOmNvcnJlY3QgaG9yc2U="}}}))
    return subprocess.run(
        [sys.executable, "-m", "builder", "verify", *arguments],
        capture_output=True,
        text=True,
        check=False,
        env={"DOCKER_CONFIG": str(docker), "HOME": str(tmp_path), "PATH": "/usr/bin", "COLUMNS": "200"},
    )


def test_an_admitted_image_has_one_summary_signed_by_the_gate(gate, make_image, tmp_path):
    image = make_image()
    keys = TrustedKeys.only(public_key_of(gate, tmp_path))
    with gate.client() as client:
        image.push(client, "team/proven", "v1")
        image.push(client, "team/proven", "v2")
    with gate.client("pod") as pod:
        (entry,) = summaries_of(pod, "team/proven", image)
        statement = statement_in(pod, "team/proven", entry, keys)
        decision = httpx.get(
            f"http://{gate.host}/v2/team/proven/manifests/{image.digest}",
            auth=("pod", "correct horse"),
            timeout=60,
        ).headers["Mlgate-Decision"]
    report = httpx.get(decision, auth=("pod", "correct horse"), timeout=60).json()
    summary = read_summary(statement)
    assert statement.subjects == subjects_for("team/proven", image.digest, image.manifest.config.digest)
    assert summary.passed
    assert summary.policy_digest == report["policy_digest"]
    assert summary.policy == "urn:mlbuild:policies:any"
    assert summary.levels == ("SLSA_BUILD_LEVEL_0",)
    assert summary.resource.startswith("pkg:oci/proven@sha256")
    assert [one.digest for one in summary.inputs] == [report["evidence_digest"]]


def test_the_gates_key_is_its_own_and_is_shown(gate, tmp_path):
    key = gate.data / "gate-key.pem"
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    shown = subprocess.run(
        [sys.executable, "-c", "from gate.cli import main; main()", "key", "show", "--data", str(gate.data)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert shown.stdout == public_key_of(gate, tmp_path).read_text()
    assert "PUBLIC KEY" in shown.stdout


def test_pullers_verify_with_the_public_key_alone(gate, make_image, tmp_path):
    image = make_image()
    with gate.client() as client:
        image.push(client, "team/checked", "v1")
    key = str(public_key_of(gate, tmp_path))
    done = run_verify(tmp_path, f"{gate.host}/team/checked:v1", "--key", key)
    assert done.returncode == 0, done.stderr
    assert f"VERIFIED {gate.host}/team/checked@{image.digest}" in done.stdout
    assert re.search(r"policy +urn:mlbuild:policies:any sha256:[0-9a-f]{64}", done.stdout)
    done = run_verify(tmp_path, f"{gate.host}/team/checked:v1", "--key", key, "--json")
    facts = json.loads(done.stdout)
    assert (facts["verified"], facts["digest"], facts["problems"]) == (True, image.digest, [])


def test_a_summary_of_another_gate_proves_nothing(gate, make_image, tmp_path):
    image = make_image()
    with gate.client() as client:
        image.push(client, "team/elsewhere", "v1")
    generate_key(tmp_path / "other.pem", tmp_path / "other-public.pem")
    done = run_verify(tmp_path, f"{gate.host}/team/elsewhere:v1", "--key", str(tmp_path / "other-public.pem"))
    assert done.returncode == 1
    assert f"NOT VERIFIED {gate.host}/team/elsewhere@{image.digest}" in done.stdout
    assert "signed by a key that is not trusted" in done.stdout


def test_what_cannot_be_asked_has_its_own_exit_codes(gate, make_image, tmp_path):
    key = str(public_key_of(gate, tmp_path))
    with gate.client() as client, pytest.raises(RegistryError):
        make_image(user="root").push(client, "team/refused", "v1")
    refused = run_verify(tmp_path, f"{gate.host}/team/refused:v1", "--key", key)
    assert refused.returncode == 1
    assert "not-root" in refused.stdout
    assert run_verify(tmp_path, f"{gate.host}/team/refused:v1").returncode == 2
    assert run_verify(tmp_path, f"{gate.host}/team/refused:v1", "--key", str(gate.key)).returncode == 2
    with closing(socket.socket()) as nobody:
        nobody.bind(("127.0.0.1", 0))
        away = f"127.0.0.1:{nobody.getsockname()[1]}/team/x:v1"
        assert run_verify(tmp_path, away, "--key", key).returncode == 3


@pytest.fixture(scope="module")
def auditing(tmp_path_factory: pytest.TempPathFactory, module_gate: Callable[..., RunningGate]) -> RunningGate:
    """A gate that blocks nothing, and so attaches no summaries of its own."""
    return module_gate(tmp_path_factory.mktemp("auditing"), {"any.yaml": AUDITED})


def test_a_summary_that_a_trusted_builder_signed_is_not_the_gates(auditing, make_image, tmp_path):
    """In an audited repository nothing is proven, whatever the evidence there claims."""
    gate = auditing
    image = make_image(user="root")
    claimed = VerificationSummary(
        verifier="urn:mlbuild:gate:local",
        at=NOW,
        resource="pkg:oci/claimed",
        policy="urn:mlbuild:policies:any",
        policy_digest=Digest.of(b"policy"),
        levels=("SLSA_BUILD_LEVEL_1",),
    )
    subjects = subjects_for("team/claimed", image.digest, image.manifest.config.digest)
    forged = sign_statement(summary_statement(subjects, claimed), load_signer(gate.key))
    with gate.client() as client:
        image.push(client, "team/claimed", "v1")
        assert summaries_of(client, "team/claimed", image) == []
        push_bundle(client, "team/claimed", image, forged)
        assert len(summaries_of(client, "team/claimed", image)) == 1
    reference, key = f"{gate.host}/team/claimed:v1", str(public_key_of(gate, tmp_path))
    done = run_verify(tmp_path, reference, "--key", key)
    assert done.returncode == 1
    assert "signed by a key that is not trusted" in done.stdout


@pytest.mark.parametrize(
    ("about", "passed", "problem"),
    [
        ("another image", True, "about something else"),
        ("another repository", True, "about something else"),
        ("this image", False, "does not comply"),
    ],
)
def test_what_the_gate_said_of_something_else_proves_nothing(
    auditing, make_image, tmp_path, about, passed, problem
):
    """The gate's own key stands here for summaries that it signed of other things, and that somebody moved."""
    gate, repository = auditing, f"team/moved-{about.replace(' ', '-')}"
    image, other = make_image(user="root"), make_image()
    signer = load_signer(gate.data / "gate-key.pem")
    meant = other if about == "another image" else image
    name = "sandbox/moved" if about == "another repository" else repository
    summary = VerificationSummary(
        verifier="urn:mlbuild:gate:local",
        at=NOW,
        resource="pkg:oci/moved",
        policy="urn:mlbuild:policies:any",
        policy_digest=Digest.of(b"policy"),
        levels=(),
        passed=passed,
    )
    statement = summary_statement(subjects_for(name, meant.digest, meant.manifest.config.digest), summary)
    key = public_key_of(gate, tmp_path)
    with gate.client() as client:
        image.push(client, repository, "v1")
        push_bundle(client, repository, image, sign_statement(statement, signer))
    reference = f"{gate.host}/{repository}:v1"
    done = run_verify(tmp_path, reference, "--key", str(key))
    assert done.returncode == 1
    assert problem in done.stdout
    if about == "another repository":
        done = run_verify(tmp_path, reference, "--key", str(key), "--repository", name)
        assert done.returncode == 0


def test_a_gate_killed_between_publication_and_summary_writes_it_at_the_next_start(
    start_gate, make_image, tmp_path, registry
):
    proxy = StoppingProxy(registry, at=ATTACHES, after=PUBLISHES)
    gate = start_gate("--upstream", f"http://127.0.0.1:{proxy.port}")
    image = make_image()
    with gate.client() as client:
        pushing = threading.Thread(target=push_into_the_void, args=(image, client))
        pushing.start()
        assert proxy.stopped.wait(timeout=60), gate.log
        gate.end(signal.SIGKILL)
        proxy.close()
        pushing.join()
    with closing(Store(gate.data / "gate.db")) as store:
        assert store.manifest("team/killed", "v1") is not None
        assert store.proofs.missing() == [("team/killed", image.digest)]

    gate.options = ("--upstream", f"http://127.0.0.1:{registry}")
    gate.start()
    with gate.client() as client:
        eventually(lambda: len(summaries_of(client, "team/killed", image)) == 1)
        image.push(client, "team/killed", "v1")
        assert len(summaries_of(client, "team/killed", image)) == 1
    done = run_verify(tmp_path, f"{gate.host}/team/killed:v1", "--key", str(public_key_of(gate, tmp_path)))
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_copy_in_a_plain_registry_verifies_by_the_name_it_was_admitted_under(make_image, tmp_path, registry):
    image = make_image()
    generate_key(tmp_path / "private.pem", tmp_path / "public.pem")
    summary = VerificationSummary("urn:x", NOW, "pkg:oci/x", "urn:x", Digest.of(b"policy"), ())
    subjects = subjects_for("serving/original", image.digest, image.manifest.config.digest)
    bundle = sign_statement(summary_statement(subjects, summary), load_signer(tmp_path / "private.pem"))
    with RegistryClient(f"127.0.0.1:{registry}") as client:
        image.push(client, "eu/copy", "v1")
        push_bundle(client, "eu/copy", image, bundle)
    arguments = (f"127.0.0.1:{registry}/eu/copy:v1", "--key", str(tmp_path / "public.pem"))
    done = run_verify(tmp_path, *arguments)
    assert done.returncode == 1
    assert "about something else: serving/original" in done.stdout
    done = run_verify(tmp_path, *arguments, "--repository", "serving/original")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("later", "code", "said"),
    [
        ({"pullable_until": NOW + timedelta(days=3650)}, 0, "VERIFIED, NO LONGER COMPLIES"),
        ({"pullable_until": NOW}, 1, "it no longer complies, and was pullable until 2026-11-22 00:00 UTC (urn:x)"),
        ({"passed": False}, 1, "urn:x found at 2026-11-22 00:00 UTC that it does not comply"),
    ],
)
def test_the_newest_summary_of_a_copy_is_what_counts(make_image, tmp_path, registry, later, code, said):
    image = make_image()
    generate_key(tmp_path / "private.pem", tmp_path / "public.pem")
    before = VerificationSummary("urn:x", NOW - timedelta(days=1), "pkg:oci/x", "urn:x", Digest.of(b"policy"), ())
    subjects = subjects_for("serving/copied", image.digest, image.manifest.config.digest)
    signer = load_signer(tmp_path / "private.pem")
    with RegistryClient(f"127.0.0.1:{registry}") as client:
        image.push(client, "serving/copied", "v1")
        for summary in (replace(before, at=NOW, **later), before):
            push_bundle(
                client, "serving/copied", image, sign_statement(summary_statement(subjects, summary), signer)
            )
    done = run_verify(tmp_path, f"127.0.0.1:{registry}/serving/copied:v1", "--key", str(tmp_path / "public.pem"))
    assert done.returncode == code, done.stdout + done.stderr
    assert said in done.stdout


def test_many_pushes_at_once_leave_one_summary(gate, make_image):
    image = make_image()
    with gate.client() as client:
        image.push_blobs(client, "team/summed")
        threads = [
            threading.Thread(target=image.push, args=(client, "team/summed", f"v{number}")) for number in range(6)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(client.tags("team/summed")) == 6
        assert len(summaries_of(client, "team/summed", image)) == 1


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[int]:
    """The port of a registry that is not the gate's own."""
    running = Registry(tmp_path / "behind")
    running.start()
    yield running.port
    running.stop()
