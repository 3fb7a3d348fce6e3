"""What the gate counts, and that no metric grows with what is pushed."""

from __future__ import annotations

import pytest

from compliance.errors import Unavailable
from compliance.policy.decision import Mode, Verdict
from gate.errors import Code, Fault
from gate.telemetry.exchange import Exchange
from gate.telemetry.metrics import Metrics


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(name, labels)


def test_an_answer_is_counted_by_route_method_and_status():
    metrics = Metrics()
    exchange = Exchange("PUT", "/v2/a/manifests/v1", route="/v2/{name:path}/manifests/{target}", status=403)
    exchange.verdict, exchange.mode = Verdict.REFUSED, Mode.ENFORCE
    metrics.answered(exchange, 0.2)
    labels = {"route": "/v2/{name:path}/manifests/{target}", "method": "PUT"}
    assert value(metrics, "mlgate_requests_total", **labels, status="403") == 1
    assert value(metrics, "mlgate_request_seconds_sum", **labels) == pytest.approx(0.2)
    assert value(metrics, "mlgate_verdicts_total", verdict="refused", mode="enforce") == 1
    assert value(metrics, "mlgate_blob_bytes_total", direction="in") is None


def test_bytes_of_blobs_are_counted_both_ways():
    metrics = Metrics()
    for received, sent in ((7, 0), (0, 5)):
        route = "/v2/{name:path}/blobs/{digest}"
        metrics.answered(Exchange("GET", "", route=route, status=200, received=received, sent=sent), 0)
    assert value(metrics, "mlgate_blob_bytes_total", direction="in") == 7
    assert value(metrics, "mlgate_blob_bytes_total", direction="out") == 5


def test_what_clients_make_up_makes_no_new_series():
    metrics = Metrics()
    for number in range(50):
        metrics.answered(Exchange(f"METHOD{number}", f"/path{number}", status=405), 0)
    assert value(metrics, "mlgate_requests_total", route="none", method="other", status="405") == 50
    assert b"METHOD" not in metrics.text()


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (Unavailable("down"), "unavailable"),
        (Fault(503, Code.UNAVAILABLE, "down"), "unavailable"),
        (Fault(400, Code.MANIFEST_INVALID, "bad"), "rejected"),
        (ZeroDivisionError(), "defect"),
    ],
)
def test_what_keeps_a_push_from_a_verdict_is_counted(error, reason):
    metrics = Metrics()
    with pytest.raises(type(error)), metrics.judging():
        raise error
    assert value(metrics, "mlgate_judging_failures_total", step="judging", reason=reason) == 1
    assert value(metrics, "mlgate_judging_seconds_count") == 0
    assert value(metrics, "mlgate_judging_running") == 0


def test_two_gates_in_one_process_count_apart():
    one, other = Metrics(), Metrics()
    one.blob_read(hit=True)
    assert value(one, "mlgate_blob_cache_reads_total", result="hit") == 1
    assert value(other, "mlgate_blob_cache_reads_total", result="hit") is None
