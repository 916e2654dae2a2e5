"""Plots of what evaluations found: values with their intervals, as SVG.

The dashboard draws the same geometry with its own colours (templates/dashboard/_plot.html); `svg`
is a file of its own for documents.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from training.models import Evaluation

WIDTH, HEIGHT = 360, 220  # units of the viewBox; about CSS pixels on a phone
LEFT, RIGHT, TOP, BOTTOM = 46, 10, 10, 42  # margins
DODGE = 4.0  # between the points of two series at the same place
COLOURS = ("#1d4ed8", "#b45309", "#047857", "#7c3aed", "#475569", "#be123c")  # by series
LEGEND = 18  # height of one of its lines

# What rows say that decides how they are drawn
HISTORY, PICKS = "history", "picks"  # `by` of evaluations by history
FIRST_DAY = "a catalog's first day"  # a case of cold start
TEXT_ALONE = gettext_noop("text alone")  # a model of cold start

Rows = Sequence[dict[str, Any]]


@dataclass(frozen=True)
class Tick:
    """A label beside an axis."""

    at: str
    text: str


@dataclass(frozen=True)
class Point:
    """A value with its interval: where it is drawn, and what it is."""

    x: str
    y: str
    low_y: str
    high_y: str
    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Series:
    """The points of one model; a None where it was not measured."""

    name: str
    points: tuple[Point | None, ...]  # one a place on the x axis
    line: str  # of <polyline>; '' where places have no order


@dataclass(frozen=True)
class Plot:
    """Series over the same places, from 0 upwards."""

    title: str
    x_title: str
    y_title: str
    series: tuple[Series, ...]
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    width: int = WIDTH
    height: int = HEIGHT
    left: int = LEFT
    right_end: int = WIDTH - RIGHT
    bottom: int = HEIGHT - BOTTOM

    def table(self) -> list[tuple[str, list[Point | None]]]:
        """Each place with the points of all series: the plot in numbers."""
        places = range(len(self.x_ticks))
        return [
            (self.x_ticks[place].text, [one.points[place] for one in self.series])
            for place in places
        ]


def plots_of(kind: str, rows: Rows) -> list[Plot]:
    """The plots of a stored evaluation; none of a kind that is not drawn."""
    if kind == Evaluation.Kind.BY_ENCODER:
        return [_by_model(rows, _("What each encoder is worth by the texts alone"))]
    if kind == Evaluation.Kind.BY_HISTORY:
        return [
            _by(
                rows,
                HISTORY,
                _("By length of history"),
                _("interactions known of a person, by weight"),
            ),
            _by(
                rows,
                PICKS,
                _("By how often the item was picked before"),
                _("times picked, at least"),
            ),
        ]
    if kind == Evaluation.Kind.COLD_START:
        day = [row for row in rows if row["case"] == FIRST_DAY]
        rest = [row for row in rows if row["case"] != FIRST_DAY]
        little = _by_case(
            rest, _("Where little is known"), _("interactions known of a person; new items")
        )
        if not day:  # of an encoder that was fine-tuned
            return [little]
        return [
            little,
            _by_model(day, _("A catalog’s first day: three liked items, nothing else")),
        ]
    if kind == Evaluation.Kind.TRANSFER:
        return [_by_case(rows, _("From one half of the catalog to the other"), "")]
    return []


def _by(rows: Rows, axis: str, title: str, x_title: str) -> Plot:
    some = [row | {"case": f"{row['from']}"} for row in rows if row["by"] == axis]
    return _by_case(some, title, x_title, in_order=True)


def _by_case(rows: Rows, title: str, x_title: str, *, in_order: bool = False) -> Plot:
    """A place a case, a series a model; in the order of the rows."""
    cases = list(dict.fromkeys(str(row["case"]) for row in rows))
    models = list(dict.fromkeys(str(row["model"]) for row in rows))
    found = {(row["case"], row["model"]): row["ndcg@10"] for row in rows}
    labels = {str(row["case"]): str(row.get("label", row["case"])) for row in rows}
    values = {model: [found.get((case, model)) for case in cases] for model in models}
    return draw(title, x_title, [_(labels[case]) for case in cases], values, in_order)


def name_of(row: dict[str, Any]) -> str:
    """What a row calls its model, in the reader's language: projection, int8 of projection …"""
    if not row.get("of"):
        return _(row["model"])
    return _("%(way)s of %(origin)s") % {"way": _(row["model"]), "origin": _(row["of"])}


def _by_model(rows: Rows, title: str) -> Plot:
    """A place a model."""
    names = [
        f"{name_of(row)}, {row['times_chance']:.1f} ×"
        if row["model"] == TEXT_ALONE and row.get("times_chance")
        else name_of(row)
        for row in rows
    ]
    return draw(title, "", names, {"nDCG@10": [row["ndcg@10"] for row in rows]}, False)


def draw(
    title: str,
    x_title: str,
    places: list[str],
    values: dict[str, list[dict[str, float] | None]],
    in_order: bool,
) -> Plot:
    """A plot of {value, low, high} by series and place; `in_order` joins the points of a series."""
    highs = [one["high"] for line in values.values() for one in line if one]
    ticks = round_ticks(0.0, max(highs, default=0.0) or 1.0)
    top = ticks[-1]
    step = (WIDTH - LEFT - RIGHT) / max(len(places), 1)

    def y_of(value: float) -> str:
        return f"{TOP + (HEIGHT - TOP - BOTTOM) * (1 - value / top):.1f}"

    def point(place: int, aside: float, one: dict[str, float]) -> Point:
        value, low, high = one["value"], one["low"], one["high"]
        x = LEFT + step * (place + 0.5) + aside
        return Point(f"{x:.1f}", y_of(value), y_of(low), y_of(high), value, low, high)

    series = []
    for number, (name, line) in enumerate(values.items()):
        aside = DODGE * (number - (len(values) - 1) / 2)
        points = tuple(
            None if one is None else point(place, aside, one) for place, one in enumerate(line)
        )
        joined = " ".join(f"{each.x},{each.y}" for each in points if each)
        series.append(Series(_(name), points, joined if in_order else ""))
    return Plot(
        title,
        x_title,
        "nDCG@10",
        tuple(series),
        tuple(Tick(f"{LEFT + step * (n + 0.5):.1f}", text) for n, text in enumerate(places)),
        tuple(Tick(y_of(value), f"{value:.4g}") for value in ticks),
    )


def round_ticks(low: float, high: float) -> list[float]:
    """Two to five round numbers that span the values (Heckbert 1990, "Nice numbers")."""
    span = high - low or abs(high) or 1.0
    exponent = 10 ** math.floor(math.log10(span / 3))
    step = next(
        exponent * factor for factor in (1, 2, 5, 10, 20) if span / (exponent * factor) <= 4
    )
    first = math.floor(low / step)
    last = math.ceil(high / step)
    return [round(number * step, 12) for number in range(first, max(last, first + 1) + 1)]


def svg(plots: Sequence[Plot]) -> str:
    """A file with these plots below each other."""
    parts, top = [], 0
    for plot in plots:
        height = LEGEND * (len(plot.series) + 2) + plot.height
        parts.append(f'<g transform="translate(0 {top})">{"".join(_lines(plot))}</g>')
        top += height
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {top}" width="{2 * WIDTH}"'
        ' font-family="system-ui, sans-serif" font-size="11" fill="#334155">'
        f'<rect width="{WIDTH}" height="{top}" fill="#ffffff"/>{"".join(parts)}</svg>\n'
    )


def _lines(plot: Plot) -> list[str]:
    """The elements of one plot: title, legend, axes, series."""
    drawn = [
        f'<text x="8" y="{LEGEND}" font-size="12"><tspan font-weight="600">{escape(plot.title)}'
        f"</tspan>: {plot.y_title}</text>"
    ]
    for number, series in enumerate(plot.series):
        colour, y = COLOURS[number % len(COLOURS)], LEGEND * (number + 2) - 4
        drawn.append(f'<circle cx="14" cy="{y - 4}" r="3.5" fill="{colour}"/>')
        drawn.append(f'<text x="24" y="{y}">{escape(series.name)}</text>')
    offset = LEGEND * (len(plot.series) + 1) + 6
    drawn.append(f'<g transform="translate(0 {offset})">')
    drawn += [
        f'<line x1="{plot.left}" x2="{plot.right_end}" y1="{tick.at}" y2="{tick.at}"'
        f' stroke="#e2e8f0"/><text x="{plot.left - 6}" y="{tick.at}" text-anchor="end"'
        f' dominant-baseline="middle">{tick.text}</text>'
        for tick in plot.y_ticks
    ]
    drawn += [
        f'<text x="{tick.at}" y="{plot.bottom + 16}" text-anchor="middle">'
        f"{escape(tick.text)}</text>"
        for tick in plot.x_ticks
    ]
    drawn.append(
        f'<text x="{(plot.left + plot.right_end) / 2}" y="{plot.bottom + 34}"'
        f' text-anchor="middle">{escape(plot.x_title)}</text>'
    )
    for number, series in enumerate(plot.series):
        drawn += _drawn(series, COLOURS[number % len(COLOURS)])
    return [*drawn, "</g>"]


def _drawn(series: Series, colour: str) -> list[str]:
    """The elements of one series: its line, and each point with its interval."""
    line = f'<polyline points="{series.line}" fill="none" stroke="{colour}" stroke-width="1.5"/>'
    points = [
        f'<line x1="{point.x}" x2="{point.x}" y1="{point.low_y}" y2="{point.high_y}"'
        f' stroke="{colour}"/><circle cx="{point.x}" cy="{point.y}" r="3" fill="{colour}"/>'
        for point in series.points
        if point is not None
    ]
    return [line, *points] if series.line else points
