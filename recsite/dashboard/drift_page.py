"""Drift: what has moved since the live model learned, by day; and a button that measures now."""

import time
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.dateparse import parse_date
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop
from django.views.decorators.http import require_GET, require_POST
from kombu.exceptions import OperationalError as BrokerAway

from catalog.models import Catalog, Role
from recsite.dashboard.access import needs
from recsite.dashboard.day_charts import DayChart, Point, day_chart
from recsite.dashboard.polling import UNCHANGED
from training import drift_measures, tasks
from training.models import DriftLevel, DriftReport

SHOWN = timedelta(days=60)  # on the charts
MOST_PARTS = 6  # bins that moved most
WAITING = "waiting"  # the mark of the fragment: until it has been measured it stays the same
WAIT = 120.0  # seconds for which the page goes on asking whether it has been measured
BOUNDS = dict.fromkeys(drift_measures.PSI_MEASURES, drift_measures.PSI_BOUNDS) | {
    "vectors": drift_measures.ENERGY_BOUNDS
}
MOVED = {DriftLevel.WATCH, DriftLevel.ALERT}
UNITS = dict.fromkeys(drift_measures.PSI_MEASURES, "PSI") | {
    "vectors": gettext_noop("energy"),
    "ctr": gettext_noop("share"),
    "ndcg": "nDCG@10",
}
BESIDE = {
    "ctr": ("before", gettext_noop("the week before")),
    "ndcg": ("offline", gettext_noop("the live model, offline")),
}


@dataclass(frozen=True)
class Row:
    """One measure of the day that is looked at."""

    name: str
    title: str
    unit: str
    bounds: tuple[float, float] | None
    figures: dict[str, Any]  # fields of training.drift_measures.Measure
    level: str  # in words

    @property
    def parts(self) -> list[tuple[str, float, float]]:
        """The bins that moved most, where it has moved at all."""
        if self.figures["level"] not in MOVED:
            return []
        return [(label, then, now) for label, then, now in self.figures["parts"][:MOST_PARTS]]


@needs(Role.VIEWER)
@require_GET
def catalogs(request: HttpRequest) -> HttpResponse:
    """Each catalog and its newest report."""
    newest = {report.catalog_id: report for report in DriftReport.objects.newest_of_each()}
    rows = [(catalog, newest.get(catalog.pk)) for catalog in Catalog.objects.order_by("pk")]
    return render(request, "dashboard/drifts.html", {"tab": "drift", "rows": rows})


@needs(Role.VIEWER)
@require_GET
def page(request: HttpRequest, slug: str) -> HttpResponse:
    """One catalog: a day in full, and the days before it as curves."""
    catalog = get_object_or_404(Catalog, slug=slug)
    reports = _reports(catalog)
    day = _day(request)
    chosen = next((report for report in reversed(reports) if day in (None, report.day)), None)
    context = {
        "tab": "drift",
        "catalog": catalog,
        "report": chosen,
        "wanted": day,
        "rows": _rows(chosen) if chosen else [],
        "days": reports[::-1],
        "charts": _charts(reports),
        "bounds": drift_measures.PSI_BOUNDS,
        "webhook": bool(settings.ALERT_WEBHOOK_URL),
        **_waiting(request, catalog),
    }
    return render(request, "dashboard/drift.html", context)


@needs(Role.OPERATOR)
@require_POST
def measure(request: HttpRequest, slug: str) -> HttpResponse:
    """Let a worker measure today; the page asks until it has."""
    catalog = get_object_or_404(Catalog, slug=slug)
    address = reverse("dashboard:drift", args=[slug])
    if not catalog.live_bundle:
        messages.error(request, _("No model is live, so there is nothing to compare with."))
        return redirect(address)
    try:
        tasks.measure_drift.delay(catalog.pk)
    except BrokerAway as fault:
        text = _("The broker cannot be reached (%(fault)s), so no worker hears of it.")
        messages.error(request, text % {"fault": fault})
        return redirect(address)
    return redirect(f"{address}?asked={time.time():.0f}")


@needs(Role.VIEWER)
@require_GET
def now(request: HttpRequest, slug: str) -> HttpResponse:
    """Whether it has been measured since it was asked for, as a fragment; if so, the page anew."""
    catalog = get_object_or_404(Catalog, slug=slug)
    waiting = _waiting(request, catalog)
    if waiting["is_measured"]:
        return HttpResponse(headers={"HX-Redirect": reverse("dashboard:drift", args=[slug])})
    if waiting["is_waiting"] and request.GET.get("mark") == WAITING:
        return HttpResponse(status=UNCHANGED)
    return render(request, "dashboard/_drift_wait.html", {"catalog": catalog, **waiting})


def _waiting(request: HttpRequest, catalog: Catalog) -> dict[str, Any]:
    """Whether somebody has just asked to measure, and what has become of it."""
    text = request.GET.get("asked", "")
    asked = int(text) if text.isascii() and text.isdecimal() and len(text) <= 10 else 0
    since = time.time() - asked
    done = DriftReport.objects.filter(
        catalog=catalog, measured_at__gte=datetime.fromtimestamp(asked, UTC)
    )
    measured = bool(asked) and done.exists()
    return {
        "asked": asked,
        "mark": WAITING,
        "is_measured": measured,
        "is_waiting": bool(asked) and not measured and since < WAIT,
        "gave_up": bool(asked) and not measured and since >= WAIT,
    }


def _reports(catalog: Catalog) -> list[DriftReport]:
    """Of the last days, oldest first."""
    since = timezone.now().date() - SHOWN
    return list(DriftReport.objects.filter(catalog=catalog, day__gte=since).order_by("day"))


def _day(request: HttpRequest) -> date | None:
    """The day that the address names; None = the newest, or nonsense."""
    try:
        return parse_date(request.GET.get("day", ""))
    except ValueError:
        return None


def _rows(report: DriftReport) -> list[Row]:
    return [
        Row(
            name,
            _(title),
            _(UNITS[name]),
            BOUNDS.get(name),
            report.measures[name],
            str(DriftLevel(report.measures[name]["level"]).label),
        )
        for name, title in drift_measures.TITLES.items()
        if name in report.measures
    ]


def _charts(reports: list[DriftReport]) -> list[DayChart]:
    """One of each measure that has a value on any day."""
    charts = []
    for name, title in drift_measures.TITLES.items():
        field, beside = BESIDE.get(name, ("", ""))
        points = [
            Point(
                report.day,
                one["value"],
                one["level"],
                one["low"],
                one["high"],
                one.get(field),
                one["new"],
                one["note"],
            )
            for report in reports
            if (one := report.measures.get(name))
        ]
        if any(point.value is not None for point in points):
            charts.append(day_chart(name, _(title), points, BOUNDS.get(name), _(beside)))
    return charts
