"""Schedules: what starts runs by itself."""

from typing import ClassVar

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from catalog.models import Catalog
from training.models.runs import TrainingRun

SCHEDULED_KINDS = [
    (kind.value, kind.label) for kind in (TrainingRun.Kind.TRAIN, TrainingRun.Kind.ENCODE)
]
INTERVALS = (24, 12, 8, 6, 4, 3, 2, 1)  # hours: parts of a day


class ScheduleQuerySet(models.QuerySet["Schedule"]):
    """Reads of schedules."""

    def at_work(self) -> "ScheduleQuerySet":
        """Those that nobody has paused."""
        return self.filter(is_paused=False)


class Schedule(models.Model):
    """When runs of a kind start by themselves in a catalog. Written by training/schedules.py."""

    class Trigger(models.TextChoices):
        TIMETABLE = (
            "timetable",
            gettext_lazy("Timetable"),
        )  # at an hour of the day, and every so many hours from it on
        INTERACTIONS = "interactions", gettext_lazy("Interactions")  # after so many new ones
        DRIFT = "drift", gettext_lazy("Drift")  # when a measured drift exceeds a limit

    catalog = models.ForeignKey(Catalog, on_delete=models.CASCADE, related_name="schedules")
    kind = models.CharField(max_length=16, choices=SCHEDULED_KINDS)
    trigger = models.CharField(max_length=16, choices=Trigger)
    hour = models.PositiveSmallIntegerField(default=2)  # 0 … 23, UTC
    every_hours = models.PositiveSmallIntegerField(default=24)  # 24 = once a day, 12, 8 … 1
    interactions = models.PositiveIntegerField(default=0)  # new ones since the last such run
    drift = models.FloatField(default=0.0)  # the score that is too much
    is_paused = models.BooleanField(default=False)
    # What is due up to here has been dealt with: the mark that keeps two schedulers from doubling.
    done_until = models.DateTimeField(db_default=Now())
    created_at = models.DateTimeField(auto_now_add=True)

    objects = ScheduleQuerySet.as_manager()

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint("catalog", "kind", "trigger", name="schedule_one_a_trigger"),
            models.CheckConstraint(
                condition=Q(kind__in=["train", "encode"]), name="schedule_kind_known"
            ),
            models.CheckConstraint(
                condition=Q(hour__lte=23) & Q(every_hours__in=INTERVALS),
                name="schedule_hours_fit_a_day",
            ),
            models.CheckConstraint(
                condition=~Q(trigger="interactions") | Q(interactions__gt=0),
                name="schedule_counts_something",
            ),
            models.CheckConstraint(
                condition=~Q(trigger="drift") | Q(drift__gt=0), name="schedule_has_a_drift"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} {self.catalog.slug} {self.when}"

    @property
    def when(self) -> str:
        """When it starts a run, in words."""
        if self.trigger == self.Trigger.INTERACTIONS:
            return _("after %(many)s new interactions") % {"many": f"{self.interactions:,}"}
        if self.trigger == self.Trigger.DRIFT:
            return _("when the drift exceeds %(bound)s") % {"bound": f"{self.drift:g}"}
        told = {"hour": f"{self.hour:02}", "hours": self.every_hours}
        if self.every_hours == 24:
            return _("every day at %(hour)s:00 UTC") % told
        if self.every_hours == 1:
            return _("every hour, %(hour)s:00 UTC among them") % told
        return _("every %(hours)d hours, %(hour)s:00 UTC among them") % told
