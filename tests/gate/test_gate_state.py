from __future__ import annotations

from contextlib import closing
from datetime import UTC, datetime

from gate.catalogue import Catalogue
from gate.database import Database
from gate.rulebook import Rulebook
from gate.telemetry.metrics import Metrics
from gate.telemetry.state import State

NOW = datetime(2026, 7, 1, tzinfo=UTC)


def test_metrics_are_there_while_the_database_is_not(tmp_path):
    directories = {name: tmp_path / name for name in ("policies", "bases", "keys", "cache")}
    for directory in directories.values():
        directory.mkdir()
    rulebook = Rulebook(**directories, sightings=None, trivy=tmp_path / "no-trivy", now=lambda: NOW)
    metrics = Metrics()
    with closing(Database(tmp_path / "gone.db", as_found=True)) as database:
        metrics.watch(lambda: 3, State(rulebook, directories["policies"], Catalogue(database), lambda: NOW))
        text = metrics.text().decode()
    assert "mlgate_judging_under_way 3.0" in text
    assert "mlgate_manifests{" not in text
