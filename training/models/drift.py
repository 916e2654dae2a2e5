"""How far a day's traffic is from what the live model learned."""

from typing import ClassVar

from django.db import models
from django.utils.translation import gettext_lazy as _
from django.utils.translation import gettext_noop

from catalog.models import Catalog


class DriftLevel(models.TextChoices):
    """How much something has moved."""

    UNKNOWN = gettext_noop("unknown"), _("Too little to tell")
    STEADY = gettext_noop("steady"), _("Steady")
    WATCH = gettext_noop("watch"), _("Watch")
    ALERT = gettext_noop("alert"), _("Alert")


class DriftReportQuerySet(models.QuerySet["DriftReport"]):
    """Reads of reports."""

    def newest_of_each(self) -> "DriftReportQuerySet":
        """The report of the newest day, of each catalog."""
        return self.order_by("catalog", "-day").distinct("catalog")


class DriftReport(models.Model):
    """How far a day's traffic is from what the live model learned. Written by training/drift.py."""

    catalog = models.ForeignKey(Catalog, on_delete=models.CASCADE, related_name="drift_reports")
    day = models.DateField()  # UTC; the newest of the days that are looked at
    bundle_id = models.CharField(max_length=80)  # that was live when it was measured
    measures = models.JSONField(default=dict)  # name → fields of training.drift_measures.Measure
    score = models.FloatField(default=0.0)  # the largest PSI that chance does not explain
    level = models.CharField(max_length=8, choices=DriftLevel)
    measured_at = models.DateTimeField(auto_now=True)
    # the message of an alert, see training/alerts.py
    sent_at = models.DateTimeField(null=True)
    send_attempts = models.PositiveSmallIntegerField(default=0)
    send_fault = models.TextField(blank=True, default="")

    objects = DriftReportQuerySet.as_manager()

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint("catalog", "day", name="driftreport_one_a_day"),
        ]

    def __str__(self) -> str:
        return f"{self.catalog.slug} {self.day}: {self.level}"
