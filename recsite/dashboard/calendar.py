"""A calendar of five weeks: what ran in the last two, what comes in the next two."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta

from django.contrib.postgres.aggregates import ArrayAgg
from django.db.models import Count, Min, Q
from django.db.models.functions import TruncDate
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext_noop

from training.models import Schedule, TrainingRun
from training.schedules import slots

SPAN = timedelta(days=14)  # back and ahead
DAY = timedelta(days=1)
COMING = gettext_noop("coming")


@dataclass(frozen=True)
class Event:
    """Runs of one kind in one catalog on one day that have the same state."""

    moment: datetime  # of the first
    text: str
    state: str  # of a run, or COMING
    count: int
    url: str = ""


@dataclass(frozen=True)
class Day:
    """One cell."""

    day: date
    is_today: bool
    is_near: bool  # within the two weeks either way; others only fill their week
    events: list[Event] = field(default_factory=list)


def calendar(schedules: Iterable[Schedule], now: datetime, slug: str = "") -> list[Day]:
    """Whole weeks from Monday on, in UTC, of one catalog or of all; one query of its own."""
    today = now.date()
    first, last = today - SPAN, today + SPAN
    events = defaultdict(list)
    for event in [*_ran(first, slug), *_coming(schedules, now, last)]:
        events[event.moment.date()].append(event)
    monday = first - timedelta(days=first.weekday())
    weeks = (last - monday).days // 7 + 1
    return [
        Day(
            day,
            is_today=day == today,
            is_near=first <= day <= last,
            events=sorted(events[day], key=lambda event: event.moment),
        )
        for day in (monday + number * DAY for number in range(7 * weeks))
    ]


def _ran(first: date, slug: str) -> list[Event]:
    """Runs since that day; not the refreshes that workers queue when items are new."""
    by_itself = Q(kind=TrainingRun.Kind.ENCODE, schedule=None, created_by=None)
    runs = TrainingRun.objects.filter(created_at__gte=_start(first)).exclude(by_itself)
    if slug:
        runs = runs.filter(catalog__slug=slug)
    rows = (
        runs.values("catalog__slug", "kind", "state", day=TruncDate("created_at"))
        .annotate(first=Min("created_at"), runs=Count("pk"), ids=ArrayAgg("pk"))
        .order_by("day", "first")
    )
    return [
        Event(
            moment=row["first"],
            text=f"{TrainingRun.Kind(row['kind']).label} {row['catalog__slug']}",
            state=row["state"],
            count=row["runs"],
            url=_address(row["ids"], row["catalog__slug"], row["kind"]),
        )
        for row in rows
    ]


def _address(ids: list[str], slug: str, kind: str) -> str:
    """The run, or the list that it is in."""
    if len(ids) == 1:
        return reverse("dashboard:run", args=[ids[0]])
    return f"{reverse('dashboard:runs')}?catalog={slug}&kind={kind}"


def _coming(schedules: Iterable[Schedule], now: datetime, last: date) -> list[Event]:
    """What timetables will start, one event a day and schedule."""
    coming = []
    for schedule in schedules:
        if schedule.is_paused:
            continue
        days: dict[date, list[datetime]] = defaultdict(list)
        for moment in slots(schedule, now, _start(last + DAY) - timedelta(microseconds=1)):
            days[moment.date()].append(moment)
        text = f"{schedule.get_kind_display()} {schedule.catalog.slug}"
        coming += [Event(moments[0], text, COMING, len(moments)) for moments in days.values()]
    return coming


def _start(day: date) -> datetime:
    return datetime.combine(day, time.min, tzinfo=timezone.get_default_timezone())
