"""The webhook when it is asked nonsense, and when it cannot find out: it refuses, and says so in its own form."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gate.cluster.admission_review import WARNING_LENGTH
from gate.cluster.reviews import MOST_IMAGES
from gate.cluster.verdicts import Words, shortened
from tests.examples import examples

DATA = Path(__file__).parent / "data"
POD = (DATA / "validate-serving" / "pod-admitted-by-digest.json").read_bytes()
PATHS = ("validate/serving", "validate/scratch", "pin/serving", "unlabelled")

plain = st.none() | st.booleans() | st.integers() | st.floats() | st.text()
trees = st.recursive(plain, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=8)


def places(document, at=()):
    """Where anything stands in a document."""
    yield at
    if isinstance(document, dict | list):
        for key, value in document.items() if isinstance(document, dict) else enumerate(document):
            yield from places(value, (*at, key))


def replaced(document, at, value):
    if not at:
        return value
    copied = dict(document) if isinstance(document, dict) else list(document)
    copied[at[0]] = replaced(document[at[0]], at[1:], value)
    return copied


def is_review(answer, uid=None):
    document = answer.json()
    assert (document["apiVersion"], document["kind"]) == ("admission.k8s.io/v1", "AdmissionReview")
    assert uid is None or document["response"]["uid"] == uid
    return document["response"]


many = settings(
    max_examples=examples(60), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@many
@given(body=st.binary() | trees.map(lambda tree: json.dumps(tree).encode()), path=st.sampled_from(PATHS))
def test_what_is_no_question_is_a_bad_request(unchanged_site, body, path):
    assert unchanged_site.ask(path, body).status_code == 400


@many
@given(data=st.data(), path=st.sampled_from(PATHS))
def test_whatever_stands_in_a_question_there_is_an_answer_or_a_bad_request(unchanged_site, data, path):
    document = json.loads(POD)
    at = data.draw(st.sampled_from(list(places(document))))
    answer = unchanged_site.ask(path, json.dumps(replaced(document, at, data.draw(trees))).encode())
    if answer.status_code != 400:
        assert answer.status_code == 200
        is_review(answer)


@pytest.mark.parametrize(
    "object_",
    [
        None,
        {},
        {"spec": None},
        {"spec": {"containers": None}},
        {"spec": {"containers": [{"name": "web", "image": 1}]}},
        {"spec": {"containers": [], "initContainers": {}}},
        {"spec": {"containers": [], "volumes": [{"image": "a"}]}},
    ],
    ids=json.dumps,
)
def test_an_object_that_cannot_be_read_is_refused(unchanged_site, object_):
    document = json.loads(POD)
    document["request"]["object"] = object_
    response = is_review(
        unchanged_site.ask("validate/serving", json.dumps(document).encode()), document["request"]["uid"]
    )
    assert not response["allowed"]
    assert response["status"]["code"] == 400
    assert response["status"]["message"].startswith("could not decide: v1 Pod cannot be read: spec")


def test_a_kind_that_is_not_known_is_refused(unchanged_site):
    document = json.loads(POD)
    document["request"]["kind"] = {"group": "", "version": "v1", "kind": "PodExecOptions"}
    response = is_review(unchanged_site.ask("validate/serving", json.dumps(document).encode()))
    assert not response["allowed"]
    assert "v1 PodExecOptions is no kind of which it is known what it runs" in response["status"]["message"]


@pytest.mark.parametrize("image", [None, ""])
def test_a_container_without_an_image_is_refused(unchanged_site, image):
    response = is_review(unchanged_site.ask("validate/serving", with_images(image)))
    assert not response["allowed"]
    assert "no image is named" in response["status"]["message"]


def with_images(*images):
    document = json.loads(POD)
    document["request"]["object"]["spec"]["containers"] = [{"name": "web", "image": image} for image in images]
    return json.dumps(document).encode()


def test_an_object_of_too_many_images_is_refused(unchanged_site):
    response = is_review(unchanged_site.ask("validate/serving", with_images(*map(str, range(MOST_IMAGES + 1)))))
    assert not response["allowed"]
    assert "different images" in response["status"]["message"]


@pytest.mark.parametrize(
    "image",
    [
        "GATE.example.com:5000/serving/iris@sha256:" + "0" * 64,
        "gate.example.com/serving/iris:v1",
        "gate.example.com:5000.evil.example/serving/iris:v1",
        "evil.example/gate.example.com:5000/serving/iris:v1",
        "gate.example.com:5000/serving/../serving/iris:v1",
        "gate.example.com:5000/serving/iris:v1@sha256:" + "0" * 64,
        "gate.example.com:5000/serving/iris:v1@",
        "index.docker.io/istio/proxyv2:1.24.0",
        "docker.io/istio/proxyv2/more:1.24.0",
    ],
)
def test_a_name_that_looks_like_an_admitted_one_is_refused(unchanged_site, image):
    assert not is_review(unchanged_site.ask("validate/serving", with_images(image)))["allowed"]


def test_what_somebody_wrote_as_a_name_stays_one_line_of_readable_length(unchanged_site, caplog):
    caplog.set_level("INFO")
    image = "gate.example.com:5000/x\nADMITTED \x1b[2J" + "a" * 10_000
    message = is_review(unchanged_site.ask("validate/serving", with_images(image)))["status"]["message"]
    assert len(message) < 500
    assert message.isprintable()
    assert all(record.getMessage().isprintable() for record in caplog.records)


def test_the_letter_case_of_the_gate_makes_no_difference(unchanged_site):
    assert is_review(unchanged_site.ask("validate/serving", with_images("Gate.Example.com:5000/serving/iris:v1")))[
        "allowed"
    ]


def test_a_question_that_is_too_large_is_not_read(unchanged_site):
    assert unchanged_site.ask("validate/serving", b" " * ((16 << 20) + 1)).status_code == 413


def test_without_its_database_the_gate_refuses_and_where_nothing_is_blocked_it_warns(site):
    site.store.close()
    for file in site.root.glob("gate.db*"):
        file.write_bytes(b"this is no database" * 1000)
    refused = is_review(site.ask("validate/serving", POD))
    assert not refused["allowed"]
    assert (refused["status"]["code"], refused["status"]["reason"]) == (503, "ServiceUnavailable")
    assert refused["status"]["message"].startswith("could not decide: the gate's database")
    assert not is_review(site.ask("pin/serving", POD))["allowed"]
    warned = is_review(site.ask("validate/scratch", POD))
    assert warned["allowed"]
    assert warned["warnings"][0].startswith("not enforced: could not decide: the gate's database")


@pytest.mark.parametrize("text", [None, "registries: []\n"], ids=["gone", "broken"])
def test_without_its_cluster_file_the_gate_refuses_in_audit_too(site, text):
    if text is None:
        site.cluster_file.unlink()
    else:
        site.cluster_file.write_text(text)
    for path in PATHS:
        response = is_review(site.ask(path, POD))
        assert not response["allowed"]
    assert "label" in response["status"]["message"]


def test_with_policies_that_were_never_readable_the_gate_refuses_and_keeps_their_place_to_itself(site):
    (site.root / "policies" / "serving.yaml").write_text("rules: 1\n")
    response = is_review(site.ask("validate/serving", POD))
    assert (
        response["status"]["message"] == "could not decide: the gate cannot read its policies -> Its log says why"
    )


def test_what_is_listed_counts_at_once(site):
    question = with_images("registry.k8s.io/pause:3.10")
    assert not is_review(site.ask("validate/serving", question))["allowed"]
    text = site.cluster_file.read_text()
    site.cluster_file.write_text(f"{text}  - {{images: [registry.k8s.io/**], why: It belongs to the cluster.}}\n")
    assert is_review(site.ask("validate/serving", question))["allowed"]


def test_answers_are_counted_by_outcome(site):
    site.ask("validate/serving", POD)
    site.ask("validate/scratch", with_images("nginx"))
    site.ask("validate/serving", with_images("nginx"))
    text = site.metrics.text().decode()
    for outcome in ("allowed", "audited", "refused"):
        assert f'mlgate_cluster_reviews_total{{outcome="{outcome}"}} 1.0' in text


def test_a_long_warning_is_cut_and_keeps_the_address_of_the_report():
    words = shortened(Words("because " * 100, "https://gate.example.com/api/decisions/1"))
    assert len(words) == WARNING_LENGTH
    assert words.endswith("…. Report: https://gate.example.com/api/decisions/1")
