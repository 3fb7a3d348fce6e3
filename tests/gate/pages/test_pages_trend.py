"""How pushes went, as the first page draws it."""

from __future__ import annotations

from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from xml.etree import ElementTree

from gate.pages.trend import HALF, Day, days, draw
from gate.store import Store
from tests.gate.notify.decisions import recorded

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


def test_what_an_audit_let_in_does_not_count_as_refused(tmp_path: Path) -> None:
    with closing(Store(tmp_path / "gate.db", lambda: NOW)) as store:
        recorded(store, NOW, "team/refused")
        recorded(store, NOW, "team/good", keys=())
        for name in ("training/one", "training/two"):
            recorded(store, NOW, name, audited=True)
        recorded(store, NOW, "training/good", keys=(), audited=True)
        pushes = store.overview.pushes(None, NOW - timedelta(days=2))
    assert days(pushes, NOW.date(), 2) == [
        Day(NOW.date() - timedelta(days=1), admitted=0, audited=0, refused=0),
        Day(NOW.date(), admitted=2, audited=2, refused=1),
    ]


def test_what_was_let_in_is_drawn_upwards_and_what_was_refused_downwards() -> None:
    drawing = ElementTree.fromstring(draw([Day(NOW.date(), admitted=2, audited=2, refused=1)]))  # noqa: S314
    assert drawing.attrib["aria-label"] == ("2 pushes admitted and 1 refused, 2 let in by audit only, in 1 days")
    bars = {
        each.attrib["class"]: (float(each.attrib["y"]), float(each.attrib["height"]))
        for each in drawing.iter()
        if each.tag.endswith("rect")
    }
    (axis,) = {float(each.attrib["y1"]) for each in drawing.iter() if each.tag.endswith("line")}
    assert bars == {
        "admitted": (axis - HALF / 2, HALF / 2),
        "audited": (axis - HALF, HALF / 2),
        "refused": (axis, HALF / 4),
    }
