"""The overview: each catalog, its traffic, what needs attention, and the two buttons."""

from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_GET

from catalog.models import Catalog, Role
from recsite import health
from recsite.dashboard import activity, answers, attention, attention_traffic, disk, doctor
from recsite.dashboard.access import needs
from recsite.dashboard.activity import Activity
from recsite.dashboard.answers import Coverage, Speed
from recsite.health import CatalogHealth
from training import schedules
from training.models import DriftReport, ModelVersion, Promotion, RunState, Schedule, TrainingRun

LATEST_RUNS = 6


@dataclass(frozen=True)
class CatalogPanel:
    """What the page shows of one catalog."""

    catalog: Catalog
    health: CatalogHealth
    activity: Activity
    speed: Speed | None  # None = nothing was timed in the last day
    coverage: Coverage | None
    live: ModelVersion | None
    runs_going_on: list[TrainingRun] = field(default_factory=list)

    @property
    def unfinished_loads(self) -> list[dict[str, Any]]:
        """Loads on their way."""
        return [load for load in self.health.loads if not load["finished"]]

    @property
    def training_goes_on(self) -> TrainingRun | None:
        """The training run that waits or runs, if there is one."""
        trains = (run for run in self.runs_going_on if run.kind == TrainingRun.Kind.TRAIN)
        return next(trains, None)


@needs(Role.VIEWER)
@require_GET
def page(request: HttpRequest) -> HttpResponse:
    """Everything at a glance."""
    catalogs = list(Catalog.objects.order_by("pk"))
    states = {state.slug: state for state in health.catalogs()}
    parts = health.backstage.parts()
    going_on = list(TrainingRun.objects.going_on().select_related("catalog").order_by("created_at"))
    waiting = sum(run.state == RunState.QUEUED for run in going_on)
    panels = _panels(catalogs, states, going_on)
    return render(
        request,
        "dashboard/overview.html",
        {
            "tab": "overview",
            "panels": panels,
            "concerns": _concerns(panels, parts, waiting),
            "parts": parts,
            "waiting": waiting,
            "running": len(going_on) - waiting,
            "latest_runs": TrainingRun.objects.select_related("catalog").order_by("-created_at")[
                :LATEST_RUNS
            ],
        },
    )


def _panels(
    catalogs: list[Catalog], states: dict[str, CatalogHealth], going_on: list[TrainingRun]
) -> list[CatalogPanel]:
    traffic = activity.traffic.now()
    missing = [catalog for catalog in catalogs if catalog.pk not in traffic]  # made since the look
    traffic = traffic | activity.activity_of(missing) if missing else traffic
    speed, coverage = answers.speed.now(), answers.coverage.now()
    live = ModelVersion.objects.in_bulk(
        [catalog.live_bundle for catalog in catalogs], field_name="bundle_id"
    )
    return [
        CatalogPanel(
            catalog=catalog,
            health=states[catalog.slug],
            activity=traffic[catalog.pk],
            speed=speed.get(catalog.pk),
            coverage=coverage.get(catalog.pk),
            live=live.get(catalog.live_bundle),
            runs_going_on=[run for run in going_on if run.catalog_id == catalog.pk],
        )
        for catalog in catalogs
        if catalog.slug in states
    ]


@needs(Role.VIEWER)
@require_GET
def latency(request: HttpRequest, slug: str) -> HttpResponse:
    """Where the time of one catalog's answers goes, stage by stage; a page, or its table alone."""
    catalog = get_object_or_404(Catalog, slug=slug)
    context = {
        "tab": "overview",
        "catalog": catalog,
        "stages": answers.stages_of(catalog),
        "bound": answers.SPEED_BOUND,
        "most": answers.MOST_TIMED,
    }
    is_fragment = bool(request.headers.get("HX-Request"))
    return render(request, f"dashboard/{'_' if is_fragment else ''}latency.html", context)


def _concerns(
    panels: list[CatalogPanel], parts: dict[str, health.Part], waiting: int
) -> list[attention.Concern]:
    last: defaultdict[int, dict[str, TrainingRun]] = defaultdict(dict)
    for run in TrainingRun.objects.newest_of_each_kind():
        last[run.catalog_id][run.kind] = run
    found = ModelVersion.objects.newest_of_each().select_related("catalog")
    newest = {version.catalog_id: version for version in found}
    left = Promotion.objects.filter(
        kind=Promotion.Kind.ROLL_BACK,
        from_bundle__in=[version.bundle_id for version in newest.values()],
    )
    turned_down = set(left.values_list("catalog", flat=True))
    reports = {report.catalog_id: report for report in DriftReport.objects.newest_of_each()}
    concerns = attention.of_services(parts, waiting) + attention.of_loads()
    concerns += attention.of_rollouts([panel.catalog for panel in panels])
    concerns += attention_traffic.of_disk(disk.room())
    if Schedule.objects.at_work().exists():
        concerns += attention_traffic.of_schedules(schedules.last_looked())
    for panel in panels:
        catalog = panel.catalog
        concerns += attention.of_catalog(
            panel.health,
            last[catalog.pk],
            newest.get(catalog.pk),
            panel.live,
            turned_down=catalog.pk in turned_down,
        )
        if panel.health.items:  # an empty catalog has a line of its own
            concerns += attention_traffic.of_data(catalog, doctor.known(catalog))
        concerns += attention_traffic.of_traffic(catalog, panel.activity, panel.speed)
        concerns += attention_traffic.of_drift(catalog, reports.get(catalog.pk))
    return concerns
