"""Robots and pipelines at a running gate, with the clients that people have, and what must never leave it."""

from __future__ import annotations

import base64
import json
import re
import socket
import subprocess
import sys
from contextlib import closing

import bcrypt
import httpx
import pytest

from compliance.oci.credentials import Credentials
from compliance.oci.registry import RegistryClient
from tests.gate.conftest import NOT_ROOT, PASSWORD, prepare
from tests.gate.identity.oidc_issuer import ACCESS, AUDIENCE, running
from tests.gate.registry_process import eventually
from tests.held_port import HeldPort

pytestmark = pytest.mark.acceptance

SECRET = "what-only-the-gate-knows"


@pytest.fixture(scope="module")
def the_issuer():
    with running() as issuer:
        yield issuer


@pytest.fixture(scope="module")
def registry(tmp_path_factory):
    """A registry that lets in whoever knows the secret."""
    root = tmp_path_factory.mktemp("registry")
    held = HeldPort()
    hashed = bcrypt.hashpw(SECRET.encode(), bcrypt.gensalt(4)).decode()
    (root / "htpasswd").write_text(f"gate:{hashed.replace('$2b$', '$2y$')}\n")
    (root / "config.yml").write_text(
        "version: 0.1\nlog: {level: error, accesslog: {disabled: true}}\n"
        f"storage: {{filesystem: {{rootdirectory: {root}/storage}}}}\n"
        f"auth: {{htpasswd: {{realm: registry, path: {root}/htpasswd}}}}\n"
        f"http: {{addr: '127.0.0.1:{held.number}', secret: of-the-test}}\n"
    )
    process = subprocess.Popen(["docker-registry", "serve", root / "config.yml"], stderr=subprocess.DEVNULL)
    try:
        eventually(lambda: _answers(held.number))
        yield f"http://127.0.0.1:{held.number}"
    finally:
        process.kill()
        process.wait()


def _answers(port: int) -> bool:
    with closing(socket.socket()) as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture(scope="module")
def place(tmp_path_factory, the_issuer, registry):
    root = tmp_path_factory.mktemp("programs")
    access = ACCESS.format(url=the_issuer.url, audience=AUDIENCE)
    environment = {
        "MLGATE_ACCESS": str(root / "access.yaml"),
        "MLGATE_UPSTREAM_USER": "gate",
        "MLGATE_UPSTREAM_PASSWORD": SECRET,
    }
    running_gate = prepare(root, {"any.yaml": NOT_ROOT}, ("--upstream", registry), environment)
    (root / "access.yaml").write_text(access)
    running_gate.start()
    yield running_gate
    running_gate.end()


def mlgate(place, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", "from gate.cli import main; main()", *arguments, "--data", str(place.data)],
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


def skopeo(place, tmp_path, login: str, secret: str, image, repository: str) -> subprocess.CompletedProcess[str]:
    auth = tmp_path / "auth.json"
    logged_in = subprocess.run(
        ["skopeo", "login", "--tls-verify=false", "--authfile", auth, "-u", login, "--password-stdin", place.host],
        input=secret,
        capture_output=True,
        text=True,
    )
    if logged_in.returncode:
        return logged_in
    access = ("--dest-tls-verify=false", "--dest-authfile", auth)
    target = f"docker://{place.host}/{repository}:v1"
    return subprocess.run(
        ["skopeo", "copy", "--insecure-policy", *access, f"oci:{image.layout.root}:image", target],
        capture_output=True,
        text=True,
    )


def test_a_robot_pushes_where_it_may_and_is_out_once_revoked(place, make_image, tmp_path):
    secret = mlgate(place, "robot", "create", "ci", "--role", "pusher", "--repository", "team/**")
    assert "robot+ci\tpusher\tactive\t" in mlgate(place, "robot", "list")
    image = make_image()
    assert skopeo(place, tmp_path, "robot+ci", secret, image, "team/robot").returncode == 0
    elsewhere = skopeo(place, tmp_path, "robot+ci", secret, image, "other/robot")
    assert elsewhere.returncode != 0
    assert "this login does not allow robot+ci to pull other/robot" in elsewhere.stderr
    fresh = mlgate(place, "robot", "rotate", "ci")
    for one in (secret, fresh):
        assert httpx.get(f"http://{place.host}/v2/", auth=("robot+ci", one), timeout=60).status_code == 200
    assert mlgate(place, "robot", "revoke", "ci") == "revoked robot+ci"
    refused = skopeo(place, tmp_path, "robot+ci", fresh, image, "team/robot")
    assert refused.returncode != 0
    assert secret not in place.log
    assert fresh not in place.log


def test_a_pipeline_pushes_with_the_token_of_its_ci(place, make_image, tmp_path, the_issuer):
    claims = {"repository_owner_id": "9919", "repository_owner": "octo", "ref": "refs/heads/main"}
    token = the_issuer.token(claims)
    image = make_image()
    pushed = skopeo(place, tmp_path, "oidc", token, image, "octo/app")
    assert pushed.returncode == 0, pushed.stderr
    report = httpx.get(f"http://{place.host}/v2/octo/app/manifests/v1", auth=("pod", PASSWORD), timeout=60)
    assert report.status_code == 200
    assert skopeo(place, tmp_path, "oidc", token, image, "other/app").returncode != 0
    branch = the_issuer.token({**claims, "ref": "refs/heads/mine"})
    refused = httpx.get(f"http://{place.host}/token", auth=("oidc", branch), timeout=60)
    assert refused.status_code == 401
    assert "nothing is granted for its claims" in refused.text
    session = httpx.get(f"http://{place.host}/token?offline_token=true", auth=("oidc", token), timeout=60).json()[
        "refresh_token"
    ]
    form = {"grant_type": "refresh_token", "refresh_token": session, "scope": "repository:octo/app:pull"}
    renewed = httpx.post(f"http://{place.host}/token", data=form, timeout=60).json()
    assert (renewed["refresh_token"], renewed["scope"]) == (session, "repository:octo/app:pull")
    with RegistryClient(place.host, credentials=Credentials("<token>", session, session=True)) as client:
        assert client.tags("octo/app") == ("v1",)
    assert session not in place.log
    hint = httpx.get(f"http://{place.host}/v2/", auth=("octo", token), timeout=60)
    assert "goes with the user name oidc" in hint.text
    assert token not in place.log
    assert token.split(".")[2] not in place.log


def test_who_guesses_waits_and_the_audit_log_says_so(place):
    for _ in range(40):
        waits = httpx.get(f"http://{place.host}/v2/", auth=("guessed", "guess"), timeout=60)
        if waits.status_code != 401:
            break
    assert (waits.status_code, waits.json()["errors"][0]["code"]) == (429, "TOOMANYREQUESTS")
    assert int(waits.headers["Retry-After"]) >= 1
    assert httpx.get(f"http://{place.host}/v2/", auth=("pod", PASSWORD), timeout=60).status_code == 200
    told = mlgate(place, "audit", "export")
    assert re.search(r"login-refused.*guessed from 127\.0\.0\.1", told)


def test_what_the_gate_logs_in_with_at_the_registry_never_leaves_it(place, make_image, registry):
    image = make_image()
    seen: list[httpx.Response] = []
    with place.client() as client:
        image.push(client, "team/secret", "v1")
    with httpx.Client(base_url=f"http://{place.host}", auth=("ci", PASSWORD), timeout=60) as client:
        client.event_hooks["response"].append(seen.append)
        for path in ("", "team/secret/manifests/v1", "team/secret/tags/list", "team/none/manifests/v1"):
            client.get(f"/v2/{path}")
        for blob in (image.manifest.config, *image.manifest.layers):
            client.get(f"/v2/team/secret/blobs/{blob.digest}")
        begun = client.post("/v2/team/secret/blobs/uploads/")
        client.patch(begun.headers["Location"], content=b"x", headers={"Content-Range": "5-5"})
        client.get("/readyz")
        client.get("/metrics")
        client.get("/token", params={"scope": "repository:team/secret:pull,push"})
    basic = base64.b64encode(f"gate:{SECRET}".encode()).decode()
    everything = place.log + json.dumps([[str(one.headers), one.text] for one in seen])
    for secret in (SECRET, basic, registry.removeprefix("http://")):
        assert secret not in everything.replace(f"registry at {registry}", "")
