"""The JSON API: what it says of images, packages and rules, to whom, and that nothing breaks it."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import response_schema_conformance, status_code_conformance

from compliance.oci.registry import RegistryError
from gate.api.openapi import document
from gate.identity.permissions import Role
from gate.identity.users import set_user

pytestmark = pytest.mark.acceptance

USER = ("pod", "correct horse")
TODAY = datetime.now(UTC).date()

WAIVED = f"""\
rule: no-packages
package: requests
owner: team@example.com
reason: It is looked at.
created: {TODAY}
expires: {TODAY + timedelta(days=5)}
"""
POLICY = """\
name: any
rules:
  - id: not-root
    check: non-root
    effect: deny
    why: Root in the image is root in the cluster.
    fix: "Set `user: nonroot`."
  - id: no-packages
    check: banned-packages
    with: {packages: [{package: "pkg:pypi/requests"}, {package: "pkg:pypi/flask"}]}
    effect: warn
    why: They are on the list.
    fix: Take another.
"""
DIST_INFO = "opt/venv/lib/python3.11/site-packages/{name}-{version}.dist-info/METADATA"


def wheel(name: str, version: str) -> dict[str, bytes]:
    text = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
    return {DIST_INFO.format(name=name, version=version): text.encode()}


@pytest.fixture(scope="module")
def api(module_gate, tmp_path_factory):
    root = tmp_path_factory.mktemp("api")
    running = module_gate(root, {"any.yaml": POLICY, "waivers/requests.yaml": WAIVED})
    with httpx.Client(base_url=f"http://{running.host}", auth=USER, timeout=60) as client:
        client.gate = running
        yield client


@pytest.fixture
def pushed(api, make_image):
    """Two images let in, with a package each, and one refused."""
    with api.gate.client() as client:
        one = make_image(wheel("requests", "2.31.0"), wheel("flask", "3.0.0"))
        other = make_image(wheel("requests", "2.32.0"))
        refused = make_image(wheel("requests", "2.31.0"), user="0")
        one.push(client, "team/one", "v1")
        other.push(client, "team/other", "v1")
        with pytest.raises(RegistryError):
            refused.push(client, "team/one", "v2")
    return one, other, refused


def get(api, path: str, **parameters) -> dict:
    answer = api.get(path, params=parameters or None)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_images_are_listed_with_their_verdict_and_standing(api, pushed):
    one, _, refused = pushed
    images = {each["digest"]: each for each in get(api, "/api/images", repository="team/one")["images"]}
    assert images[one.digest]["verdict"] == "admitted"
    assert images[one.digest]["standing"] == "pullable"
    assert images[one.digest]["tags"] == ["v1"]
    assert images[refused.digest]["standing"] == "absent"
    assert images[refused.digest]["kind"] is None
    only = get(api, "/api/images", verdict="refused")["images"]
    assert {each["verdict"] for each in only} == {"refused"}
    assert refused.digest in {each["digest"] for each in only}
    absent = get(api, "/api/images", standing="absent")["images"]
    assert one.digest not in {each["digest"] for each in absent}


def test_pages_hold_everything_once(api, pushed):
    for path, name in (("/api/images", "images"), ("/api/decisions", "decisions")):
        whole = get(api, path, limit=200)[name]
        paged, at = [], f"{path}?limit=1"
        while at is not None:
            page = get(api, at)
            assert len(page[name]) <= 1
            paged += page[name]
            at = page["next"]
        assert paged == whole


def test_one_image_says_what_is_wrong_and_whose_that_is(api, pushed):
    _, _, refused = pushed
    image = get(api, f"/api/images/team/one@{refused.digest}")
    assert image["base"] is None
    assert "base" in image["unknown"]
    assert len(image["layers"]) == 1
    (denied,) = [each for each in image["findings"]["yours"] if each["status"] == "denied"]
    assert denied["rule"] == "not-root"
    assert denied["layer"] is None
    assert "nonroot" in denied["remedy"]
    assert get(api, f"/api/images/team/one@{refused.digest}/findings") == image["findings"]
    history = get(api, f"/api/images/team/one@{refused.digest}/decisions")["decisions"]
    assert history[0]["id"] == image["decision"]
    assert get(api, f"/api/decisions/{image['decision']}")["verdict"] == "refused"


def test_the_packages_of_an_image_are_had_as_cyclonedx(api, pushed):
    one, _, _ = pushed
    answer = api.get(f"/api/images/team/one@{one.digest}/sbom")
    assert answer.headers["Content-Type"] == "application/vnd.cyclonedx+json"
    assert {"requests", "flask"} <= {each["name"] for each in answer.json()["components"]}


def test_who_uses_a_package_is_told_by_name_and_by_purl(api, pushed):
    one, other, refused = pushed
    uses = get(api, "/api/packages", name="requests")["uses"]
    assert {one.digest, other.digest} <= {use["digest"] for use in uses}
    assert refused.digest not in {use["digest"] for use in uses}
    exact = get(api, "/api/packages", purl="pkg:pypi/requests@2.32.0")["uses"]
    assert {use["digest"] for use in exact} >= {other.digest}
    assert {use["version"] for use in exact} == {"2.32.0"}
    assert get(api, "/api/packages", name="requests", version="9")["uses"] == []


def test_what_is_deleted_uses_nothing(api, make_image):
    image = make_image(wheel("goner", "1.0"))
    set_user(api.gate.root / "users.yaml", "root", Role.ADMIN, USER[1], rounds=4)
    with api.gate.client("root") as client:
        image.push(client, "team/gone", "v1")
        assert [use["digest"] for use in get(api, "/api/packages", name="goner")["uses"]] == [image.digest]
        client.delete_manifest("team/gone", image.digest)
    assert get(api, "/api/packages", name="goner")["uses"] == []
    assert get(api, f"/api/images/team/gone@{image.digest}")["standing"] == "absent"


def test_waivers_in_force_say_what_they_excuse_and_for_how_long(api, pushed):
    one, _, _ = pushed
    (waiver,) = get(api, "/api/waivers")["waivers"]
    assert waiver["file"].endswith("requests.yaml")
    assert waiver["days_left"] in {4, 5}
    assert waiver["package"] == "requests"
    assert ("team/one", one.digest) in {(each["repository"], each["digest"]) for each in waiver["excuses"]}
    findings = get(api, f"/api/images/team/one@{one.digest}/findings")["yours"]
    about = [each for each in findings if "requests" in each["culprit"]]
    assert {each["status"] for each in about} == {"waived"}
    layers = get(api, f"/api/images/team/one@{one.digest}")["layers"]
    assert {each["layer"] for each in about} <= {each["diff_id"] for each in layers}


def test_policies_in_force_are_told_with_their_rules(api):
    (policy,) = get(api, "/api/policies")["policies"]
    assert [rule["id"] for rule in policy["rules"]] == ["not-root", "no-packages"]
    assert policy["rules"][1]["effect"] == "warn"


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/api/images/team/none@sha256:" + "0" * 64, 404),
        ("/api/images/team/one@sha256:0", 400),
        ("/api/images/TEAM@sha256:" + "0" * 64, 400),
        ("/api/images?verdict=maybe", 400),
        ("/api/images?limit=0", 400),
        ("/api/images?after=WzFd", 400),
        ("/api/images?after=!", 400),
        ("/api/packages", 400),
        ("/api/findings", 400),
        ("/api/decisions/0123456789abcdef", 404),
        ("/api/decisions/%00", 404),
        ("/api/nothing", 404),
    ],
)
def test_what_cannot_be_answered_says_why(api, path, status):
    answer = api.get(path)
    assert answer.status_code == status
    (error,) = answer.json()["errors"]
    assert error["message"]
    assert re.fullmatch("request [0-9a-f]{16}", error["detail"])


def test_only_users_read(api):
    for path in document()["paths"]:
        if "{" not in path and path != "/api/key":
            assert httpx.get(f"http://{api.gate.host}{path}", timeout=60).status_code == 401, path


def test_what_one_may_not_see_is_not_there(api, pushed):
    one, _, refused = pushed
    set_user(api.gate.root / "users.yaml", "narrow", Role.PULLER, USER[1], ("team/other",), rounds=4)
    with httpx.Client(base_url=api.base_url, auth=("narrow", USER[1]), timeout=60) as narrow:
        for path, name in (("/api/images", "images"), ("/api/decisions", "decisions")):
            assert {each["repository"] for each in get(narrow, path)[name]} == {"team/other"}
        uses = get(narrow, "/api/packages", name="requests")["uses"]
        assert {use["repository"] for use in uses} == {"team/other"}
        (waiver,) = get(narrow, "/api/waivers")["waivers"]
        assert {each["repository"] for each in waiver["excuses"]} == {"team/other"}
        assert get(narrow, "/api/images", repository="team/one")["images"] == []
        hidden = get(api, f"/api/images/team/one@{refused.digest}")["decision"]
        for path in (
            f"/api/images/team/one@{one.digest}",
            f"/api/images/team/one@{one.digest}/sbom",
            f"/api/images/team/one@{one.digest}/decisions",
            f"/api/decisions/{hidden}",
        ):
            assert narrow.get(path).status_code == 404, path


def test_the_description_is_served_and_names_no_image(api, pushed):
    served = httpx.get(f"http://{api.gate.host}/api/openapi.json", timeout=60)
    assert served.json() == json.loads(json.dumps(document()))
    assert "team/one" not in served.text


SCHEMA = schemathesis.openapi.from_dict(document())


@SCHEMA.parametrize()
@settings(
    max_examples=12,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
    derandomize=True,
)
def test_no_request_makes_the_gate_fail(case, api):
    case.call_and_validate(
        base_url=f"http://{api.gate.host}",
        auth=USER,
        checks=[not_a_server_error, status_code_conformance, response_schema_conformance],
    )
