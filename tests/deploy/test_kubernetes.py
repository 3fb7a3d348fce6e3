"""The manifests for Kubernetes say what the webhook does: its paths, ports, kinds and certificate."""

from __future__ import annotations

import json
import re
import subprocess
from collections import Counter
from pathlib import Path

import pytest
from cryptography import x509
from ruamel.yaml import YAML

from gate.cluster.certificate import Certificate
from gate.cluster.cluster_file import ClusterFile, read_cluster
from gate.cluster.reviews import LABEL
from gate.cluster.webhook import router
from gate.cluster.workloads import KINDS
from gate.settings import configure

MANIFESTS = Path(__file__).parents[2] / "deploy" / "kubernetes"
BASE = MANIFESTS / "base"
PARTS = sorted(path for path in MANIFESTS.rglob("*.yaml") if path.name not in {"mlgate.yaml", "cluster.yaml"})


def documents(*paths: Path) -> list[dict]:
    return [one for path in paths for one in YAML(typ="safe").load_all(path.read_text())]


CONFIGURATIONS = [one for one in documents(*PARTS) if one["kind"].endswith("WebhookConfiguration")]
WEBHOOKS = [each for one in CONFIGURATIONS for each in one["webhooks"]]


def the(kind: str) -> dict:
    (found,) = [one for one in documents(*PARTS) if one["kind"] == kind]
    return found


@pytest.fixture
def cluster() -> ClusterFile:
    return read_cluster(BASE / "cluster.yaml")


@pytest.mark.parametrize("webhook", WEBHOOKS, ids=lambda each: each["name"])
def test_a_webhook_fails_closed_and_changes_nothing(webhook):
    assert webhook["failurePolicy"] == "Fail"
    assert webhook["sideEffects"] == "None"
    assert webhook["admissionReviewVersions"] == ["v1"]
    assert webhook["timeoutSeconds"] <= 10
    assert webhook["name"].count(".") >= 2, "API servers take no shorter names"


@pytest.mark.parametrize("webhook", WEBHOOKS, ids=lambda each: each["name"])
def test_a_webhook_asks_at_a_path_that_there_is_for_the_stage_of_its_namespaces(webhook):
    path = webhook["clientConfig"]["service"]["path"]
    (route,) = [route for route in router.routes if route.path_regex.fullmatch(path)]
    assert route.methods == {"POST"}
    stage = route.path_regex.fullmatch(path).groupdict().get("stage")
    if stage is not None:
        assert webhook["namespaceSelector"] == {"matchLabels": {LABEL: stage}}
        assert webhook["name"].startswith(f"{stage}.")


def test_namespaces_without_a_stage_are_those_that_no_other_webhook_is_for():
    (rest,) = [one for one in WEBHOOKS if one["clientConfig"]["service"]["path"] == "/cluster/unlabelled"]
    by_stage, exempt = rest["namespaceSelector"]["matchExpressions"]
    stages = {one["namespaceSelector"]["matchLabels"][LABEL] for one in WEBHOOKS if one is not rest}
    assert (by_stage["key"], by_stage["operator"], set(by_stage["values"])) == (LABEL, "NotIn", stages)
    assert exempt["operator"] == "NotIn"
    assert {"kube-system", the("Namespace")["metadata"]["name"]} <= set(exempt["values"])


def test_the_namespace_of_the_gate_has_no_stage():
    assert LABEL not in the("Namespace")["metadata"]["labels"]


def test_all_that_makes_pods_is_asked_about():
    (validating,) = [one for one in CONFIGURATIONS if one["metadata"]["name"] == "mlbuild-images"]
    for webhook in validating["webhooks"]:
        asked = {
            (group, version, resource)
            for rule in webhook["rules"]
            for group in rule["apiGroups"]
            for version in rule["apiVersions"]
            for resource in rule["resources"]
        }
        known = {(group, version, f"{kind.lower()}s") for group, version, kind in KINDS}
        assert asked == known | {("", "v1", "pods/ephemeralcontainers")}
        assert all(set(rule["operations"]) == {"CREATE", "UPDATE"} for rule in webhook["rules"])


def test_the_service_leads_to_where_the_gate_listens(cluster):
    settings = configure(BASE / "mlgate.yaml").settings
    (container,) = the("StatefulSet")["spec"]["template"]["spec"]["containers"]
    listening = {one["name"]: one["containerPort"] for one in container["ports"]}
    assert listening == {
        "registry": settings.port,
        "webhook": int(cluster.listen.rpartition(":")[2]),
        "metrics": int(settings.metrics_listen.rpartition(":")[2]),
    }
    service = the("Service")
    for one in service["spec"]["ports"]:
        assert one["targetPort"] in listening
    for webhook in WEBHOOKS:
        asked = webhook["clientConfig"]["service"]
        assert asked["name"] == service["metadata"]["name"]
        assert asked["namespace"] == the("Namespace")["metadata"]["name"]
        assert {"name": "webhook", "port": asked["port"], "targetPort": "webhook"} in service["spec"]["ports"]
    assert {port["port"] for rule in the("NetworkPolicy")["spec"]["ingress"] for port in rule["ports"]} == set(
        listening
    )


def test_every_file_that_the_gate_reads_is_mounted(cluster):
    settings = configure(BASE / "mlgate.yaml").settings
    (container,) = the("StatefulSet")["spec"]["template"]["spec"]["containers"]
    mounted = {Path(one["mountPath"]) for one in container["volumeMounts"]}
    read = [settings.cluster, settings.users, settings.trusted_keys, settings.tls_key, settings.data]
    for path in (*read, settings.tls_certificate, cluster.certificate, cluster.key):
        assert mounted & {path, *path.parents}, path
    assert f"https://{cluster.registries[0]}" == settings.public_url


def test_the_pods_keep_to_the_restricted_standard():
    spec = the("StatefulSet")["spec"]["template"]["spec"]
    (container,) = spec["containers"]
    assert spec["securityContext"]["runAsNonRoot"]
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert not spec["automountServiceAccountToken"]


def test_the_certificate_is_for_the_name_that_api_servers_call():
    service = WEBHOOKS[0]["clientConfig"]["service"]
    assert the("Certificate")["spec"]["dnsNames"] == [f"{service['name']}.{service['namespace']}.svc"]
    (volume,) = [
        one for one in the("StatefulSet")["spec"]["template"]["spec"]["volumes"] if one["name"] == "webhook"
    ]
    assert volume["secret"]["secretName"] == the("Certificate")["spec"]["secretName"]


def test_a_certificate_by_openssl_is_served_and_trusted(tmp_path):
    done = subprocess.run(
        [MANIFESTS / "certificate.sh", tmp_path], capture_output=True, text=True, timeout=60, check=True
    )
    assert "kubectl -n mlbuild create secret tls mlgate-webhook" in done.stdout
    Certificate(tmp_path / "tls.crt", tmp_path / "tls.key", None)
    certificate = x509.load_pem_x509_certificate((tmp_path / "tls.crt").read_bytes())
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["mlgate.mlbuild.svc"]
    patch = YAML(typ="safe").load((tmp_path / "trust.yaml").read_text())
    (validating,) = [one for one in CONFIGURATIONS if one["metadata"]["name"] == "mlbuild-images"]
    assert [one["path"] for one in patch] == [
        f"/webhooks/{place}/clientConfig/caBundle" for place in range(len(validating["webhooks"]))
    ]


@pytest.mark.parametrize("path", sorted(MANIFESTS.rglob("kustomization.yaml")), ids=lambda path: path.parent.name)
def test_what_a_kustomization_names_is_there(path):
    (document,) = documents(path)
    named = [*document["resources"], *document.get("components", ())]
    for generator in document.get("configMapGenerator", ()):
        named += generator["files"]
    assert [one for one in named if not (path.parent / one).exists()] == []


def kustomize_has_components() -> bool:
    """Whether kubectl is new enough for the manifests, as Debian 12's is not."""
    done = subprocess.run(["kubectl", "version", "--client", "-o", "json"], capture_output=True, check=True)
    version = json.loads(done.stdout)["clientVersion"]
    major, minor = (int(re.sub(r"\D", "", version[part])) for part in ("major", "minor"))
    return (major, minor) >= (1, 22)


@pytest.mark.acceptance
def test_kustomize_puts_it_together_and_cert_manager_is_told_of_every_webhook():
    if not kustomize_has_components():
        pytest.skip("the kustomize of kubectl before 1.22 knows neither components nor labels")
    done = subprocess.run(
        ["kubectl", "kustomize", MANIFESTS / "example"], capture_output=True, text=True, timeout=60, check=True
    )
    built = list(YAML(typ="safe").load_all(done.stdout))
    configurations = [one for one in built if one["kind"].endswith("WebhookConfiguration")]
    assert len(configurations) == len(CONFIGURATIONS)
    for one in configurations:
        assert one["metadata"]["annotations"] == {"cert-manager.io/inject-ca-from": "mlbuild/mlgate-webhook"}
    (settings,) = [one for one in built if one["kind"] == "ConfigMap"]
    assert re.fullmatch(r"mlgate-[a-z0-9]+", settings["metadata"]["name"])
    assert set(settings["data"]) == {"mlgate.yaml", "cluster.yaml"}


def test_the_page_shows_what_kustomize_puts_together():
    """Counted in the files, of which each document comes out once."""
    page = (Path(__file__).parents[2] / "docs" / "platform-engineer.md").read_text()
    shown = {kind: int(count) for count, kind in re.findall(r"^ +(\d+) kind: (\w+)$", page, re.MULTILINE)}
    kinds = [one["kind"] for one in documents(*PARTS) if one["kind"] not in {"Kustomization", "Component"}]
    assert shown == {**Counter(kinds), "ConfigMap": 1}
