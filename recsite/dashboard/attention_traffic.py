"""Needs your attention, the part that watches: traffic, speed, drift, schedules, disk."""

from datetime import datetime, timedelta

from django.template.defaultfilters import filesizeformat
from django.urls import reverse
from django.utils import timezone

from catalog.models import Catalog
from recsite.dashboard.activity import Activity
from recsite.dashboard.answers import SPEED_BOUND, Speed
from recsite.dashboard.attention import Concern
from recsite.dashboard.disk import Room
from recsite.dashboard.schedule_pages import LATE
from training.drift_measures import TITLES
from training.models import DriftLevel, DriftReport

LEAST_SLATES = 50  # of our own pages in a day; after so many, some item was in view
DRIFT_IS_NEWS = timedelta(days=3)  # an older report says nothing of now


def of_disk(room: Room) -> list[Concern]:
    """Room for the next training."""
    if not room.is_nearly_full:
        return []
    left = f"{filesizeformat(room.free)} of {filesizeformat(room.total)} are free"
    return [
        Concern(
            f"The disk is nearly full: {left}, and a training may run out of room.",
            reverse("dashboard:services"),
            "What takes the room",
        )
    ]


def of_schedules(looked: datetime | None) -> list[Concern]:
    """Whether anybody starts what is due; asked only where something is scheduled."""
    if looked is not None and timezone.now() - looked <= LATE:
        return []
    return [
        Concern(
            "Nobody looks at the schedules: scheduler or worker is away, and nothing will start.",
            reverse("dashboard:schedules"),
            "Schedules",
            "celery -A recsite.celery beat",
        )
    ]


def of_traffic(catalog: Catalog, activity: Activity, speed: Speed | None) -> list[Concern]:
    """Slow answers, fewer clicks, and impressions that stay away."""
    concerns = []
    if speed is not None and speed.is_slow:
        concerns.append(
            Concern(
                f"Answers of {catalog.name} are slow: one in twenty takes longer than"
                f" {speed.p95:,.0f} ms, and {SPEED_BOUND:.0f} ms is the bound.",
                reverse("dashboard:latency", args=[catalog.slug]),
                "Where the time goes",
            )
        )
    now, before = activity.shown.ctr, activity.before.ctr
    if now.fell_from(before):
        concerns.append(
            Concern(
                f"Fewer slates of {catalog.name} are clicked: {now.value:.1%} of {now.of:,} in"
                f" view, {before.value:.1%} of {before.of:,} the day before.",
                reverse("dashboard:drift", args=[catalog.slug]),
                "What has changed",
            )
        )
    if activity.shown.on_pages >= LEAST_SLATES and not activity.shown.impressions:
        concerns.append(
            Concern(
                f"No impressions of {catalog.name} come in: {activity.shown.on_pages:,} slates were"
                " shown in a day, and no browser reported one as seen to /feedback/impressions.",
                reverse("home"),
                "Open the site, with the browser's console",
            )
        )
    return concerns


def of_drift(catalog: Catalog, report: DriftReport | None) -> list[Concern]:
    """The newest report, where it is an alert."""
    if report is None or report.level != DriftLevel.ALERT:
        return []
    if timezone.now().date() - report.day > DRIFT_IS_NEWS:
        return []
    moved = [
        title.lower()
        for name, title in TITLES.items()
        if report.measures.get(name, {}).get("level") == DriftLevel.ALERT
    ]
    return [
        Concern(
            f"{catalog.name} has drifted from what its model learned: {', '.join(moved)}.",
            f"{reverse('dashboard:drift', args=[catalog.slug])}?day={report.day}",
            "What has moved",
            f"manage.py train {catalog.slug}",
        )
    ]
