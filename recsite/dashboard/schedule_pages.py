"""Schedules: what starts by itself, its calendar, and whether it may go live by itself."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django import forms
from django.contrib import messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from catalog.models import Catalog, Role
from recsite.dashboard.access import needs
from recsite.dashboard.calendar import SPAN, calendar
from training import schedules
from training.errors import TrainingFault
from training.models import INTERVALS, SCHEDULED_KINDS, Schedule, TrainingRun

TRIGGERS = [
    (Schedule.Trigger.TIMETABLE.value, gettext_noop("At an hour")),
    (Schedule.Trigger.INTERACTIONS.value, gettext_noop("After so many new interactions")),
    (Schedule.Trigger.DRIFT.value, gettext_noop("When the drift exceeds")),
]


class ScheduleForm(forms.Form):
    """What starts, and when."""

    catalog = forms.ModelChoiceField(Catalog.objects.order_by("pk"), to_field_name="slug")
    kind = forms.ChoiceField(choices=SCHEDULED_KINDS)
    trigger = forms.ChoiceField(choices=TRIGGERS)
    hour = forms.IntegerField(required=False)
    every_hours = forms.IntegerField(required=False)
    interactions = forms.IntegerField(required=False)
    drift = forms.FloatField(required=False)

    def save(self, changed: Schedule | None = None) -> Schedule:
        """Add it, or change one.

        Raises
        ------
        TrainingFault
            What was chosen makes no sense.
        """
        if not self.is_valid():
            raise TrainingFault(
                _("Choose a catalog, what starts and when, and write numbers, whole but for drift.")
            )
        wanted = self.cleaned_data
        told = {name: wanted[name] for name in schedules.SETTINGS if wanted.get(name) is not None}
        return schedules.save_schedule(
            wanted["catalog"], wanted["kind"], wanted["trigger"], told, changed
        )


@dataclass(frozen=True)
class Row:
    """One schedule in the list."""

    schedule: Schedule
    next_at: datetime | None  # of a timetable that is not paused
    counted: int | None  # new interactions so far, of one that waits for them
    last_run: TrainingRun | None


@needs(Role.VIEWER)
@require_GET
def page(request: HttpRequest) -> HttpResponse:
    """The schedules of one catalog or of all, what they did and will do."""
    slug = request.GET.get("catalog", "")
    if slug:
        get_object_or_404(Catalog, slug=slug)
    return _list(request, slug)


@needs(Role.ADMIN)
@require_POST
def add(request: HttpRequest) -> HttpResponse:
    """Add a schedule."""
    try:
        schedule = ScheduleForm(request.POST).save()
    except TrainingFault as fault:
        return _list(request, "", str(fault))
    messages.success(request, _("Scheduled: %(schedule)s.") % {"schedule": schedule})
    return redirect("dashboard:schedules")


@needs(Role.ADMIN)
@require_http_methods(["GET", "POST"])
def edit(request: HttpRequest, schedule_id: int) -> HttpResponse:
    """One schedule: change it, or delete it."""
    schedule = _find(schedule_id)
    fault = ""
    if request.method == "POST":
        try:
            changed = ScheduleForm(request.POST).save(schedule)
        except TrainingFault as refused:
            fault = str(refused)
        else:
            messages.success(request, _("Changed: %(schedule)s.") % {"schedule": changed})
            return redirect("dashboard:schedules")
    stored = {
        "catalog": schedule.catalog.slug,
        "kind": schedule.kind,
        "trigger": schedule.trigger,
        **{name: getattr(schedule, name) for name in schedules.SETTINGS},
    }
    context = _form(request.POST.dict() if fault else stored) | {
        "tab": "schedules",
        "schedule": _find(schedule_id),
        "fault": fault,
    }
    return render(request, "dashboard/schedule.html", context, status=422 if fault else 200)


@needs(Role.ADMIN)
@require_POST
def pause(request: HttpRequest, schedule_id: int) -> HttpResponse:
    """Let it start nothing for a while."""
    return _do(request, schedule_id, schedules.pause, _("Paused: %(schedule)s."))


@needs(Role.ADMIN)
@require_POST
def resume(request: HttpRequest, schedule_id: int) -> HttpResponse:
    """Go on."""
    return _do(request, schedule_id, schedules.resume, _("Resumed: %(schedule)s."))


@needs(Role.ADMIN)
@require_POST
def delete(request: HttpRequest, schedule_id: int) -> HttpResponse:
    """Forget it; the runs that it started stay."""
    return _do(request, schedule_id, schedules.delete, _("Deleted: %(schedule)s."))


@needs(Role.ADMIN)
@require_POST
def auto_promote(request: HttpRequest, slug: str) -> HttpResponse:
    """Say whether what schedules train may go live by itself in this catalog."""
    catalog = get_object_or_404(Catalog, slug=slug)
    allowed = request.POST.get("allowed") == "yes"
    schedules.allow_promotion(catalog, allowed)
    told = (
        _("Schedules of %(catalog)s may promote where the gate is all green.")
        if allowed
        else _("Schedules of %(catalog)s promote nothing.")
    )
    messages.success(request, told % {"catalog": catalog.name})
    return redirect("dashboard:schedules")


def _do(
    request: HttpRequest, schedule_id: int, verb: Callable[[Schedule], None], done: str
) -> HttpResponse:
    schedule = _find(schedule_id)
    verb(schedule)
    messages.success(request, done % {"schedule": schedule})
    return redirect("dashboard:schedules")


def _find(schedule_id: int) -> Schedule:
    return get_object_or_404(Schedule.objects.select_related("catalog"), pk=schedule_id)


def _list(request: HttpRequest, slug: str, fault: str = "") -> HttpResponse:
    now = timezone.now()
    found = Schedule.objects.select_related("catalog").order_by("catalog", "kind", "trigger")
    if slug:
        found = found.filter(catalog__slug=slug)
    looked = schedules.last_looked()
    context = _form(request.POST.dict() if fault else {"catalog": slug}) | {
        "tab": "schedules",
        "rows": _rows(found, now),
        "chosen_catalog": slug,
        "days": calendar(found, now, slug),
        "weeks": SPAN.days // 7,
        "looked": looked,
        "is_late": looked is None or now - looked > schedules.LATE,
        "fault": fault,
    }
    return render(request, "dashboard/schedules.html", context, status=422 if fault else 200)


def _rows(found: QuerySet[Schedule], now: datetime) -> list[Row]:
    runs = TrainingRun.objects.filter(schedule__in=found).order_by("schedule", "-created_at")
    last = {run.schedule_id: run for run in runs.distinct("schedule").select_related("catalog")}
    rows = []
    for schedule in found:
        coming = [] if schedule.is_paused else schedules.slots(schedule, now, now + schedules.DAY)
        waits = schedule.trigger == Schedule.Trigger.INTERACTIONS
        counted = schedules.new_interactions(schedule) if waits else None
        rows.append(Row(schedule, next(iter(coming), None), counted, last.get(schedule.pk)))
    return rows


def _form(values: dict[str, Any]) -> dict[str, Any]:
    """What the form's template shows: the choices, and what is chosen."""
    return {
        "values": {
            "trigger": "timetable",
            "kind": "train",
            "hour": 2,
            "every_hours": 24,
            "drift": 0.25,
        }
        | values,
        "catalogs": Catalog.objects.order_by("pk"),
        "kinds": SCHEDULED_KINDS,
        "triggers": TRIGGERS,
        "intervals": INTERVALS,
    }
