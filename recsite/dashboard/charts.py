"""Charts as SVG with presentation attributes: the site's policy allows no style attributes."""

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date

from training.plots import Tick, round_ticks

WIDTH, HEIGHT = 360, 190  # units of the viewBox; about CSS pixels on a phone
LEFT, RIGHT, TOP, BOTTOM = 46, 10, 10, 26  # margins
MOST_POINTS = 160  # a curve; more cannot be told apart at this width
BARS_WIDTH, BAR_HEIGHT = 304, 64
FORTNIGHT = 14
BAR_SHARE = 0.8  # of its step that a bar fills


@dataclass(frozen=True)
class Curve:
    """One line of a chart."""

    name: str
    points: str  # of <polyline>
    last_x: str
    last_y: str
    steps: Sequence[tuple[int, float]]  # what is drawn, for the table


@dataclass(frozen=True)
class Chart:
    """Curves over the same steps and the same scale."""

    title: str
    curves: list[Curve]
    x_ticks: list[Tick]
    y_ticks: list[Tick]
    width: int = WIDTH
    height: int = HEIGHT
    left: int = LEFT
    right_end: int = WIDTH - RIGHT
    bottom: int = HEIGHT - BOTTOM

    @property
    def data(self) -> str:
        """The same as JSON, for static/js/curves.js."""
        return json.dumps(
            [
                {
                    "name": curve.name,
                    "steps": [x for x, _ in curve.steps],
                    "values": [y for _, y in curve.steps],
                }
                for curve in self.curves
            ]
        )


@dataclass(frozen=True)
class Bar:
    """One day, or one hour."""

    at: date  # or its start, a datetime
    count: int
    x: str
    y: str
    width: str
    height: str


def curve_charts(points: Iterable[tuple[str, int, float]]) -> list[Chart]:
    """One chart a group of metrics: training and validation loss of a network share theirs.

    Parameters
    ----------
    points
        (name, step, value), by name, then step. Values that are no finite number are left out.
    """
    groups: dict[str, dict[str, list[tuple[int, float]]]] = {}
    for name, step, value in points:
        if math.isfinite(value):
            group = groups.setdefault(_title(name), {})
            group.setdefault(name.rpartition("/")[2], []).append((step, value))
    return [_chart(title, group) for title, group in groups.items()]


def overlaid_charts(points: Iterable[tuple[str, str, int, float]]) -> list[Chart]:
    """One chart a metric, with a curve of each run that has it.

    Parameters
    ----------
    points
        (run, name, step, value); within a run by name, then step.
    """
    groups: dict[str, dict[str, list[tuple[int, float]]]] = {}
    for run, name, step, value in points:
        if math.isfinite(value):
            group = groups.setdefault(name.replace("_", " ").replace("/", " "), {})
            group.setdefault(run, []).append((step, value))
    return [_chart(title, group) for title, group in sorted(groups.items())]


def bars(counts: Sequence[tuple[date, int]], most: int = FORTNIGHT) -> list[Bar]:
    """A bar each, side by side; `most` of them fill the width, the tallest one the height.

    Whatever has anything shows at least a sliver.
    """
    tallest = max((count for _, count in counts), default=0) or 1
    step = BARS_WIDTH / most
    drawn = []
    for place, (moment, count) in enumerate(counts):
        height = max(BAR_HEIGHT * count / tallest, 1.5 if count else 0.0)
        top, width = f"{BAR_HEIGHT - height:.1f}", f"{step * BAR_SHARE:.2f}"
        drawn.append(Bar(moment, count, f"{place * step:.2f}", top, width, f"{height:.1f}"))
    return drawn


def _title(name: str) -> str:
    """tower/train_loss and tower/valid_loss → tower loss; ranker/ndcg@10 stays itself."""
    family, _, metric = name.rpartition("/")
    for prefix in ("train_", "valid_", "trial_", "best_"):
        metric = metric.removeprefix(prefix)
    return f"{family} {metric}".strip().replace("_", " ")


def _chart(title: str, group: dict[str, list[tuple[int, float]]]) -> Chart:
    everything = [point for points in group.values() for point in points]
    low_x, high_x = min(x for x, _ in everything), max(x for x, _ in everything)
    low_y, high_y = min(y for _, y in everything), max(y for _, y in everything)
    y_values = round_ticks(low_y, high_y)
    low_y, high_y = min(low_y, y_values[0]), max(high_y, y_values[-1])

    def x_of(step: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * (step - low_x) / max(high_x - low_x, 1)

    def y_of(value: float) -> float:
        span = (high_y - low_y) or 1.0
        return TOP + (HEIGHT - TOP - BOTTOM) * (1 - (value - low_y) / span)

    curves = []
    for name, all_points in group.items():
        points = _thin(all_points)
        drawn = " ".join(f"{x_of(x):.1f},{y_of(y):.1f}" for x, y in points)
        last_x, last_y = points[-1]
        label = name.replace("_", " ")
        curves.append(Curve(label, drawn, f"{x_of(last_x):.1f}", f"{y_of(last_y):.1f}", points))
    return Chart(
        title=title,
        curves=curves,
        x_ticks=[Tick(f"{x_of(x):.1f}", f"{x:,}") for x in sorted({low_x, high_x})],
        y_ticks=[Tick(f"{y_of(y):.1f}", f"{y:.4g}") for y in y_values],
    )


def _thin(points: list[tuple[int, float]]) -> list[tuple[int, float]]:
    """Every n-th point, and the last one."""
    stride = math.ceil(len(points) / MOST_POINTS)
    thinned = points[::stride]
    return thinned if thinned[-1] == points[-1] else [*thinned, points[-1]]
