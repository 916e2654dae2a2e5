"""Two to five runs side by side: what they were made from, what came out, their curves overlaid."""

import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.utils.translation import pgettext
from django.views.decorators.http import require_GET

from catalog.models import Role
from recsite.dashboard.access import needs
from recsite.dashboard.charts import Chart, overlaid_charts
from recsite.templatetags.dashboard import duration, plain
from training.gate import figure
from training.models import ModelVersion, RunMetric, TrainingRun

LEAST, MOST = 2, 5
NAMES = "ABCDE"  # of the runs, in the order of the address
FIGURES = ("ndcg@10", "recall@10", "recall@20", "mrr", "coverage@10")  # of a registered model


@dataclass(frozen=True)
class Cell:
    """What one run has in a row."""

    text: str
    delta: float | None = None  # from the first run
    is_better: bool | None = None  # None: equal, unknown, or the first run itself


@dataclass(frozen=True)
class Row:
    """One fact or figure of each run."""

    name: str
    cells: list[Cell]

    @property
    def differs(self) -> bool:
        """Whether the runs do not all say the same."""
        return len({cell.text for cell in self.cells}) > 1


@dataclass(frozen=True)
class Group:
    """Rows under a heading."""

    title: str
    rows: list[Row]


@needs(Role.VIEWER)
@require_GET
def page(request: HttpRequest) -> HttpResponse:
    """The comparison; with too few or too many runs, how to choose them."""
    runs = _asked_for(request.GET.getlist("run"))
    only = request.GET.get("only") == "differences"
    context: dict[str, Any] = {"tab": "runs", "runs": runs, "only": only, "most": MOST}
    if not LEAST <= len(runs) <= MOST:
        return render(request, "dashboard/run_compare.html", context | {"is_off": True})
    groups = _groups(runs)
    if only:
        groups = [
            Group(group.title, [row for row in group.rows if row.differs]) for group in groups
        ]
    query = QueryDict(mutable=True)
    query.setlist("run", [str(run.pk) for run in runs])
    context |= {
        "named": list(zip(NAMES, runs, strict=False)),
        "groups": [group for group in groups if group.rows],
        "charts": _charts(runs),
        "query": query.urlencode(),
    }
    return render(request, "dashboard/run_compare.html", context)


def _asked_for(told: list[str]) -> list[TrainingRun]:
    """The runs of the address, each once, in its order; what is none is left out."""
    keys: dict[uuid.UUID, None] = {}
    for text in told[: 4 * MOST]:
        try:
            keys[uuid.UUID(text)] = None
        except ValueError:
            continue
    found = TrainingRun.objects.select_related("catalog", "created_by").in_bulk(list(keys))
    return [found[key] for key in keys if key in found]


def _groups(runs: list[TrainingRun]) -> list[Group]:
    facts: list[tuple[str, Callable[[TrainingRun], Any]]] = [
        (_("Kind"), lambda run: run.get_kind_display()),
        (_("Catalog"), lambda run: run.catalog.slug),
        (_("State"), lambda run: _(run.standing)),
        (_("Took"), lambda run: duration(run.seconds)),
        (_("Attempts"), lambda run: run.attempts),
        (_("Seed"), lambda run: run.seed),
        (_("Snapshot"), lambda run: run.snapshot_digest[:12]),
        (_("Code"), lambda run: run.code_version),
        (
            pgettext("who started a run", "By"),
            lambda run: run.created_by.username if run.created_by else _("the system"),
        ),
        (_("Tags"), lambda run: ", ".join(run.tags)),
    ]
    about = [Row(name, [Cell(plain(fact(run))) for run in runs]) for name, fact in facts]
    return [
        Group(_("Metrics"), _figures(runs)),
        Group(_("Parameters"), _stored([run.parameters for run in runs])),
        Group(pgettext("a run", "About"), about),
        Group(_("Environment"), _stored([run.environment for run in runs])),
    ]


def _stored(each: list[dict[str, Any]]) -> list[Row]:
    """A row for each name that one of them has; '–' where a run doesn't."""
    names = dict.fromkeys(name for one in each for name in one)
    return [Row(name, [Cell(plain(one.get(name))) for one in each]) for name in names]


def _figures(runs: list[TrainingRun]) -> list[Row]:
    """Figures of the registered models, then the best point of each curve."""
    versions = ModelVersion.objects.filter(run__in=runs).order_by("created_at")
    models = {version.run_id: version for version in versions}
    rows = []
    for name in FIGURES:
        found = [figure(models[run.pk].metrics, name) if run.pk in models else None for run in runs]
        rows.append(_numbers(name, [None if one is None else one.value for one in found]))
    best: dict[str, dict[uuid.UUID, float]] = {}
    points = RunMetric.objects.filter(run__in=runs, value__lt=float("inf"))
    for key, name, value in points.order_by("name").values_list("run", "name", "value"):
        choose = min if _is_loss(name) else max
        known = best.setdefault(name, {})
        known[key] = choose(known.get(key, value), value)
    rows += [
        _numbers(name, [values.get(run.pk) for run in runs], lower=_is_loss(name))
        for name, values in best.items()
    ]
    return [row for row in rows if any(cell.text != "–" for cell in row.cells)]


def _numbers(name: str, values: list[float | None], *, lower: bool = False) -> Row:
    """A row of figures, each with its difference from the first run's."""
    first, cells = values[0], []
    for place, value in enumerate(values):
        if value is None:
            cells.append(Cell("–"))
            continue
        delta = value - first if place and first is not None else None
        better = None if not delta else (delta < 0) == lower
        cells.append(Cell(f"{value:.4f}", delta, better))
    if "/" in name:
        name = (_("%(name)s, lowest") if lower else _("%(name)s, highest")) % {"name": name}
    return Row(name, cells)


def _is_loss(name: str) -> bool:
    return "loss" in name


def _charts(runs: list[TrainingRun]) -> list[Chart]:
    letters = {run.pk: name for name, run in zip(NAMES, runs, strict=False)}
    points = RunMetric.objects.filter(run__in=runs).order_by("name", "step")
    found: Iterable[tuple[uuid.UUID, str, int, float]] = points.values_list(
        "run", "name", "step", "value"
    )
    by_run = sorted(found, key=lambda point: letters[point[0]])
    return overlaid_charts((letters[key], *rest) for key, *rest in by_run)  # type: ignore[misc]
