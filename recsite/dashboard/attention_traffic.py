"""Needs your attention, the part that watches: data, traffic, speed, drift, schedules, disk."""

from datetime import datetime, timedelta

from django.template.defaultfilters import filesizeformat
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _

from catalog.models import Catalog
from recsite.dashboard.activity import Activity
from recsite.dashboard.answers import SPEED_BOUND, Speed
from recsite.dashboard.attention import Concern
from recsite.dashboard.cures import PAGES, address
from recsite.dashboard.disk import Room
from training.doctor import Diagnosis
from training.drift_measures import TITLES
from training.findings import Colour
from training.models import DriftLevel, DriftReport
from training.schedules import LATE

LEAST_SLATES = 50  # of our own pages in a day; after so many, some item was in view
DRIFT_IS_NEWS = timedelta(days=3)  # an older report says nothing of now


def of_disk(room: Room) -> list[Concern]:
    """Room for the next training."""
    if not room.is_nearly_full:
        return []
    told = {"free": filesizeformat(room.free), "total": filesizeformat(room.total)}
    return [
        Concern(
            _(
                "The disk is nearly full: %(free)s of %(total)s are free, and a training may run"
                " out of room."
            )
            % told,
            reverse("dashboard:services"),
            _("What takes the room"),
        )
    ]


def of_schedules(looked: datetime | None) -> list[Concern]:
    """Whether anybody starts what is due; asked only where something is scheduled."""
    if looked is not None and timezone.now() - looked <= LATE:
        return []
    return [
        Concern(
            _(
                "Nobody looks at the schedules: scheduler or worker is away, and nothing will"
                " start."
            ),
            reverse("dashboard:schedules"),
            _("Schedules"),
            "celery -A recsite.celery beat",
        )
    ]


def of_data(catalog: Catalog, diagnosis: Diagnosis | None) -> list[Concern]:
    """What the data doctor finds red, as of its last look; None = it has not looked yet."""
    if diagnosis is None:
        return []
    page, seen = reverse("dashboard:doctor", args=[catalog.slug]), f"{diagnosis.at:%H:%M}"
    text = _("Data of %(name)s, looked at %(time)s UTC: %(text)s %(cure)s")
    told = {"name": catalog.name, "time": seen}
    return [
        Concern(
            text % {**told, "text": one.text, "cure": one.cure},
            address(one.page, catalog.slug) or page,
            _(PAGES[one.page]) if one.page else _("Data doctor"),
            one.command,
        )
        for one in diagnosis.findings
        if one.colour == Colour.RED
    ]


def of_traffic(catalog: Catalog, activity: Activity, speed: Speed | None) -> list[Concern]:
    """Slow answers, fewer clicks, and impressions that stay away."""
    concerns = []
    if speed is not None and speed.is_slow:
        concerns.append(
            Concern(
                _(
                    "Answers of %(name)s are slow: one in twenty takes longer than %(p95)s ms, and"
                    " %(bound)s ms is the bound."
                )
                % {
                    "name": catalog.name,
                    "p95": f"{speed.p95:,.0f}",
                    "bound": f"{SPEED_BOUND:.0f}",
                },
                reverse("dashboard:latency", args=[catalog.slug]),
                _("Where the time goes"),
            )
        )
    now, before = activity.shown.ctr, activity.before.ctr
    if now.fell_from(before):
        concerns.append(
            Concern(
                _(
                    "Fewer slates of %(name)s are clicked: %(share)s of %(slates)s in view,"
                    " %(share_before)s of %(slates_before)s the day before."
                )
                % {
                    "name": catalog.name,
                    "share": f"{now.value:.1%}",
                    "slates": f"{now.of:,}",
                    "share_before": f"{before.value:.1%}",
                    "slates_before": f"{before.of:,}",
                },
                reverse("dashboard:drift", args=[catalog.slug]),
                _("What has changed"),
            )
        )
    if activity.shown.on_pages >= LEAST_SLATES and not activity.shown.impressions:
        concerns.append(
            Concern(
                _(
                    "No impressions of %(name)s come in: %(slates)s slates were shown in a day, and"
                    " no browser reported one as seen to /feedback/impressions."
                )
                % {"name": catalog.name, "slates": f"{activity.shown.on_pages:,}"},
                reverse("home"),
                _("Open the site, with the browser's console"),
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
        _(title).lower()
        for name, title in TITLES.items()
        if report.measures.get(name, {}).get("level") == DriftLevel.ALERT
    ]
    return [
        Concern(
            _("%(name)s has drifted from what its model learned: %(measures)s.")
            % {"name": catalog.name, "measures": _(", ").join(moved)},
            f"{reverse('dashboard:drift', args=[catalog.slug])}?day={report.day}",
            _("What has moved"),
            f"manage.py train {catalog.slug}",
        )
    ]
