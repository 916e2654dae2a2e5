"""Registered models, what was measured of a catalog's models, and what was promoted."""

from typing import ClassVar

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

from catalog.models import Catalog, EncoderVersion
from training.models.runs import TrainingRun


class ModelVersionQuerySet(models.QuerySet["ModelVersion"]):
    """Reads of registered models."""

    def newest_of_each(self) -> "ModelVersionQuerySet":
        """The model that was registered last, in each catalog."""
        return self.order_by("catalog", "-created_at").distinct("catalog")


class ModelVersion(models.Model):
    """A registered bundle: which run made it, from which snapshot, and how good it is."""

    catalog = models.ForeignKey(Catalog, on_delete=models.CASCADE, related_name="model_versions")
    bundle_id = models.CharField(max_length=80, unique=True)
    digest = models.CharField(max_length=64)
    run = models.ForeignKey(TrainingRun, on_delete=models.SET_NULL, null=True, blank=True)
    parent = models.ForeignKey(  # what was live when it was registered
        "self", on_delete=models.SET_NULL, null=True, blank=True, related_name="children"
    )
    metrics = models.JSONField(default=dict)  # as training/evaluation.py reports them
    encoder = models.ForeignKey(  # whose vectors it was trained on
        EncoderVersion, on_delete=models.SET_NULL, null=True, blank=True
    )
    created_at = models.DateTimeField(auto_now_add=True)

    objects = ModelVersionQuerySet.as_manager()

    class Meta:
        indexes: ClassVar = [
            models.Index(fields=["catalog", "-created_at"], name="modelversion_newest_first"),
        ]

    @property
    def is_live(self) -> bool:
        """Whether the catalog serves from this one now."""
        return self.catalog.live_bundle == self.bundle_id


class EvaluationQuerySet(models.QuerySet["Evaluation"]):
    """Reads of stored evaluations."""

    def newest_of_each_kind(self) -> "EvaluationQuerySet":
        """The last one of each kind, of each catalog."""
        return self.order_by("catalog", "kind", "-created_at", "-pk").distinct("catalog", "kind")


class Evaluation(models.Model):
    """A table of figures that an evaluation of one kind found; its rows are drawn as a plot."""

    class Kind(models.TextChoices):
        BY_ENCODER = "by-encoder", _("By Encoder")
        BY_HISTORY = "by-history", _("By History")
        COLD_START = "cold-start", _("Cold Start")
        TRANSFER = "transfer", _("Transfer")

    catalog = models.ForeignKey(Catalog, on_delete=models.CASCADE, related_name="evaluations")
    run = models.ForeignKey(TrainingRun, on_delete=models.SET_NULL, null=True, blank=True)
    bundle = models.CharField(max_length=80, blank=True)  # '' = fitted for it, thrown away since
    kind = models.CharField(max_length=16, choices=Kind)
    split = models.CharField(max_length=20)
    rows = models.JSONField()  # as the kind's own module in training/ reports them
    created_at = models.DateTimeField(auto_now_add=True)

    objects = EvaluationQuerySet.as_manager()

    class Meta:
        indexes: ClassVar = [
            models.Index(fields=["catalog", "kind", "-created_at"], name="evaluation_newest_first"),
        ]


class Promotion(models.Model):
    """A change of what answers: who, when, from what to what, for how many, and why."""

    class Kind(models.TextChoices):
        PROMOTE = "promote", _("Promote")
        ROLL_BACK = "roll-back", _("Roll Back")
        ROLL_OUT = "roll-out", _("Roll Out")  # to a share of the people; the live bundle stays
        STOP = "stop", _("Stop")  # of a roll-out

    catalog = models.ForeignKey(Catalog, on_delete=models.CASCADE, related_name="promotions")
    kind = models.CharField(max_length=16, choices=Kind)
    from_bundle = models.CharField(max_length=80, blank=True)
    to_bundle = models.CharField(max_length=80, blank=True)
    share = models.PositiveSmallIntegerField(default=100)  # percent of the people that get it
    reason = models.TextField()
    by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True
    )
    at = models.DateTimeField(auto_now_add=True)
