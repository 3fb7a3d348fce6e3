"""How pushes went, day by day, as a drawing: what was admitted grows upwards, what was refused downwards."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

import svg
from markupsafe import Markup

from compliance.policy.decision import Verdict

WIDTH: Final = 720
HALF: Final = 90
"""Height of what grows upwards, and of what grows downwards."""

MARGIN: Final = 22
_GAP: Final = 3


@dataclass(frozen=True, slots=True)
class Day:
    """Pushes of one day. What could not be decided counts as refused, as it was treated."""

    on: date
    admitted: int
    refused: int


def days(pushes: Mapping[date, Mapping[Verdict, int]], last: date, count: int) -> Sequence[Day]:
    """Every day up to the last, those without a push too."""
    found = []
    for back in reversed(range(count)):
        on = last - timedelta(days=back)
        of_day = pushes.get(on, {})
        admitted = of_day.get(Verdict.ADMITTED, 0)
        found.append(Day(on, admitted, sum(of_day.values()) - admitted))
    return found


def draw(trend: Sequence[Day]) -> Markup:
    """The drawing. Its colours are those of the stylesheet; for who cannot see it, there is a table beside it."""
    highest = max((max(day.admitted, day.refused) for day in trend), default=0)
    most = max(1, highest)
    wide = WIDTH / max(1, len(trend))
    middle = MARGIN + HALF
    elements: list[svg.Element] = []
    for number, day in enumerate(trend):
        left = number * wide + _GAP / 2
        for count, kind, up in ((day.admitted, "admitted", True), (day.refused, "refused", False)):
            if count:
                height = max(2.0, HALF * count / most)
                elements.append(
                    svg.Rect(
                        x=round(left, 2),
                        y=round(middle - height if up else middle, 2),
                        width=round(wide - _GAP, 2),
                        height=round(height, 2),
                        class_=[kind],
                        elements=[svg.Title(text=f"{day.on:%Y-%m-%d}: {count} {kind}")],
                    )
                )
    elements.append(svg.Line(x1=0, y1=middle, x2=WIDTH, y2=middle, class_=["axis"]))
    if trend:
        bottom = 2 * (MARGIN + HALF) - 6
        elements += [
            svg.Text(x=0, y=bottom, text=f"{trend[0].on:%d %b}"),
            svg.Text(x=WIDTH, y=bottom, text=f"{trend[-1].on:%d %b}", text_anchor="end"),
            svg.Text(x=0, y=MARGIN - 8, text=f"admitted, at most {highest} of a kind a day"),
        ]
    told = f"{sum(day.admitted for day in trend)} pushes admitted and {sum(day.refused for day in trend)} refused"
    drawing = svg.SVG(
        viewBox=svg.ViewBoxSpec(0, 0, WIDTH, 2 * (MARGIN + HALF)),
        class_=["trend"],
        extra={"role": "img", "aria-label": f"{told} in {len(trend)} days"},
        elements=elements,
    )
    return Markup(drawing.as_str())  # noqa: S704 - made of numbers and dates alone
