"""The data doctor: a page a catalog, whose findings come with a second request.

The overview tells the red ones. It never waits for a look: it takes the last one of this process,
says when that was, and has a new one begun beside it where that is old.
"""

from dataclasses import dataclass
from functools import partial
from threading import Lock

from django.db.models import Count
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET

from catalog.figures import BUCKETS
from catalog.models import Catalog, Role
from recsite.dashboard.access import needs
from recsite.dashboard.cures import PAGES, address
from recsite.dashboard.day_charts import DayChart, Point, day_chart
from recsite.fresh import Fresh
from training.doctor import Diagnosis, Look, diagnose, look_at
from training.findings import Finding

FRESH_FOR = 180.0  # seconds; the figures take seconds where there is much, and change slowly
NEWS_FOR = 900.0  # seconds, for the overview, which nobody opens to look at data

_looks: dict[int, Fresh[Look]] = {}  # catalog id → the last look in this process
_lock = Lock()
_turn = Lock()  # of the looks beside the pages: each reads a whole history


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


def known(catalog: Catalog) -> Diagnosis | None:
    """What the last look found, without waiting; None while the first one goes on."""
    last = _look(catalog).known(NEWS_FOR)
    return None if last is None else diagnose(catalog, last)


def _look(catalog: Catalog) -> Fresh[Look]:
    with _lock:
        new = Fresh(partial(look_at, catalog), FRESH_FOR, turn=_turn)
        return _looks.setdefault(catalog.pk, new)


def _found(catalog: Catalog) -> dict[str, object]:
    diagnosis = diagnose(catalog, _look(catalog).now())  # in words of whoever asks
    lengths = zip(BUCKETS, (*BUCKETS[1:], None), strict=True)
    return {
        "diagnosis": diagnosis,
        "lines": [
            Line(one, address(one.page, catalog.slug), _(PAGES[one.page]) if one.page else "")
            for one in diagnosis.findings
        ],
        "charts": _charts(diagnosis),
        "histories": [
            (_words(low, high), diagnosis.figures.histories[low]) for low, high in lengths
        ],
        "people": sum(diagnosis.figures.histories.values()),
    }


def _charts(diagnosis: Diagnosis) -> list[DayChart]:
    """Volumes by day; a chart of nothing is left out."""
    days = diagnosis.figures.days
    interactions = [Point(day.day, day.interactions, beside=day.suspected) for day in days]
    slates = [Point(day.day, day.slates, beside=day.slates_ignored) for day in days]
    impressions = [Point(day.day, day.impressions) for day in days]
    whole = (
        ("interactions", _("Interactions a day"), interactions, _("suspected")),
        ("slates", _("Slates a day"), slates, _("not seen")),
        ("impressions", _("Impressions a day"), impressions, ""),
    )
    return [
        day_chart(name, title, points, beside_name=beside, whole=True)
        for name, title, points, beside in whole
        if any(point.value for point in points)
    ]


def _words(low: int, high: int | None) -> str:
    """A bucket of history lengths: 0, 1 – 4, 20 and more."""
    if high is None:
        return _("%(number)d and more") % {"number": low}
    return str(low) if high == low + 1 else f"{low} – {high - 1}"
