"""Runs that start by themselves: nightly, after so many new interactions, or on drift.

A row of `Schedule` says what and when. Celery's beat only calls `run_due` every minute; what is due
is decided here, under a lock on the schedule's row, and the mark `done_until` moves in the same
transaction in which the run is queued. So two schedulers, or a message that comes twice, start one
run; and what was missed in the last day, while nothing ran, is caught up once.
"""

import math
from collections.abc import Mapping
from datetime import datetime, time, timedelta
from typing import Any

from django.core.cache import cache
from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from catalog.models import Catalog, Interaction
from training.errors import TrainingFault
from training.models import INTERVALS, SCHEDULED_KINDS, ModelVersion, Schedule, TrainingRun
from training.refresh import refresh_now
from training.registry import promote
from training.runs import create_run

DAY = timedelta(days=1)
LATE = timedelta(minutes=5)  # without a look, when one is due every minute
LOOKED = "schedules-looked-at"  # cache key: when `run_due` was last called by anybody
MOST_INTERACTIONS = 100_000_000
SETTINGS = ("hour", "every_hours", "interactions", "drift")


def run_due(now: datetime | None = None) -> list[TrainingRun]:
    """Queue what is due, and return it; a second call at once returns nothing."""
    moment = now or timezone.now()
    schedules = Schedule.objects.at_work().exclude(trigger=Schedule.Trigger.DRIFT)
    started = [
        _start_if_due(pk, catalog, moment) for pk, catalog in schedules.values_list("pk", "catalog")
    ]
    cache.set(LOOKED, moment, None)
    return [run for run in started if run is not None]


def last_looked() -> datetime | None:
    """When the schedules were last looked at; None = never, as far as is known."""
    moment: datetime | None = cache.get(LOOKED)
    return moment


def drift_measured(catalog: Catalog, score: float) -> TrainingRun | None:
    """Queue a training if a schedule says that this much drift is too much; at most one a day."""
    found = Schedule.objects.at_work().filter(
        catalog=catalog, trigger=Schedule.Trigger.DRIFT, drift__lte=score
    )
    now = timezone.now()
    with transaction.atomic():
        locked = _lock_catalog(catalog.pk)
        schedule = found.select_for_update().first()
        if schedule is None:
            return None
        last = _last_run_at(schedule)
        if last is not None and last > now - DAY:
            return None
        return _start(schedule, locked, now)


def slots(schedule: Schedule, after: datetime, until: datetime) -> list[datetime]:
    """When a timetable is due, in the time from `after` (exclusive) to `until` (inclusive)."""
    if schedule.trigger != Schedule.Trigger.TIMETABLE:
        return []
    hours = sorted((schedule.hour + step) % 24 for step in range(0, 24, schedule.every_hours))
    first = timezone.localdate(after, timezone.get_default_timezone())
    days = (until - after).days + 2
    moments = [
        datetime.combine(first + timedelta(days=day), time(hour), tzinfo=after.tzinfo)
        for day in range(days)
        for hour in hours
    ]
    return [moment for moment in moments if after < moment <= until]


def new_interactions(schedule: Schedule) -> int:
    """How many came since the last such run, counted no further than the schedule needs."""
    since = _last_run_at(schedule)
    found = Interaction.objects.counted().filter(catalog=schedule.catalog_id)
    if since is not None:
        found = found.filter(timestamp__gt=since)
    return found.order_by()[: schedule.interactions].count()


def save_schedule(
    catalog: Catalog,
    kind: str,
    trigger: str,
    settings: Mapping[str, Any],
    changed: Schedule | None = None,
) -> Schedule:
    """Add a schedule, or change one.

    Parameters
    ----------
    settings
        `hour` and `every_hours` of a timetable, `interactions`, `drift`: what its trigger reads.
    changed
        The one to change; None = a new one.

    Raises
    ------
    TrainingFault
        A value that makes no sense, or the catalog has such a schedule already.
    """
    schedule = changed or Schedule()
    schedule.catalog, schedule.kind, schedule.trigger = catalog, kind, trigger
    for name in SETTINGS:
        if name in settings:
            setattr(schedule, name, settings[name])
    if changed is not None:
        schedule.done_until = timezone.now()  # the new hour counts from now on
    _check(schedule)
    try:
        with transaction.atomic():
            schedule.save()
    except IntegrityError as fault:
        text = _("%(catalog)s has such a schedule already; change that one.")
        raise TrainingFault(text % {"catalog": catalog.name}) from fault
    return schedule


def pause(schedule: Schedule) -> None:
    """Let it start nothing until it is resumed."""
    Schedule.objects.filter(pk=schedule.pk).update(is_paused=True)


def resume(schedule: Schedule) -> None:
    """Go on; what was due during the pause is not caught up."""
    Schedule.objects.filter(pk=schedule.pk).update(is_paused=False, done_until=timezone.now())


def delete(schedule: Schedule) -> None:
    """Forget it; the runs that it started stay."""
    Schedule.objects.filter(pk=schedule.pk).delete()


def allow_promotion(catalog: Catalog, allowed: bool) -> None:
    """Say whether what a schedule trained may go live by itself where its gate is all green."""
    Catalog.objects.filter(pk=catalog.pk).update(auto_promote=allowed)


def promote_if_allowed(version: ModelVersion, schedule: Schedule) -> str:
    """Promote what a schedule trained, if the catalog allows it and every check is green.

    Returns
    -------
    str
        What was decided and why, a sentence for the run's log.
    """
    with transaction.atomic():
        catalog = Catalog.objects.select_for_update().get(pk=version.catalog_id)
        if not catalog.auto_promote:
            return "It waits for a person: this catalog lets no schedule promote."
        try:
            promote(
                version,
                None,
                f"Started by its schedule ({schedule.when}), and the gate is all green.",
                all_green=True,
            )
        except TrainingFault as fault:
            return f"Its schedule may not promote it. {fault}"
    return "It is live: its gate is all green, and this catalog lets schedules promote."


def _start_if_due(schedule_id: int, catalog_id: int, now: datetime) -> TrainingRun | None:
    with transaction.atomic():
        catalog = _lock_catalog(catalog_id)
        schedule = Schedule.objects.at_work().select_for_update().filter(pk=schedule_id).first()
        if schedule is None or not _is_due(schedule, now):
            return None
        return _start(schedule, catalog, now)


def _is_due(schedule: Schedule, now: datetime) -> bool:
    if schedule.trigger == Schedule.Trigger.TIMETABLE:
        return bool(slots(schedule, max(schedule.done_until, now - DAY), now))
    return new_interactions(schedule) >= schedule.interactions


def _start(schedule: Schedule, catalog: Catalog, now: datetime) -> TrainingRun | None:
    """Queue its run and move its mark; None where such a run is going on, which does as well."""
    Schedule.objects.filter(pk=schedule.pk).update(done_until=now)
    if TrainingRun.objects.filter(catalog=catalog, kind=schedule.kind).going_on().exists():
        return None
    if schedule.kind == TrainingRun.Kind.ENCODE:
        return refresh_now(catalog, schedule=schedule)
    return create_run(catalog, schedule.kind, schedule=schedule)


def _lock_catalog(catalog_id: int) -> Catalog:
    """As the dashboard's buttons do: who starts a run holds the catalog."""
    return Catalog.objects.select_for_update(no_key=True).get(pk=catalog_id)


def _last_run_at(schedule: Schedule) -> datetime | None:
    """When a run of its kind was last queued in its catalog, by whatever."""
    runs = TrainingRun.objects.filter(catalog=schedule.catalog_id, kind=schedule.kind)
    return runs.order_by("-created_at").values_list("created_at", flat=True).first()


def _check(schedule: Schedule) -> None:
    """Say what is wrong in one sentence, before the database does."""
    trigger = schedule.trigger
    if schedule.kind not in dict(SCHEDULED_KINDS) or trigger not in Schedule.Trigger.values:
        told = {
            "kinds": ", ".join(dict(SCHEDULED_KINDS)),
            "triggers": ", ".join(Schedule.Trigger.values),
        }
        raise TrainingFault(_("A schedule starts one of %(kinds)s, by %(triggers)s.") % told)
    if trigger == Schedule.Trigger.TIMETABLE:
        if not 0 <= schedule.hour <= 23 or schedule.every_hours not in INTERVALS:
            text = _("The hour is 0 to 23, UTC; between two runs lie %(hours)s hours.")
            raise TrainingFault(text % {"hours": ", ".join(map(str, reversed(INTERVALS)))})
    elif schedule.kind != TrainingRun.Kind.TRAIN:
        raise TrainingFault(_("Embeddings are refreshed by a timetable; choose that, or train."))
    elif trigger == Schedule.Trigger.INTERACTIONS:
        if not 1 <= schedule.interactions <= MOST_INTERACTIONS:
            text = _("Say after how many new interactions: 1 to %(most)s.")
            raise TrainingFault(text % {"most": f"{MOST_INTERACTIONS:,}"})
    elif not 0 < schedule.drift < math.inf:
        raise TrainingFault(_("Say how much drift is too much: a number above 0."))
