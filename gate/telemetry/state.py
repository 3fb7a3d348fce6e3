"""What is looked up when metrics are scraped: how old the rules are, and how much is published."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from compliance.errors import InvalidInput, Unavailable
from gate.catalogue import Catalogue
from gate.rulebook import Rulebook


class State(Collector):
    """Gauges whose values are elsewhere. What cannot be looked up has no sample."""

    def __init__(
        self, rulebook: Rulebook, policies: Path, catalogue: Catalogue, now: Callable[[], datetime]
    ) -> None:
        self._rulebook = rulebook
        self._policies = policies
        self._catalogue = catalogue
        self._now = now

    def describe(self) -> Iterator[Metric]:
        """All of them without values, so that nothing is looked up before the first scrape."""
        return (metric for metric, _ in descriptions())

    def collect(self) -> Iterator[Metric]:
        """All of them as they are now."""
        readable, updated = _readable(), _updated()
        try:
            readable.add_metric((), 0 if self._rulebook.problems() else 1)
            scanner = self._rulebook.current().scanner
        except InvalidInput:
            readable.add_metric((), 0)
        else:
            for each in () if isinstance(scanner, Unavailable) else scanner.databases:
                updated.add_metric((each.name,), each.description.updated.timestamp())
        changed, manifests = _changed(), _manifests()
        with suppress(OSError):  # no file, or one that is taken away just now
            changed.add_metric((), _newest(self._policies))
        with suppress(Unavailable):
            for (kind, standing), count in self._catalogue.counts(self._now()).items():
                manifests.add_metric((kind.value, standing.value), count)
        return iter((readable, changed, updated, manifests))


def _newest(directory: Path) -> float:
    """When a file in it was changed last. Raises FileNotFoundError where there is none."""
    times = [path.stat().st_mtime for path in directory.rglob("*") if path.is_file()]
    if not times:
        raise FileNotFoundError(directory)
    return max(times)


def descriptions() -> tuple[tuple[Metric, tuple[str, ...]], ...]:
    """All of these metrics without values, and the labels of each."""
    return ((_readable(), ()), (_changed(), ()), (_updated(), ("database",)), (_manifests(), ("kind", "standing")))


def _readable() -> GaugeMetricFamily:
    return GaugeMetricFamily(
        "mlgate_rules_readable",
        "1, or 0 when what is on disk of policies, bases, keys or advisories cannot be read.",
    )


def _changed() -> GaugeMetricFamily:
    return GaugeMetricFamily(
        "mlgate_policies_changed_timestamp_seconds", "When a file among the policies was changed last."
    )


def _updated() -> GaugeMetricFamily:
    return GaugeMetricFamily(
        "mlgate_database_updated_timestamp_seconds",
        "When the content of a vulnerability database was made.",
        labels=("database",),
    )


def _manifests() -> GaugeMetricFamily:
    return GaugeMetricFamily(
        "mlgate_manifests",
        "Published manifests, by kind and by whether they may be pulled: pullable, ending, ended, audited.",
        labels=("kind", "standing"),
    )
