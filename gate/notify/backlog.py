"""What is looked up in the outbox when metrics are scraped."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from compliance.errors import Unavailable
from gate.notify.outbox import Outbox


class Backlog(Collector):
    """Gauges of the outbox. What cannot be looked up has no sample."""

    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox

    def describe(self) -> Iterator[Metric]:
        return (metric for metric, _ in descriptions())

    def collect(self) -> Iterator[Metric]:
        backlog, oldest = _backlog(), _oldest()
        with suppress(Unavailable):
            counts = self._outbox.counts()
            backlog.add_metric(("waiting",), counts.waiting)
            backlog.add_metric(("given-up",), counts.failed)
            if counts.oldest is not None:
                oldest.add_metric((), counts.oldest.timestamp())
        return iter((backlog, oldest))


def descriptions() -> tuple[tuple[Metric, tuple[str, ...]], ...]:
    """All of these metrics without values, and the labels of each."""
    return ((_backlog(), ("state",)), (_oldest(), ()))


def _backlog() -> GaugeMetricFamily:
    return GaugeMetricFamily(
        "mlgate_messages_backlog", "Messages that wait to be sent, and those given up on.", labels=("state",)
    )


def _oldest() -> GaugeMetricFamily:
    return GaugeMetricFamily(
        "mlgate_messages_oldest_timestamp_seconds", "When the oldest message that waits to be sent was made."
    )
