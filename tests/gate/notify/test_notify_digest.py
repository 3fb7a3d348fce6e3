"""What a digest counts."""

from __future__ import annotations

from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

from gate.notify.digest import digest_report
from gate.notify.digest_words import digest_in_markdown
from gate.store import Store
from tests.gate.notify.decisions import recorded

NOW = datetime(2026, 11, 22, tzinfo=UTC)


def test_what_an_audit_let_in_does_not_count_as_refused(tmp_path: Path) -> None:
    before = NOW - timedelta(hours=1)
    with closing(Store(tmp_path / "gate.db", lambda: NOW)) as store:
        recorded(store, before, "team/refused")
        recorded(store, before, "team/good", keys=())
        for name in ("training/one", "training/two"):
            recorded(store, before, name, audited=True)
        recorded(store, before, "training/good", keys=(), audited=True)
        report = digest_report(store.database, (), (), since=NOW - timedelta(days=1), until=NOW)
    assert report.pushes == {"admitted": 2, "refused": 1, "undecidable": 0, "audited": 2}
    assert [one.repository for one in report.refused] == ["team/refused"]
    assert "\n5 pushes judged: 2 admitted, 1 refused, 2 let in by audit only\n" in digest_in_markdown(report, "")
