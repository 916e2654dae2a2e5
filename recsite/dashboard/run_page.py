"""One run: state, progress, curves, log, origin. Its live part polls until the run ends."""

import uuid
from dataclasses import dataclass

from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_POST

from catalog.models import Import, Role
from recsite import health
from recsite.csv_file import csv_file
from recsite.dashboard.access import needs
from recsite.dashboard.charts import Chart, curve_charts
from recsite.dashboard.polling import STOP_POLLING, UNCHANGED
from training.errors import TrainingFault
from training.models import ModelVersion, RunLogLine, RunState, TrainingRun, TuningTrial
from training.runs import annotate
from training.sheets import SHEETS

LOG_LINES = 200  # newest ones on the page
EARLY = 0.03  # below this share of progress an estimate would be a guess


@dataclass(frozen=True)
class Live:
    """The part of the page that changes while the run goes on."""

    run: TrainingRun
    charts: list[Chart]
    log_lines: list[RunLogLine]  # the last ones, oldest first
    elapsed: float | None  # seconds
    remaining: float | None  # seconds, estimated
    waits_for: str  # a sentence, while it is queued
    version: ModelVersion | None  # what it registered
    retries: list[TrainingRun]
    trials: list[TuningTrial]  # of a search, by number
    imported: Import | None  # what an import wrote

    @property
    def has_form(self) -> bool:
        """Whether it can be repeated with changes."""
        return self.run.kind in SHEETS

    @property
    def resumed_percent(self) -> float:
        """How far it was when it was last taken up again."""
        return 100 * (self.run.resumed_from or 0.0)

    @property
    def log_is_cut(self) -> bool:
        """Whether there may be earlier lines."""
        return len(self.log_lines) == LOG_LINES

    @property
    def mark(self) -> str:
        """Differs when the page would look different."""
        run = self.run
        points = sum(len(curve.steps) for chart in self.charts for curve in chart.curves)
        newest = self.log_lines[-1].pk if self.log_lines else 0
        return "-".join(
            str(part)
            for part in (
                run.standing,
                run.stage.replace(" ", "_"),
                f"{run.progress:.3f}",
                run.attempts,
                points,
                len(self.trials),
                sum(trial.value is not None for trial in self.trials),
                newest,
                len(self.waits_for),
                len(run.environment),
                run.snapshot_digest[:8],
                int(self.elapsed or 0) // 5,  # the clock moves every five seconds
            )
        )


@needs(Role.VIEWER)
@require_GET
def page(request: HttpRequest, run_id: uuid.UUID) -> HttpResponse:
    """The whole page."""
    run = _find(run_id)
    return _page(request, run, ", ".join(run.tags), run.note)


@needs(Role.OPERATOR)
@require_POST
def notes(request: HttpRequest, run_id: uuid.UUID) -> HttpResponse:
    """Write tags and a note on the run; what is refused stays in the form."""
    run = _find(run_id)
    tags, note = request.POST.get("tags", ""), request.POST.get("note", "")
    try:
        annotate(run, tags.split(","), note)
    except TrainingFault as fault:
        return _page(request, run, tags, note, str(fault))
    return redirect("dashboard:run", run.pk)


@needs(Role.VIEWER)
@require_GET
def live(request: HttpRequest, run_id: uuid.UUID) -> HttpResponse:
    """The live part; nothing if the page shows it already, a last time once it stands still."""
    part = _live(_find(run_id))
    if part.run.is_on_its_way and request.GET.get("mark") == part.mark:
        return HttpResponse(status=UNCHANGED)
    status = 200 if part.run.is_on_its_way else STOP_POLLING
    return render(request, "dashboard/_run.html", {"run": part.run, "live": part}, status=status)


@needs(Role.VIEWER)
@require_GET
def metrics_file(request: HttpRequest, run_id: uuid.UUID) -> HttpResponseBase:
    """All points of all curves as CSV."""
    points = _find(run_id).metrics.order_by("name", "step").values_list("name", "step", "value")
    return csv_file(f"{run_id}-metrics.csv", ("name", "step", "value"), points.iterator())


@needs(Role.VIEWER)
@require_GET
def log_file(request: HttpRequest, run_id: uuid.UUID) -> HttpResponseBase:
    """The whole log as CSV."""
    lines = _find(run_id).log_lines.order_by("pk").values_list("at", "text").iterator()
    rows = ((at.isoformat(timespec="milliseconds"), text) for at, text in lines)
    return csv_file(f"{run_id}-log.csv", ("at", "text"), rows)


def _page(
    request: HttpRequest, run: TrainingRun, tags: str, note: str, fault: str = ""
) -> HttpResponse:
    context = {
        "tab": "runs",
        "run": run,
        "live": _live(run),
        "typed_tags": tags,
        "typed_note": note,
        "fault": fault,
    }
    return render(request, "dashboard/run.html", context, status=422 if fault else 200)


def _find(run_id: uuid.UUID) -> TrainingRun:
    runs = TrainingRun.objects.select_related("catalog", "created_by", "retry_of", "schedule")
    return get_object_or_404(runs, pk=run_id)


def _live(run: TrainingRun) -> Live:
    points = run.metrics.order_by("name", "step").values_list("name", "step", "value")
    elapsed = run.seconds
    remaining = None
    if elapsed and run.state == RunState.RUNNING and EARLY < run.progress < 1:
        remaining = elapsed * (1 - run.progress) / run.progress
    return Live(
        run=run,
        charts=curve_charts(points),
        log_lines=list(run.log_lines.order_by("-pk")[:LOG_LINES])[::-1],
        elapsed=elapsed,
        remaining=remaining,
        waits_for=_waits_for(run),
        retries=list(TrainingRun.objects.filter(retry_of=run).order_by("created_at")),
        trials=list(run.trials.order_by("number")) if run.kind == TrainingRun.Kind.TUNE else [],
        imported=(
            Import.objects.filter(run_id=run.pk).first()
            if run.kind == TrainingRun.Kind.IMPORT
            else None
        ),
        version=ModelVersion.objects.filter(run=run).select_related("catalog").first(),
    )


def _waits_for(run: TrainingRun) -> str:
    """Why a queued run has not begun."""
    if run.standing == "pausing":
        return _("It stops at its next check, and keeps what it has learned until then.")
    if run.state != RunState.QUEUED:
        return ""
    same = TrainingRun.objects.filter(catalog=run.catalog, kind=run.kind, state=RunState.RUNNING)
    if same.exists():
        text = _("It waits for the %(kind)s run of %(catalog)s that is going on.")
        return text % {"kind": _(run.kind), "catalog": run.catalog.name}
    for part in health.backstage.parts().values():
        if not part.ready:
            return _("It waits. %(detail)s") % {"detail": part.detail}
    return _("It waits for a worker to be free.")
