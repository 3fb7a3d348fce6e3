"""The gate's metrics, in the form that Prometheus reads.

No label holds the name of a repository, image, user or policy: a metric tells how the gate fares, not what is in
it, and has no more series the more is pushed.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import version
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info, ProcessCollector
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.metrics import MetricWrapperBase
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from compliance.errors import Unavailable
from gate.errors import Fault
from gate.telemetry.exchange import Exchange

CONTENT_TYPE: Final = CONTENT_TYPE_LATEST
NO_ROUTE: Final = "none"
METHODS: Final = frozenset({"GET", "HEAD", "PUT", "POST", "PATCH", "DELETE"})
_ANSWER_SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10, 60, 600)
_JUDGING_SECONDS: Final = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600)
_BLOBS: Final = "/blobs/"


class Metrics:
    """Everything that one gate counts, apart from every other gate and test in the same process."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._requests = self._counter(
            "mlgate_requests", "Requests that were answered.", "route", "method", "status"
        )
        self._seconds = Histogram(
            "mlgate_request_seconds",
            "From a request's head to the end of its answer.",
            ("route", "method"),
            buckets=_ANSWER_SECONDS,
            registry=self.registry,
        )
        self._verdicts = self._counter(
            "mlgate_verdicts", "Verdicts that pushes were answered with, reused ones too.", "verdict", "mode"
        )
        self._judging = Histogram(
            "mlgate_judging_seconds",
            "How long the judging of one manifest took.",
            buckets=_JUDGING_SECONDS,
            registry=self.registry,
        )
        self._running = Gauge("mlgate_judging_running", "Manifests that are being judged.", registry=self.registry)
        self._under_way = Gauge(
            "mlgate_judging_under_way",
            "Manifests that are being judged, or wait for it.",
            registry=self.registry,
        )
        self._failures = self._counter(
            "mlgate_judging_failures",
            "Pushes that came to no verdict, or whose verdict could not be carried out.",
            "step",
            "reason",
        )
        self._bytes = self._counter(
            "mlgate_blob_bytes", "Bytes of blobs from clients (in) and to clients (out).", "direction"
        )
        self._cache = self._counter(
            "mlgate_blob_cache_reads",
            "Blobs asked for that the gate's own copy had (hit) or not (miss).",
            "result",
        )
        self.registry_errors = Counter(
            "mlgate_registry_errors",
            "Requests to the registry behind the gate that it failed or did not answer.",
            registry=self.registry,
        )
        self.reviews = self._counter(
            "mlgate_cluster_reviews", "Questions of Kubernetes API servers that were answered.", "outcome"
        )
        self.messages = self._counter(
            "mlgate_messages",
            "Tries to tell somebody: delivered, retried for it was not taken, or given-up for good.",
            "outcome",
        )
        self._build = Info("mlgate_build", "The version of the gate.", registry=self.registry)
        self._build.info({"version": version("mlbuild")})
        ProcessCollector(registry=self.registry)

    def _counter(self, name: str, what: str, *labels: str) -> Counter:
        return Counter(name, what, labels, registry=self.registry)

    def answered(self, exchange: Exchange, seconds: float) -> None:
        """Count a request that is over."""
        route = exchange.route or NO_ROUTE
        method = exchange.method if exchange.method in METHODS else "other"
        self._requests.labels(route, method, str(exchange.status)).inc()
        self._seconds.labels(route, method).observe(seconds)
        if exchange.verdict is not None and exchange.mode is not None:
            self._verdicts.labels(exchange.verdict.value, exchange.mode.value).inc()
        if _BLOBS in route:
            self._bytes.labels("in").inc(exchange.received)
            self._bytes.labels("out").inc(exchange.sent)

    def blob_read(self, *, hit: bool) -> None:
        """Count a blob that was asked for."""
        self._cache.labels("hit" if hit else "miss").inc()

    @contextmanager
    def judging(self) -> Iterator[None]:
        """Time the judging of one manifest."""
        begin = time.monotonic()
        with self._running.track_inprogress(), self._counting_failures("judging"):
            yield
        self._judging.observe(time.monotonic() - begin)

    @contextmanager
    def publishing(self) -> Iterator[None]:
        """Count what keeps a verdict from being carried out."""
        with self._counting_failures("publishing"):
            yield

    @contextmanager
    def _counting_failures(self, step: str) -> Iterator[None]:
        try:
            yield
        except Unavailable:
            self._failures.labels(step, "unavailable").inc()
            raise
        except Fault as fault:
            reason = "unavailable" if fault.status >= 500 else "rejected"
            self._failures.labels(step, reason).inc()
            raise
        except Exception:
            self._failures.labels(step, "defect").inc()
            raise

    def watch(self, under_way: Callable[[], float], *others: Collector) -> None:
        """Ask for what is known at the moment of a scrape only."""
        self._under_way.set_function(under_way)
        for collector in others:
            self.registry.register(collector)

    def descriptions(self) -> Iterator[tuple[Metric, tuple[str, ...]]]:
        """Each of these metrics, and its labels."""
        for one in vars(self).values():
            if isinstance(one, MetricWrapperBase):
                (metric,) = one.describe()
                yield metric, one._labelnames

    def text(self) -> bytes:
        """All metrics, as Prometheus scrapes them. May take a while, for what is asked of the database."""
        return generate_latest(self.registry)
