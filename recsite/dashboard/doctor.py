"""The data doctor: a page a catalog, whose findings come with a second request."""

from dataclasses import dataclass
from functools import partial
from threading import Lock

from django.db.models import Count
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop
from django.views.decorators.http import require_GET

from catalog.figures import BUCKETS
from catalog.models import Catalog, Role
from recsite.dashboard.access import needs
from recsite.dashboard.charts import Chart, curves_by_day
from recsite.fresh import Fresh
from training.doctor import Diagnosis, Look, diagnose, look_at
from training.findings import Finding

FRESH_FOR = 180.0  # seconds; the figures take seconds where there is much, and change slowly

PAGES = {  # a finding's page → what its link is called
    "imports": gettext_noop("Imports"),
    "schedules": gettext_noop("Schedules"),
    "audit": gettext_noop("Audit"),
}

_looks: dict[int, Fresh[Look]] = {}  # catalog id → the last look in this process
_lock = Lock()


@dataclass(frozen=True)
class Line:
    """A finding, with the address of its cure and what the link is called."""

    finding: Finding
    url: str
    words: str


@needs(Role.VIEWER)
@require_GET
def catalogs(request: HttpRequest) -> HttpResponse:
    """Which catalog?"""
    found = Catalog.objects.annotate(loaded=Count("imports")).order_by("pk")
    return render(request, "dashboard/data.html", {"tab": "data", "catalogs": found})


@needs(Role.VIEWER)
@require_GET
def page(request: HttpRequest, slug: str) -> HttpResponse:
    """The page at once, what was found with a second request; without scripts both in one."""
    catalog = get_object_or_404(Catalog, slug=slug)
    context = {"tab": "data", "catalog": catalog}
    if "now" in request.GET:
        context |= _found(catalog)
    return render(request, "dashboard/doctor.html", context)


@needs(Role.VIEWER)
@require_GET
def findings(request: HttpRequest, slug: str) -> HttpResponse:
    """What was found, as a fragment."""
    catalog = get_object_or_404(Catalog, slug=slug)
    context = _found(catalog) | {"catalog": catalog}
    return render(request, "dashboard/_findings.html", context)


def forget() -> None:
    """Look anew next time, in this process: something was imported, or taken back."""
    with _lock:
        _looks.clear()


def _found(catalog: Catalog) -> dict[str, object]:
    with _lock:
        look = _looks.setdefault(catalog.pk, Fresh(partial(look_at, catalog), FRESH_FOR))
    diagnosis = diagnose(catalog, look.now())  # in words of whoever asks
    lengths = zip(BUCKETS, (*BUCKETS[1:], None), strict=True)
    return {
        "diagnosis": diagnosis,
        "lines": [
            Line(one, _address(one.page, catalog.slug), _(PAGES[one.page]) if one.page else "")
            for one in diagnosis.findings
        ],
        "charts": _charts(diagnosis),
        "histories": [
            (_words(low, high), diagnosis.figures.histories[low]) for low, high in lengths
        ],
        "people": sum(diagnosis.figures.histories.values()),
    }


def _charts(diagnosis: Diagnosis) -> list[Chart]:
    """Volumes by day; a chart of nothing is left out."""
    days = diagnosis.figures.days
    whole = {
        _("Interactions a day"): {
            _("all"): [(day.day, float(day.interactions)) for day in days],
            _("suspected"): [(day.day, float(day.suspected)) for day in days],
        },
        _("Slates a day"): {
            _("shown"): [(day.day, float(day.slates)) for day in days],
            _("not seen"): [(day.day, float(day.slates_ignored)) for day in days],
        },
        _("Impressions a day"): {
            _("items in view"): [(day.day, float(day.impressions)) for day in days]
        },
    }
    return [
        curves_by_day(title, dict(curves))
        for title, curves in whole.items()
        if any(value for points in curves.values() for _, value in points)
    ]


def _words(low: int, high: int | None) -> str:
    """A bucket of history lengths: 0, 1 – 4, 20 and more."""
    if high is None:
        return _("%(number)d and more") % {"number": low}
    return str(low) if high == low + 1 else f"{low} – {high - 1}"


def _address(page: str, slug: str) -> str:
    """Where the cure is; '' = nowhere on the dashboard."""
    if page == "imports":
        return reverse("dashboard:imports", args=[slug])
    return reverse(f"dashboard:{page}") if page else ""
