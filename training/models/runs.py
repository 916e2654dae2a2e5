"""Runs: their state and lease, their curves and logs, and the trials of a search."""

import uuid
from collections.abc import Iterable
from datetime import timedelta
from typing import ClassVar

from django.apps import apps
from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Case, F, Func, Max, OuterRef, Q, Subquery, When
from django.db.models.fields.json import KT
from django.db.models.functions import Cast, Coalesce, Least, Now
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.utils.translation import gettext_noop

from catalog.models import Catalog


class RunState(models.TextChoices):
    """The states of a run. Only training/leases.py and runs.py move a run to another one."""

    QUEUED = gettext_noop("queued"), _("Queued")
    RUNNING = gettext_noop("running"), _("Running")
    PAUSED = gettext_noop("paused"), _("Paused")
    CANCELLED = gettext_noop("cancelled"), _("Cancelled")
    FAILED = gettext_noop("failed"), _("Failed")
    SUCCEEDED = gettext_noop("succeeded"), _("Succeeded")


OVER = (RunState.CANCELLED, RunState.FAILED, RunState.SUCCEEDED)
KEEP_CHECKPOINTS = timedelta(days=7)  # of runs that failed or were cancelled


class TrainingRunQuerySet(models.QuerySet["TrainingRun"]):
    """Reads of runs. Times are compared in the database, by its own clock."""

    def going_on(self) -> "TrainingRunQuerySet":
        """Runs that go on, or will as soon as a worker is free."""
        return self.filter(state__in=[RunState.QUEUED, RunState.RUNNING])

    def trainings(self) -> "TrainingRunQuerySet":
        """Runs that make a model."""
        return self.filter(kind=self.model.Kind.TRAIN)

    def not_over(self) -> "TrainingRunQuerySet":
        """Runs that something may still happen to: those going on, and the paused ones."""
        return self.filter(state__in=[RunState.QUEUED, RunState.RUNNING, RunState.PAUSED])

    def may_go_on(self) -> "TrainingRunQuerySet":
        """Runs that are going on, or failed or were cancelled so lately that somebody may look."""
        unfinished = self.exclude(state=RunState.SUCCEEDED)
        return unfinished.exclude(ended_at__lt=Now() - KEEP_CHECKPOINTS)

    def unheld(self) -> "TrainingRunQuerySet":
        """Runs that are not over and that no process holds: waiting, or left by a dead one."""
        dead = Q(state=RunState.RUNNING, lease_expires_at__lt=Now())
        return self.filter(Q(state__in=[RunState.QUEUED, RunState.PAUSED]) | dead)

    def claimable(self) -> "TrainingRunQuerySet":
        """Runs that a worker may take: held by nobody, wanted, and with attempts left."""
        wanted = self.unheld().exclude(state=RunState.PAUSED)
        return wanted.filter(
            cancel_requested=False, pause_requested=False, attempts__lt=settings.RUN_MAX_ATTEMPTS
        )

    def with_figures(self) -> "TrainingRunQuerySet":
        """With `best`, `began` and `worked`, to be shown and sorted by.

        `best` is nDCG@10 of the model that the run registered, else its best value on validation;
        `began` its start, or when it was queued; `worked` how long somebody has worked on it.
        """
        registered = apps.get_model("training", "ModelVersion")  # registry.py reads this module
        model = registered._default_manager.filter(run=OuterRef("pk")).annotate(
            figure=Cast(KT("metrics__pipeline__ndcg@10__value"), models.FloatField())
        )
        points = RunMetric.objects.filter(run=OuterRef("pk"), value__lt=float("inf"))  # nor NaN
        highest = points.exclude(name__contains="loss").order_by().values("run")
        until = Case(
            When(state=RunState.RUNNING, then=Now()), default=Least("ended_at", "heartbeat_at")
        )
        return self.annotate(
            best=Coalesce(
                Subquery(model.values("figure")[:1]),
                Subquery(highest.annotate(highest=Max("value")).values("highest")),
            ),
            began=Coalesce("started_at", "created_at"),
            worked=until - F("started_at") - F("idle"),
        )

    def in_order(self, columns: Iterable[str], *, falling: bool) -> "TrainingRunQuerySet":
        """By these columns; what has no value comes last, and of equals the newest first."""
        order = [
            F(column).desc(nulls_last=True) if falling else F(column).asc(nulls_last=True)
            for column in columns
        ]
        return self.order_by(*order, "-created_at")

    def tags(self) -> list[str]:
        """All tags that a run carries, by name."""
        unnested = self.annotate(tag=Func("tags", function="unnest")).order_by("tag")
        return list(unnested.values_list("tag", flat=True).distinct())

    def newest_of_each_kind(self) -> "TrainingRunQuerySet":
        """The last run of each kind in each catalog; one that is not over before a later one."""
        order = ("catalog", "kind", "done", "-created_at")
        marked = self.annotate(done=Q(state__in=OVER))
        return marked.order_by(*order).distinct("catalog", "kind")


class TrainingRun(models.Model):
    """One run. This row is its truth: the broker only wakes a worker up."""

    class Kind(models.TextChoices):
        TRAIN = gettext_noop("train"), _("Train")
        ENCODE = gettext_noop("encode"), _("Refresh embeddings")
        EVALUATE = gettext_noop("evaluate"), _("Evaluate")
        PRETRAIN = gettext_noop("pretrain"), _("Pretrain")
        FINETUNE = gettext_noop("finetune"), _("Finetune")
        QUANTIZE = gettext_noop("quantize"), _("Quantize")
        TUNE = gettext_noop("tune"), _("Tune")
        DISTILL = gettext_noop("distill"), _("Distill")
        IMPORT = gettext_noop("import"), _("Import")

    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    catalog = models.ForeignKey(Catalog, on_delete=models.CASCADE, related_name="runs")
    kind = models.CharField(max_length=16, choices=Kind)
    state = models.CharField(max_length=16, choices=RunState, default=RunState.QUEUED)
    parameters = models.JSONField(default=dict)
    seed = models.BigIntegerField(default=1)
    stage = models.CharField(max_length=60, blank=True, default="")
    progress = models.FloatField(default=0.0)  # 0 … 1
    error = models.TextField(blank=True, default="")
    cancel_requested = models.BooleanField(default=False)
    pause_requested = models.BooleanField(default=False)
    # lease
    lease_owner = models.CharField(max_length=120, blank=True, default="")
    lease_expires_at = models.DateTimeField(null=True, blank=True)
    heartbeat_at = models.DateTimeField(null=True, blank=True)
    fencing_token = models.BigIntegerField(
        default=0
    )  # raised by each claim; stale writers are refused
    attempts = models.PositiveIntegerField(default=0)
    idle = models.DurationField(default=timedelta)  # from a holder's last beat to the next claim
    resumed_from = models.FloatField(
        null=True, blank=True
    )  # progress when it was last taken up again
    # what people write on it
    tags = ArrayField(models.CharField(max_length=40), default=list, blank=True)
    note = models.TextField(blank=True, default="")
    # origin
    retry_of = models.ForeignKey("self", on_delete=models.SET_NULL, null=True, blank=True)
    schedule = models.ForeignKey(  # what started it; None = a person, a command, or new items
        "Schedule", on_delete=models.SET_NULL, null=True, blank=True, related_name="runs"
    )
    snapshot_digest = models.CharField(max_length=64, blank=True, default="")
    code_version = models.CharField(max_length=40, blank=True, default="")
    environment = models.JSONField(default=dict)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True
    )
    created_at = models.DateTimeField(auto_now_add=True)
    started_at = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)

    objects = TrainingRunQuerySet.as_manager()

    class Meta:
        indexes: ClassVar = [
            models.Index(fields=["-created_at"], name="run_newest_first"),
            models.Index(fields=["state", "lease_expires_at"], name="run_claimable"),
        ]
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=Q(progress__gte=0, progress__lte=1), name="run_progress_0_1"
            ),
            models.UniqueConstraint(  # one run of a kind at a time in each catalog
                fields=["catalog", "kind"],
                condition=Q(state="running"),
                name="run_one_running_a_kind",
            ),
        ]

    @property
    def is_over(self) -> bool:
        """Whether nothing will change any more."""
        return self.state in OVER

    @property
    def is_on_its_way(self) -> bool:
        """Whether it changes by itself."""
        return self.state in {RunState.QUEUED, RunState.RUNNING}

    @property
    def may_be_repeated(self) -> bool:
        """Whether the same may be started anew without two of them running."""
        return self.is_over or self.state == RunState.PAUSED

    @property
    def standing(self) -> str:
        """Its state, and what it was asked for and has not done yet: cancelling, pausing."""
        if not self.is_over and self.cancel_requested:
            return gettext_noop("cancelling")
        if self.state == RunState.RUNNING and self.pause_requested:
            return gettext_noop("pausing")
        return self.state

    @property
    def percent(self) -> float:
        """How much of it is done, 0 … 100."""
        return round(100 * self.progress, 1)

    @property
    def seconds(self) -> float | None:
        """How long somebody has worked on it until now; None before its start."""
        if self.started_at is None:
            return None
        known = [moment for moment in (self.ended_at, self.heartbeat_at) if moment]
        until = timezone.now() if self.state == RunState.RUNNING or not known else min(known)
        return max((until - self.started_at - self.idle).total_seconds(), 0.0)


class RunMetric(models.Model):
    """One point of a curve: a loss or a metric at a step of a run."""

    run = models.ForeignKey(TrainingRun, on_delete=models.CASCADE, related_name="metrics")
    name = models.CharField(max_length=60)  # tower/train_loss, tower/valid_ndcg, ranker/ndcg@10 …
    step = models.PositiveIntegerField()
    value = models.FloatField()
    at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint("run", "name", "step", name="runmetric_point_unique"),
        ]


class RunLogLine(models.Model):
    """One line of a run's log."""

    run = models.ForeignKey(TrainingRun, on_delete=models.CASCADE, related_name="log_lines")
    at = models.DateTimeField(auto_now_add=True)
    text = models.TextField()


class TuningTrial(models.Model):
    """One trial of a search for better settings, as its study has it; kept for pages and trainings.

    The study (training/study.py) is the truth while a search goes on; its run copies it here.
    """

    class State(models.TextChoices):
        WAITING = "waiting", _("Waiting")
        RUNNING = "running", _("Running")
        COMPLETE = "complete", _("Complete")
        PRUNED = "pruned", _("Pruned")
        FAIL = "fail", _("Failed")

    run = models.ForeignKey(TrainingRun, on_delete=models.CASCADE, related_name="trials")
    number = models.PositiveIntegerField()  # in the study, which other runs may share
    state = models.CharField(max_length=8, choices=State)
    branch = models.CharField(max_length=16)  # of training/search_space.py; '' until it is drawn
    settings = models.JSONField(default=dict)
    value = models.FloatField(null=True)  # nDCG@10 on validation; of a pruned one, the last seen
    seconds = models.FloatField(null=True)
    is_usual = models.BooleanField(default=False)  # what a training takes without a search

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint("run", "number", name="tuningtrial_number_unique"),
        ]
