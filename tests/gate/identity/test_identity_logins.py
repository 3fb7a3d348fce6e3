"""Logging in at a running gate: the token flow of distribution, and what each login may then do."""

from __future__ import annotations

import httpx
import pytest

from compliance.oci.authentication import Challenge
from compliance.oci.digest import Digest
from compliance.oci.manifest import OCI_MANIFEST
from gate.identity.permissions import Role
from gate.identity.users import set_user

pytestmark = pytest.mark.acceptance

PASSWORD = "correct horse"
ACCESS = """\
anonymous: [public/**]
grants:
  - {users: [alice], role: admin, repositories: [alice/**]}
"""
HERE = "team/logins"
MANIFEST = f"/v2/{HERE}/manifests"


@pytest.fixture(scope="module")
def place(tmp_path_factory, module_gate):
    root = tmp_path_factory.mktemp("logins")
    (root / "access.yaml").write_text(ACCESS)
    rules = "name: any\nrules:\n  - {id: not-root, check: non-root, effect: deny, why: Root., fix: Do not.}\n"
    running = module_gate(root, {"any.yaml": rules}, {"MLGATE_ACCESS": str(root / "access.yaml")})
    for name, role, where in (
        ("alice", Role.PUSHER, ("team/**",)),
        ("audit", Role.SECURITY, ("**",)),
        ("boss", Role.ADMIN, ("**",)),
        ("elsewhere", Role.PUSHER, ("elsewhere/**",)),
    ):
        set_user(root / "users.yaml", name, role, PASSWORD, where, rounds=4)
    return running


def ask(place, method: str, path: str, user: str | None = None, **more) -> httpx.Response:
    return httpx.request(
        method, f"http://{place.host}{path}", auth=None if user is None else (user, PASSWORD), timeout=60, **more
    )


def token(place, user: str | None, *scopes: str) -> str:
    answer = ask(place, "GET", "/token", user, params={"service": "mlgate", "scope": scopes})
    assert answer.status_code == 200, answer.text
    return answer.json()["token"]


def bearer(value: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {value}"}


def challenge(answer: httpx.Response) -> Challenge:
    assert answer.status_code == 401
    return Challenge.parse(answer.headers["WWW-Authenticate"])


@pytest.mark.parametrize(
    ("method", "path", "scope"),
    [
        ("GET", "/v2/", None),
        ("GET", f"{MANIFEST}/v1", f"repository:{HERE}:pull"),
        ("PUT", f"{MANIFEST}/v1", f"repository:{HERE}:pull,push"),
        ("DELETE", f"{MANIFEST}/v1", f"repository:{HERE}:delete"),
        ("POST", f"/v2/{HERE}/blobs/uploads/", f"repository:{HERE}:pull,push"),
        (
            "POST",
            f"/v2/{HERE}/blobs/uploads/?mount={Digest.of(b'x')}&from=other/image",
            f"repository:{HERE}:pull,push repository:other/image:pull",
        ),
    ],
)
def test_a_stranger_is_sent_to_the_token_service_with_what_it_takes(place, method, path, scope):
    asked = challenge(ask(place, method, path))
    assert asked.scheme == "bearer"
    wanted = {"realm": f"http://{place.host}/token", "service": "mlgate"}
    assert asked.parameters == (wanted if scope is None else {**wanted, "scope": scope})


def test_a_token_does_what_was_asked_for_and_nothing_more(place, make_image):
    image = make_image()
    push = bearer(token(place, "alice", f"repository:{HERE}:pull,push"))
    with place.client("alice") as client:
        image.push_blobs(client, HERE)
    put = ask(place, "PUT", f"{MANIFEST}/v1", content=image.raw, headers={**push, "Content-Type": OCI_MANIFEST})
    assert put.status_code == 201, put.text
    pull = bearer(token(place, "alice", f"repository:{HERE}:pull"))
    assert ask(place, "GET", f"{MANIFEST}/v1", headers=pull).content == image.raw
    asked = challenge(ask(place, "PUT", f"{MANIFEST}/v2", content=image.raw, headers=pull))
    assert asked.parameters["error"] == "insufficient_scope"
    assert asked.parameters["scope"] == f"repository:{HERE}:pull,push"


def test_a_token_is_never_for_more_than_its_owner_may(place):
    everything = token(
        place, "pod", f"repository:{HERE}:*", "repository:other/image:pull,push,delete", "registry:catalog:*"
    )
    for method in ("PUT", "DELETE"):
        answer = ask(place, method, f"{MANIFEST}/v1", headers=bearer(everything))
        assert challenge(answer).parameters["error"] == "insufficient_scope"
    assert ask(place, "GET", f"{MANIFEST}/none", headers=bearer(everything)).status_code == 404


def test_a_token_that_is_not_good_is_told_apart_from_one_for_too_little(place):
    assert (
        challenge(ask(place, "GET", "/v2/", headers=bearer("made.up.token"))).parameters["error"]
        == "invalid_token"
    )


def test_a_token_gets_no_other_token(place):
    first = token(place, "boss", f"repository:{HERE}:pull")
    assert ask(place, "GET", f"/token?scope=repository:{HERE}:push", headers=bearer(first)).status_code == 401


def test_a_login_can_be_a_form(place):
    form = {
        "grant_type": "password",
        "username": "alice",
        "password": PASSWORD,
        "scope": f"repository:{HERE}:pull",
    }
    answer = ask(place, "POST", "/token", data=form)
    assert answer.status_code == 200
    assert answer.headers["Cache-Control"] == "no-store"
    said = answer.json()
    assert (said["expires_in"], said["scope"]) == (300, f"repository:{HERE}:pull")
    assert ask(place, "GET", "/v2/", headers=bearer(said["access_token"])).status_code == 200
    assert ask(place, "POST", "/token", data={**form, "password": "wrong"}).status_code == 401
    assert ask(place, "POST", "/token", data={**form, "grant_type": "client_credentials"}).status_code == 400
    assert (
        ask(place, "POST", "/token", data={"grant_type": "refresh_token", "refresh_token": "x"}).status_code == 401
    )
    assert "refresh_token" not in ask(place, "POST", "/token", data={**form, "access_type": "offline"}).json()
    assert ask(place, "POST", "/token", content=b"\xff" * 10).status_code == 400
    assert ask(place, "POST", "/token", content=b"a" * (1 << 17)).status_code == 413


def test_what_one_may_not_see_does_not_exist(place, make_image):
    with place.client("alice") as client:
        image = make_image()
        image.push(client, HERE, "seen")
    decision = ask(place, "GET", f"{MANIFEST}/seen", "alice").headers["Mlgate-Decision"]
    assert httpx.get(decision, auth=("audit", PASSWORD), timeout=60).status_code == 200
    for path in (f"{MANIFEST}/seen", f"/v2/{HERE}/tags/list", f"/v2/{HERE}/blobs/{image.manifest.config.digest}"):
        assert ask(place, "GET", path, "alice").status_code == 200
        hidden, absent = (ask(place, "GET", path.replace(HERE, name), "elsewhere") for name in (HERE, "team/none"))
        assert hidden.status_code == absent.status_code == 404
        said, unsaid = (answer.json()["errors"][0]["message"] for answer in (hidden, absent))
        assert said.replace(HERE, "team/none") == unsaid
    for url in (decision, f"{decision}/evidence"):
        hidden = httpx.get(url, auth=("elsewhere", PASSWORD), timeout=60)
        assert (hidden.status_code, hidden.json()["errors"][0]["code"]) == (404, "UNKNOWN")


def test_a_blob_is_not_mounted_out_of_a_repository_that_one_may_not_see(place, make_image):
    image = make_image()
    with place.client("alice") as client:
        image.push(client, HERE, "mounted")
    digest = image.manifest.config.digest
    for query in (f"mount={digest}&from={HERE}", f"mount={digest}"):
        assert ask(place, "POST", f"/v2/elsewhere/image/blobs/uploads/?{query}", "elsewhere").status_code == 202
        assert ask(place, "POST", f"/v2/team/another/blobs/uploads/?{query}", "alice").status_code == 201


def test_roles_hold_where_the_access_file_adds_them(place):
    assert ask(place, "DELETE", f"{MANIFEST}/none", "alice").status_code == 403
    assert ask(place, "DELETE", "/v2/alice/image/manifests/none", "alice").status_code == 404
    assert ask(place, "DELETE", f"{MANIFEST}/none", "boss").status_code == 404
    assert ask(place, "POST", f"/v2/{HERE}/blobs/uploads/", "audit").status_code == 403


def test_what_is_public_needs_no_login_and_nothing_else_does(place, make_image):
    with place.client("boss") as client:
        make_image().push(client, "public/image", "v1")
        make_image().push(client, "private/image", "v1")
    assert ask(place, "GET", "/v2/public/image/manifests/v1").status_code == 200
    pull = bearer(token(place, None, "repository:public/image:pull,push", "repository:private/image:pull"))
    assert ask(place, "GET", "/v2/public/image/manifests/v1", headers=pull).status_code == 200
    for method, path in (
        ("GET", "/v2/private/image/manifests/v1"),
        ("PUT", "/v2/public/image/manifests/v1"),
        ("DELETE", "/v2/public/image/manifests/v1"),
    ):
        assert ask(place, method, path).status_code == 401
        assert ask(place, method, path, headers=pull).status_code == 401
    assert ask(place, "GET", "/v2/").status_code == 401
    for path in ("/api/decisions/none", "/metrics"):
        assert ask(place, "GET", path).status_code == 401
        assert ask(place, "GET", path, headers=pull).status_code == 401
    assert ask(place, "GET", "/v2/", headers=pull).status_code == 200


def test_two_logins_in_one_request_are_none(place):
    headers = [("Authorization", "Basic YTpi"), ("Authorization", "Basic Yzpk")]
    assert httpx.get(f"http://{place.host}/v2/", headers=headers, timeout=60).status_code == 400


def test_a_forged_host_or_forwarded_address_does_not_move_the_token_service(place):
    forged = {"Host": 'a b"c', "X-Forwarded-Host": "evil.example", "X-Forwarded-Proto": "https"}
    asked = challenge(ask(place, "GET", "/v2/", headers={**forged, "Forwarded": "host=evil.example"}))
    assert asked.parameters["realm"] == f"http://{place.host}/token"


def test_a_public_url_is_the_only_address_there_is(start_gate):
    running = start_gate("--public-url", "https://gate.example.org")
    asked = challenge(ask(running, "GET", "/v2/", headers={"Host": "evil.example"}))
    assert asked.parameters["realm"] == "https://gate.example.org/token"
