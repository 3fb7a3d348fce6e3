"""How pushes went, day by day, as a drawing: what was let in grows upwards, what was refused downwards."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

import svg
from markupsafe import Markup

from compliance.policy.decision import Mode, Verdict
from gate.overview import Outcome

WIDTH: Final = 720
HALF: Final = 90
"""Height of what grows upwards, and of what grows downwards."""

MARGIN: Final = 22
_GAP: Final = 3
_TOLD: Final = {"audited": "let in by audit only"}


@dataclass(frozen=True, slots=True)
class Day:
    """Pushes of one day, as they were treated.

    What could not be decided counts as refused. `audited` was not admitted by its verdict, and let in
    by audit only.
    """

    on: date
    admitted: int
    audited: int
    refused: int

    @property
    def let_in(self) -> int:
        return self.admitted + self.audited


def days(pushes: Mapping[date, Mapping[Outcome, int]], last: date, count: int) -> Sequence[Day]:
    """Every day up to the last, those without a push too."""
    found = []
    for back in reversed(range(count)):
        on = last - timedelta(days=back)
        of_day = pushes.get(on, {})
        admitted = sum(of_day.get((Verdict.ADMITTED, mode), 0) for mode in Mode)
        others = [(mode, number) for (verdict, mode), number in of_day.items() if verdict is not Verdict.ADMITTED]
        audited = sum(number for mode, number in others if mode is Mode.AUDIT)
        found.append(Day(on, admitted, audited, sum(number for _, number in others) - audited))
    return found


def draw(trend: Sequence[Day]) -> Markup:
    """The drawing. Its colours are those of the stylesheet; for who cannot see it, there is a table beside it."""
    highest = max((max(day.let_in, day.refused) for day in trend), default=0)
    most = max(1, highest)
    wide = WIDTH / max(1, len(trend))
    middle = MARGIN + HALF
    elements: list[svg.Element] = []
    for number, day in enumerate(trend):
        left = number * wide + _GAP / 2
        above = max(2.0, HALF * day.admitted / most) if day.admitted else 0.0
        for count, kind, at in (
            (day.admitted, "admitted", middle),
            (day.audited, "audited", middle - above),
            (day.refused, "refused", None),
        ):
            if count:
                height = max(2.0, HALF * count / most)
                elements.append(
                    svg.Rect(
                        x=round(left, 2),
                        y=round(middle if at is None else at - height, 2),
                        width=round(wide - _GAP, 2),
                        height=round(height, 2),
                        class_=[kind],
                        elements=[svg.Title(text=f"{day.on:%Y-%m-%d}: {count} {_TOLD.get(kind, kind)}")],
                    )
                )
    elements.append(svg.Line(x1=0, y1=middle, x2=WIDTH, y2=middle, class_=["axis"]))
    if trend:
        bottom = 2 * (MARGIN + HALF) - 6
        elements += [
            svg.Text(x=0, y=bottom, text=f"{trend[0].on:%d %b}"),
            svg.Text(x=WIDTH, y=bottom, text=f"{trend[-1].on:%d %b}", text_anchor="end"),
            svg.Text(x=0, y=MARGIN - 8, text=f"let in above, refused below, at most {highest} a day"),
        ]
    told = f"{sum(day.admitted for day in trend)} pushes admitted and {sum(day.refused for day in trend)} refused"
    audited = sum(day.audited for day in trend)
    if audited:
        told += f", {audited} let in by audit only,"
    drawing = svg.SVG(
        viewBox=svg.ViewBoxSpec(0, 0, WIDTH, 2 * (MARGIN + HALF)),
        class_=["trend"],
        extra={"role": "img", "aria-label": f"{told} in {len(trend)} days"},
        elements=elements,
    )
    return Markup(drawing.as_str())  # noqa: S704 - made of numbers and dates alone
