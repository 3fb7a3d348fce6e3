"""What those who pull and push see of an image that was admitted and no longer complies: real gate, real Trivy."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from builder.verify import Verification, verify
from compliance.attest.keys import TrustedKeys
from compliance.oci.manifest import OCI_INDEX, OCI_MANIFEST, Index
from compliance.oci.reference import Reference
from tests.gate.conftest import PASSWORD, RunningGate
from tests.gate.osv_advisory import advisory
from tests.gate.registry_process import eventually

pytestmark = pytest.mark.acceptance

POLICY = """\
name: any
later: {pullable-days: 7}
rules:
  - id: no-known-vulnerabilities
    check: vulnerabilities
    effect: deny
    why: It is known.
    fix: Raise it.
"""
WAIVER = f"""\
rule: no-known-vulnerabilities
vulnerability: CVE-2026-0001
owner: team@example.com
reason: It is not reached.
created: {datetime.now(UTC).date() - timedelta(days=1)}
expires: {datetime.now(UTC).date() + timedelta(days=30)}
"""
METADATA = "opt/venv/lib/python3.11/site-packages/{name}-{version}.dist-info/METADATA"
HOSTILE = 'A hole "here"\r\nEvil: yes'  # as a summary, it must break no header and no log


def with_package(name: str, version: str) -> dict[str, bytes]:
    text = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
    return {METADATA.format(name=name, version=version): text.encode()}


@pytest.fixture
def site(start_gate, tmp_path) -> RunningGate:
    """A gate that looks twice a second, and knows a vulnerability of nothing that is there."""
    gate = start_gate("--rejudge", "0.5", policies={"any.yaml": POLICY})
    write(
        gate, "advisories/GHSA-aaaa-bbbb-cccc.json", advisory("GHSA-aaaa-bbbb-cccc", "unrelated", summary=HOSTILE)
    )
    return gate


@pytest.fixture
def pod(site) -> Iterator[httpx.Client]:
    with httpx.Client(
        base_url=f"http://{site.host}/v2/serving/iris", auth=("pod", PASSWORD), timeout=60
    ) as client:
        yield client


@pytest.fixture
def pusher(site) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=f"http://{site.host}/v2/serving/iris", auth=("ci", PASSWORD), timeout=60) as client:
        yield client


def write(gate: RunningGate, path: str, text: str) -> None:
    """Put a policy, waiver or advisory there at once: the gate reads all of it, or what was there before."""
    (gate.policies / path).parent.mkdir(exist_ok=True)
    (gate.root / "written").write_text(text)
    (gate.root / "written").replace(gate.policies / path)


def both(client: httpx.Client, target: str) -> httpx.Response:
    """The answer to a GET, once the HEAD was found to agree with it; where the gate has just looked again, and
    GETs before and after differ, all are asked anew."""
    path = f"/manifests/{target}"
    for _ in range(50):
        before, head, got = client.get(path), client.head(path), client.get(path)
        if said_of(before) == said_of(got):
            assert said_of(head) == said_of(got)
            return got
    raise AssertionError(f"{target} is answered differently each time")


def said_of(answer: httpx.Response) -> tuple[int, list[str | None]]:
    """What answers to HEAD and GET have in common."""
    names = ("Content-Type",)
    if answer.status_code == 200:
        names += ("Docker-Content-Digest", "Warning", "Mlgate-Decision", "ETag")
    return answer.status_code, [answer.headers.get(name) for name in names]


def test_from_admitted_to_warned_to_denied_and_back_without_a_restart(site, pod, pusher, make_image):
    bad, good = make_image(with_package("starlette", "0.38.6")), make_image(with_package("flask", "3.0"))
    with site.client() as client:
        bad.push(client, "serving/iris", "v1")
        good.push(client, "serving/iris", "other")
        index = Index(manifests=(bad.descriptor, good.descriptor)).to_json()
        client.put_manifest("serving/iris", "all", index, OCI_INDEX)
    targets, layer = ("v1", bad.digest, "all"), f"/blobs/{bad.manifest.layers[0].digest}"
    for target in targets:
        assert "Warning" not in both(pod, target).headers

    written = datetime.now(UTC)
    write(site, "advisories/CVE-2026-0001.json", advisory("CVE-2026-0001", "starlette", summary=HOSTILE))
    eventually(lambda: "Warning" in pod.get("/manifests/v1").headers)
    days = {(moment + timedelta(days=7)).date() for moment in (written, datetime.now(UTC))}
    for target in targets:
        answer = both(pod, target)
        assert answer.status_code == 200
        said = answer.headers["Warning"]
        assert re.fullmatch(r'299 - "[ -~]*"', said)
        assert any(said.startswith(f'299 - "Pullable until {day} ') for day in days)
        assert "no-known-vulnerabilities: CVE-2026-0001 in starlette 0.38.6" in said
        assert "Evil" not in answer.headers
        report = httpx.get(answer.headers["Mlgate-Decision"], auth=("pod", PASSWORD), timeout=60).json()
        assert report["later"]
    assert "Warning" not in both(pod, "other").headers
    assert pod.get(layer).status_code == 200

    write(site, "any.yaml", POLICY.replace("pullable-days: 7", "pullable-days: 0"))
    eventually(lambda: pod.get("/manifests/v1").status_code == 403)
    for target in targets:
        (error,) = both(pod, target).json()["errors"]
        assert error["code"] == "DENIED"
        assert "no-known-vulnerabilities: CVE-2026-0001 in starlette 0.38.6" in error["message"]
        assert "Report: http" in error["message"]
    assert both(pod, "other").status_code == 200
    assert pod.get(layer).status_code == 404
    assert pod.get("/tags/list").json()["tags"] == ["all", "other", "v1"], "nothing is deleted"

    # Whoever may push is told that it is not there, and may push what is mended to the same tag.
    assert (pusher.head("/manifests/v1").status_code, pusher.get("/manifests/v1").status_code) == (404, 403)
    refused = pusher.put("/manifests/v1", content=bad.raw, headers={"Content-Type": OCI_MANIFEST})
    assert refused.status_code == 403
    refused = pusher.put("/manifests/all", content=index, headers={"Content-Type": OCI_INDEX})
    assert refused.status_code == 403
    fixed = make_image(with_package("starlette", "9.9.9"))
    with site.client() as client:
        fixed.push(client, "serving/iris", "v1")
    assert both(pod, "v1").headers["Docker-Content-Digest"] == fixed.digest
    assert both(pod, bad.digest).status_code == 403

    write(site, "waivers/w.yaml", WAIVER)
    eventually(lambda: pod.get(f"/manifests/{bad.digest}").status_code == 200)
    for target in (bad.digest, "all"):
        assert "Warning" not in both(pod, target).headers
    assert pod.get(layer).status_code == 200
    assert re.search(r"owner unknown; pullable until \S+: NO LONGER COMPLIES serving/iris: ", site.log)


def test_malware_is_denied_at_once_and_what_is_found_while_the_gate_is_down_after_it_starts(site, pod, make_image):
    image = make_image(with_package("starlette", "0.38.6"))
    with site.client() as client:
        image.push(client, "serving/iris", "v1")
    site.end()
    write(site, "advisories/MAL-2026-0001.json", advisory("MAL-2026-0001", "starlette", summary=HOSTILE))
    site.start()
    eventually(lambda: pod.get("/manifests/v1").status_code == 403)
    assert "MAL-2026-0001" in both(pod, "v1").json()["errors"][0]["message"]


def test_a_broken_policy_set_leaves_the_good_one_in_force_and_readyz_says_so(site, pod, make_image):
    ready = f"http://{site.host}/readyz"
    assert httpx.get(ready, timeout=60).json()["status"] == "ok"
    write(site, "any.yaml", POLICY.replace("check: vulnerabilities", "check: vulnerability"))
    eventually(lambda: httpx.get(ready, timeout=60).json()["status"] == "degraded")
    answer = httpx.get(ready, timeout=60)
    assert answer.status_code == 200
    assert "any.yaml:5: unknown check 'vulnerability', did you mean 'vulnerabilities'?" in str(answer.json())
    image = make_image(with_package("flask", "3.0"))
    with site.client() as client:
        image.push(client, "serving/iris", "v1")
    assert both(pod, "v1").status_code == 200
    assert "what was read before stays in force" in site.log
    write(site, "any.yaml", POLICY)
    eventually(lambda: httpx.get(ready, timeout=60).json()["status"] == "ok")
    assert httpx.get(ready, timeout=60).json()["problems"] == []


def test_summaries_tell_of_every_change_and_verify_goes_by_the_newest(site, pod, make_image, tmp_path):
    image = make_image(with_package("starlette", "0.38.6"))
    with site.client() as client:
        image.push(client, "serving/iris", "v1")
    key = tmp_path / "gate-public.pem"
    key.write_text(httpx.get(f"http://{site.host}/api/key", timeout=60).text)

    def verified() -> Verification:
        reference = Reference.parse(f"{site.host}/serving/iris@{image.digest}")
        with site.client("pod") as client:
            return verify(client, reference, TrustedKeys.only(key), "serving/iris", datetime.now(UTC))

    def until() -> datetime | None:
        summary = verified().summary
        assert summary is not None
        return summary.pullable_until

    assert until() is None
    write(site, "advisories/CVE-2026-0001.json", advisory("CVE-2026-0001", "starlette", summary=HOSTILE))
    eventually(lambda: until() is not None)
    assert timedelta(days=6, hours=23) < until() - datetime.now(UTC) < timedelta(days=7)
    write(site, "any.yaml", POLICY.replace("pullable-days: 7", "pullable-days: 0"))
    eventually(lambda: verified().summary is None)
    assert "no-known-vulnerabilities" in verified().problems[0]
    with site.client("pod") as client:
        eventually(lambda: len(client.referrers("serving/iris", image.digest)) == 3)
    write(site, "waivers/w.yaml", WAIVER)
    eventually(lambda: verified().summary is not None and until() is None)


VULNERABLE: dict[str, set[str]] = {
    "v1": {"starlette"},
    "v2": {"flask"},
    "v3": {"starlette", "flask"},
    "v4": set(),
    "all": set(),
}
"""The packages of each target that advisories may be about."""


class Model:
    """What is to be expected: what was ever found with no days left has ended for as long as it is there."""

    def __init__(self) -> None:
        self.days = 7
        self.advised: set[str] = set()
        self.ended: set[tuple[str, str]] = set()

    def step(self, change: str) -> None:
        if change == "days":
            self.days = 7 - self.days
        else:
            self.advised ^= {change}
        if self.days == 0:
            self.ended |= {(tag, name) for tag, names in VULNERABLE.items() for name in names & self.advised}

    def expected(self, tag: str) -> str:
        if tag == "all":
            return max((self.expected(one) for one in ("v1", "v2", "v3", "v4")), key=STATES.index)
        present = VULNERABLE[tag] & self.advised
        if any((tag, name) in self.ended for name in present):
            return "ended"
        return "warned" if present else "complies"


STATES = ["complies", "warned", "ended"]


def state_of(answer: httpx.Response) -> str:
    if answer.status_code == 403:
        return "ended"
    return "warned" if "Warning" in answer.headers else "complies"


def apply(gate: RunningGate, model: Model) -> None:
    """Make rules and advisories what the model has."""
    write(gate, "any.yaml", POLICY.replace("pullable-days: 7", f"pullable-days: {model.days}"))
    for number, name in enumerate(("starlette", "flask")):
        path = f"advisories/CVE-2026-000{number}.json"
        if name in model.advised:
            write(gate, path, advisory(f"CVE-2026-000{number}", name, summary=HOSTILE))
        else:
            (gate.policies / path).unlink(missing_ok=True)


STEPS = ("starlette", "flask", "days", "flask", "days", "flask", "starlette")
"""Both advisories come, the days are taken away, one advisory goes, the days and it come back, the other goes."""


def test_head_and_get_agree_at_every_step_for_whoever_asks(start_gate, make_image):
    gate = start_gate("--rejudge", "0.2", policies={"any.yaml": POLICY})
    write(
        gate, "advisories/GHSA-aaaa-bbbb-cccc.json", advisory("GHSA-aaaa-bbbb-cccc", "unrelated", summary=HOSTILE)
    )
    images = {
        tag: make_image({"app/name": tag.encode()}, *(with_package(name, "0.3") for name in sorted(names)))
        for tag, names in VULNERABLE.items()
        if tag != "all"
    }
    index = Index(manifests=tuple(image.descriptor for image in images.values())).to_json()
    with gate.client() as client:
        for tag, image in images.items():
            image.push(client, "serving/iris", tag)
        client.put_manifest("serving/iris", "all", index, OCI_INDEX)
    model, base = Model(), f"http://{gate.host}/v2/serving/iris"
    with (
        httpx.Client(base_url=base, auth=("pod", PASSWORD), timeout=60) as pod,
        httpx.Client(base_url=base, auth=("ci", PASSWORD), timeout=60) as pusher,
    ):
        for change in STEPS:
            model.step(change)
            apply(gate, model)
            for tag in VULNERABLE:
                eventually(lambda tag=tag: state_of(pod.get(f"/manifests/{tag}")) == model.expected(tag))
                answer = both(pod, tag)
                pushers = pusher.get(f"/manifests/{tag}").status_code, pusher.head(f"/manifests/{tag}").status_code
                assert pushers == ((403, 404) if answer.status_code == 403 else (200, 200))
