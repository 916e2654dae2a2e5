"""Event weights and dials: sliders that show what they would do before anything is saved."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from django.contrib import messages
from django.db import transaction
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST

from catalog.dials import (
    DIALS,
    HEAVIEST,
    NEGATIVE,
    check_dials,
    check_weights,
    counted_types,
    dials_of,
    set_dials,
    set_event_weights,
    with_settings,
)
from catalog.errors import CatalogError
from catalog.models import Catalog, InteractionType, Role
from recsite.dashboard import previews
from recsite.dashboard.access import locked_catalog, needs, staff_user
from training.dial_costs import WHAT, Cost, costs_of, last_measurement
from training.models import TrainingRun
from training.runs import create_run

FINEST = 0.01  # of the weights' sliders
MOST_SEEDS = 1_000_000


@dataclass(frozen=True)
class Slider:
    """One number on the page."""

    name: str
    label: str  # the name on the page
    words: str  # what it does
    low: float
    high: float
    step: float
    now: float  # as it is saved
    value: float  # as it was moved

    @property
    def is_moved(self) -> bool:
        """Whether it stands elsewhere; a slider cannot show what lies between two of its steps."""
        return abs(self.value - self.now) > self.step / 2


@dataclass(frozen=True)
class CostTable:
    """What the settings of one dial cost."""

    label: str
    rows: list[tuple[Cost, float, bool]]  # with the difference in nDCG, and whether it stands so


@needs(Role.VIEWER, to_send=Role.ADMIN)
@require_http_methods(["GET", "HEAD", "POST"])
def weights(request: HttpRequest, slug: str) -> HttpResponse:
    """How much each interaction type counts."""
    return _sliders(request, slug, "weights", _weight_sliders, set_event_weights)


@needs(Role.VIEWER, to_send=Role.ADMIN)
@require_http_methods(["GET", "HEAD", "POST"])
def dials(request: HttpRequest, slug: str) -> HttpResponse:
    """Diversity, freshness, popularity, exploration."""
    return _sliders(request, slug, "dials", _dial_sliders, set_dials)


@needs(Role.OPERATOR)
@require_POST
@transaction.atomic
def measure(request: HttpRequest, slug: str) -> HttpResponse:
    """Queue a run that measures what the dials cost, or show the one that is going on."""
    catalog = locked_catalog(slug)
    kind = TrainingRun.Kind.EVALUATE
    runs = TrainingRun.objects.filter(catalog=catalog, kind=kind, parameters__what=WHAT)
    run = runs.going_on().first()
    run = run or create_run(catalog, kind, {"what": WHAT}, staff_user(request))
    return redirect("dashboard:run", run.pk)


def _sliders(
    request: HttpRequest,
    slug: str,
    part: str,
    make: Callable[[Catalog, QueryDict], list[Slider]],
    save: Callable[[Catalog, Mapping[str, float]], Catalog],
) -> HttpResponse:
    catalog = get_object_or_404(Catalog, slug=slug)
    sliders: list[Slider] = []
    comparisons: list[previews.Comparison] | None = None
    fault, seed = "", _seed(request)
    try:
        sliders = make(catalog, request.POST if request.method == "POST" else request.GET)
        moved = {one.name: one.value for one in sliders if one.is_moved}
        if request.method == "POST":
            save(catalog, moved)
            told = _(", ").join(
                f"{_(one.label).lower()} {one.value:g}" for one in sliders if one.is_moved
            )
            saved = _("Saved: %(settings)s.") % {"settings": told}
            messages.success(request, saved if told else _("Nothing was changed."))
            return redirect(f"dashboard:{part}", slug)
        if moved:
            chosen = (moved, {}) if part == "weights" else ({}, moved)
            comparisons = previews.compare(catalog, with_settings(catalog, *chosen), seed)
    except CatalogError as error:
        fault = str(error)
        sliders = sliders or make(catalog, QueryDict())
    context = {
        "tab": "rules",
        "part": part,
        "catalog": catalog,
        "catalogs": Catalog.objects.order_by("pk"),
        "sliders": sliders,
        "comparisons": comparisons,
        "changed": sum(not one.same for one in comparisons or ()),
        "fault": fault,
        "seed": seed,
        "others": _with(request.GET, seed=str((seed + 1) % MOST_SEEDS)),
    }
    if request.headers.get("HX-Request"):  # htmx shows no answer of 4xx
        return render(request, "dashboard/_preview.html", context)
    if part == "dials":
        context |= _costs(catalog)
    return render(request, "dashboard/sliders.html", context, status=422 if fault else 200)


def _weight_sliders(catalog: Catalog, data: QueryDict) -> list[Slider]:
    now = counted_types(catalog)
    values = _numbers(data, now)
    if values != now:
        check_weights(catalog.event_weights | values)
    return [
        Slider(
            name,
            InteractionType(name).label,
            "",
            -HEAVIEST if name == NEGATIVE else 0.0,
            -FINEST if name == NEGATIVE else HEAVIEST,
            FINEST,
            now[name],
            values[name],
        )
        for name in now
    ]


def _dial_sliders(catalog: Catalog, data: QueryDict) -> list[Slider]:
    now = dials_of(catalog)
    values = _numbers(data, now)
    check_dials(values)
    return [
        Slider(name, one.label, one.words, one.low, one.high, one.step, now[name], values[name])
        for name, one in DIALS.items()
    ]


def _numbers(data: QueryDict, now: Mapping[str, float]) -> dict[str, float]:
    """The numbers that were sent; as it is now for what was not. Errors: CatalogError."""
    found = dict(now)
    for name in now:
        if name in data:
            try:
                found[name] = float(str(data[name]))
            except ValueError:
                label = DIALS[name].label if name in DIALS else InteractionType(name).label
                told = {"name": _(label).lower()}
                raise CatalogError(_("%(name)s must be a number, such as 0.5.") % told) from None
    return found


def _seed(request: HttpRequest) -> int:
    text = request.GET.get("seed", "")
    return int(text) % MOST_SEEDS if text.isascii() and text.isdigit() and len(text) < 10 else 1


def _with(query: QueryDict, **changes: str) -> str:
    """The query with some parameters changed."""
    copy = query.copy()
    for name, value in changes.items():
        copy[name] = value
    return copy.urlencode()


def _costs(catalog: Catalog) -> dict[str, object]:
    """What was measured last, beside how the dials stand now."""
    run, now = last_measurement(catalog), dials_of(catalog)
    tables = {}
    for name, costs in (costs_of(run) if run else {}).items():
        base = min(costs, key=lambda cost: (cost.margin, abs(cost.setting - now[name])))
        rows = [
            (cost, cost.ndcg - base.ndcg, abs(cost.setting - now[name]) < FINEST / 2)
            for cost in costs
        ]
        tables[name] = CostTable(DIALS[name].label, rows)
    return {"measured": run, "costs": [tables[name] for name in DIALS if name in tables]}
