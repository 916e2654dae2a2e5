"""Charts of one measure by day, with its interval, its bounds and what it is compared with."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from django.template.defaultfilters import date as date_words
from django.utils.translation import gettext as _

from recsite.dashboard.charts import (
    BOTTOM,
    HEIGHT,
    LEFT,
    RIGHT,
    TOP,
    WIDTH,
)
from training.plots import Tick, round_ticks

FEW_DOTS = 45  # more than so many days lie too close for a dot each


@dataclass(frozen=True)
class Point:
    """What was measured of one day; `value` None = too little to tell."""

    day: date
    value: float | None
    level: str = ""  # steady, watch, alert, unknown; '' = it is not judged
    low: float | None = None
    high: float | None = None
    beside: float | None = None  # what it is compared with, such as the offline figure
    cases: int = 0
    note: str = ""


@dataclass(frozen=True)
class Dot:
    """A day on the curve."""

    x: str
    y: str
    point: Point
    whisker: tuple[str, str] | None = None  # y of the ends of the interval


@dataclass(frozen=True)
class Line:
    """A level line from side to side."""

    y: str
    text: str
    style: str  # watch, alert


@dataclass(frozen=True)
class DayChart:
    """Everything that the template draws."""

    name: str
    title: str
    dots: list[Dot]  # that are drawn
    curve: str  # points of <polyline>
    beside: str  # the same of what it is compared with; '' = nothing
    beside_name: str
    lines: list[Line]
    x_ticks: list[Tick]
    y_ticks: list[Tick]
    points: Sequence[Point]  # newest first, for the table
    format: str = "3"  # of a value, as |floatformat takes it: decimals; 0g = a whole number
    width: int = WIDTH
    height: int = HEIGHT
    left: int = LEFT
    right_end: int = WIDTH - RIGHT

    @property
    def has_intervals(self) -> bool:
        """Whether the table has a column for them."""
        return any(point.low is not None for point in self.points)

    @property
    def has_levels(self) -> bool:
        """Whether the table has columns for them, and for what they rest on."""
        return any(point.level for point in self.points)


def day_chart(
    name: str,
    title: str,
    points: Sequence[Point],
    bounds: tuple[float, float] | None = None,
    beside_name: str = "",
    *,
    whole: bool = False,
) -> DayChart:
    """Draw one measure.

    Parameters
    ----------
    points
        Oldest first.
    bounds
        From where on it is watched, and an alert; the upper one is drawn where it is near.
    beside_name
        What `Point.beside` is; '' = there is none.
    whole
        Its values are counts.
    """
    known = [point for point in points if point.value is not None]
    low_y, high_y = _span(known, bounds)
    ticks = round_ticks(low_y, high_y)
    low_y, high_y = min(low_y, ticks[0]), max(high_y, ticks[-1])
    first, last = (points[0].day, points[-1].day) if points else (date.min, date.min)
    days = max((last - first).days, 1)

    def x_of(day: date) -> str:
        return f"{LEFT + (WIDTH - LEFT - RIGHT) * (day - first).days / days:.1f}"

    def y_of(value: float) -> str:
        share = (value - low_y) / (high_y - low_y)
        return f"{TOP + (HEIGHT - TOP - BOTTOM) * (1 - share):.1f}"

    dots = []
    for point in known:
        has = point.low is not None and point.high is not None
        whisker = (y_of(point.low or 0.0), y_of(point.high or 0.0)) if has else None
        dots.append(Dot(x_of(point.day), y_of(point.value or 0.0), point, whisker))
    besides = [(point.day, point.beside) for point in known if point.beside is not None]
    styles = zip(("watch", "alert"), bounds or (), strict=False)
    return DayChart(
        name=name,
        title=title,
        dots=_not_too_many(dots),
        curve=" ".join(f"{dot.x},{dot.y}" for dot in dots),
        beside=" ".join(f"{x_of(day)},{y_of(value)}" for day, value in besides),
        beside_name=beside_name,
        lines=[Line(y_of(at), f"{at:g}", style) for style, at in styles if low_y <= at <= high_y],
        x_ticks=[Tick(x_of(day), date_words(day, _("j M"))) for day in sorted({first, last})],
        y_ticks=[
            Tick(y_of(value), f"{value:,.0f}" if whole else f"{value:.4g}") for value in ticks
        ],
        points=list(reversed(points)),
        format="0g" if whole else "3",
    )


def _not_too_many(dots: list[Dot]) -> list[Dot]:
    """All of them, or those that stand out, and the last."""
    if len(dots) <= FEW_DOTS:
        return dots
    return [dot for dot in dots[:-1] if dot.point.level in ("watch", "alert")] + dots[-1:]


def _span(known: Sequence[Point], bounds: tuple[float, float] | None) -> tuple[float, float]:
    """From 0 to a little above everything that is drawn."""
    drawn: list[Any] = [value for point in known for value in (point.value, point.high)]
    drawn += [point.beside for point in known]
    top = max((value for value in drawn if value is not None), default=0.0)
    if bounds is not None:
        top = max(top, bounds[0] * 1.2)
        if top > bounds[1] * 0.6:
            top = max(top, bounds[1] * 1.1)
    return 0.0, top or 1.0
