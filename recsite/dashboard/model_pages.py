"""Registered models: figures beside the live one's, the gate, promotion and roll-back."""

from dataclasses import dataclass

from django.contrib import messages
from django.core.paginator import Paginator
from django.db import transaction
from django.db.models import Count, F, Prefetch
from django.db.models.fields.json import KeyTransform
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop
from django.views.decorators.http import require_GET, require_http_methods

from catalog.models import Catalog, EncoderVersion, Role
from ranking.bundle import bundle_exists
from recsite.csv_file import csv_file
from recsite.dashboard import rehearsals
from recsite.dashboard.access import locked_catalog, needs, require, staff_user
from recsite.dashboard.comparison import METRICS, Measured, measured
from recsite.dashboard.sorting import Sorting
from training import registry, rollout
from training.errors import TrainingFault
from training.gate import Check, Figure, figure, gate
from training.models import (
    Evaluation,
    ModelVersion,
    ModelVersionQuerySet,
    RunState,
    TrainingRun,
    TuningTrial,
)
from training.plots import Plot, plots_of
from training.search_space import SPACES, USUAL_TRIALS
from training.sheet_fields import DESIGNS
from training.tuned import Best, best_of

MODELS_A_PAGE = 20
PROMOTIONS = 30
SEARCHES = 10
COLUMNS = {"created": gettext_noop("Model"), **METRICS}


@dataclass(frozen=True)
class Row:
    """One model in the list."""

    version: ModelVersion
    role: str  # live, challenger, or ''
    measured: list[Measured]
    checks: list[Check]
    has_files: bool

    @property
    def is_live(self) -> bool:
        """Whether the catalog answers from it."""
        return self.role == "live"

    @property
    def is_green(self) -> bool:
        """Whether no check is red."""
        return all(check.ok is not False for check in self.checks)


@dataclass(frozen=True)
class Searched:
    """A search for better settings, and the best that it found in each branch."""

    run: TrainingRun
    bests: list[Best]


@dataclass(frozen=True)
class Learned:
    """An encoder that the catalog made, and what it does to ranking by text alone."""

    version: EncoderVersion
    by_text: dict[str, float] | None  # before and after; None where there was too little feedback
    gain: Figure | None

    @property
    def can_learn(self) -> bool:
        """Whether a training may start from it."""
        return self.version.way not in registry.QUANTISED


@dataclass(frozen=True)
class Strong:
    """An evaluation of one question: what it asks, and the newest answer."""

    kind: str
    title: str
    about: str
    evaluation: Evaluation | None

    @property
    def plots(self) -> list[Plot]:
        """The answer, drawn."""
        return plots_of(self.kind, self.evaluation.rows) if self.evaluation else []


QUESTIONS = (  # kind, title, what it asks; in English
    (
        Evaluation.Kind.BY_ENCODER,
        gettext_noop("One encoder or another"),
        gettext_noop(
            "How good lists are by the texts of the recent items alone, as each encoder of this"
            " catalog reads them: as configured, pre-trained, fine-tuned, quantised."
        ),
    ),
    (
        Evaluation.Kind.BY_HISTORY,
        gettext_noop("The language model or behaviour"),
        gettext_noop(
            "How good lists are by the language model alone, by behaviour alone, and by the blend"
            " that is served: for people of whom more and more is known, and for items picked more"
            " often."
        ),
    ),
    (
        Evaluation.Kind.COLD_START,
        gettext_noop("Cold start"),
        gettext_noop(
            "People of whom nothing, one or three things are known; items that nobody has touched;"
            " and a catalog on its first day, against what is popular and against chance."
        ),
    ),
    (
        Evaluation.Kind.TRANSFER,
        gettext_noop("From one catalog to another"),
        gettext_noop(
            "People known in one half of this catalog’s departments and new in the other, as if"
            " those were two catalogs."
        ),
    ),
)


@needs(Role.VIEWER)
@require_GET
def catalogs(request: HttpRequest) -> HttpResponse:
    """The catalogs; straight to the models if there is only one."""
    rows = list(Catalog.objects.annotate(models=Count("model_versions")).order_by("pk"))
    if len(rows) == 1:
        return redirect("dashboard:catalog-models", rows[0].slug)
    return render(request, "dashboard/models.html", {"tab": "models", "catalogs": rows})


@needs(Role.VIEWER)
@require_GET
def page(request: HttpRequest, slug: str) -> HttpResponse:
    """The models of one catalog, newest first unless the address says otherwise."""
    catalog = get_object_or_404(Catalog, slug=slug)
    sorting = Sorting.of(request.GET.get("sort", ""), COLUMNS, "-created")
    found = Paginator(_sorted(catalog, sorting), MODELS_A_PAGE).get_page(request.GET.get("page"))
    rest = request.GET.copy()
    rest.pop("page", None)
    live = registry.live_version(catalog)
    encoders = list(catalog.encoders.select_related("parent").order_by("-created_at"))
    searches = _searches(catalog)
    trainings = TrainingRun.objects.trainings().filter(catalog=catalog)
    learns_from = list(catalog.learns_from.order_by("pk"))
    history = catalog.promotions.select_related("by").order_by("-at", "-pk")
    return render(
        request,
        "dashboard/catalog_models.html",
        {
            "tab": "models",
            "catalog": catalog,
            "catalogs": Catalog.objects.order_by("pk"),
            "page": found,
            "page_range": found.paginator.get_elided_page_range(found.number),
            "rows": [_row(version, live) for version in found],
            "live": live,
            "training": None if found.object_list else trainings.going_on().first(),
            "heads": sorting.heads(COLUMNS, request.GET, texts=("created",)),
            "query": f"{rest.urlencode()}&" if rest else "",
            "shares": rollout.SHARES,
            "progress": rollout.progress(catalog),
            "next_share": rollout.next_share(catalog.challenger_share),
            "promotions": history[:PROMOTIONS],
            "encoders": [_learned(version) for version in encoders],
            "live_encoder": registry.live_encoder(catalog),
            "smaller": _smaller(encoders),
            "spaces": SPACES.values(),
            "usual_trials": USUAL_TRIALS,
            "searches": searches,
            "designs": DESIGNS,
            "distillation": _distillation(catalog),
            "has_found": any(one.run.state == RunState.SUCCEEDED for one in searches),
            "strong": _strong(catalog),
            "learns_from": learns_from,
            "other_names": _(", ").join(other.name for other in learns_from),
        },
    )


@needs(Role.VIEWER)
@require_GET
def as_csv(request: HttpRequest, slug: str) -> StreamingHttpResponse:
    """The registry of one catalog, in the order of the page."""
    catalog = get_object_or_404(Catalog, slug=slug)
    sorting = Sorting.of(request.GET.get("sort", ""), COLUMNS, "-created")
    live = registry.live_version(catalog)
    head = ["bundle", "registered", "role", "run", "parent"]
    head += [f"{name}{end}" for name in METRICS for end in ("", " low", " high")]
    rows = []
    for version in _sorted(catalog, sorting).select_related("parent"):
        row = _row(version, live)
        parent = version.parent.bundle_id if version.parent else ""
        made = version.created_at.isoformat(timespec="seconds")
        cells: list[object] = [version.bundle_id, made, row.role, version.run_id or "", parent]
        for one in row.measured:
            known = one.figure
            cells += [known.value, known.low, known.high] if known else [None] * 3
        rows.append(cells)
    return csv_file(f"models-{slug}.csv", head, rows)


@needs(Role.VIEWER, to_send=Role.OPERATOR)
@require_http_methods(["GET", "POST"])
def promote_page(request: HttpRequest, slug: str, bundle_id: str) -> HttpResponse:
    """What would change, the whole gate, and the form; sending it promotes."""
    catalog = get_object_or_404(Catalog, slug=slug)
    version = get_object_or_404(ModelVersion, catalog=catalog, bundle_id=bundle_id)
    version.catalog = catalog
    fault = ""
    if rehearsals.goes_on(version):
        fault = _("Its rehearsal goes on: wait for what it says.")
    if "force" in request.POST:
        require(request, Role.ADMIN)
    if request.method == "POST" and not fault:
        try:
            registry.promote(
                version,
                staff_user(request),
                request.POST.get("reason", ""),
                force="force" in request.POST,
            )
        except TrainingFault as refused:
            fault = str(refused)
        else:
            messages.success(request, _("%(bundle)s is live.") % {"bundle": bundle_id})
            return redirect("dashboard:catalog-models", slug)
    live = registry.live_version(catalog)
    if request.method == "GET":
        fault = ""
    context = {
        "tab": "models",
        "catalog": catalog,
        "row": _row(version, live, check_files=True),
        "live": live,
        "version": version,
        "wants_rehearsal": rehearsals.wants_rehearsal(version, live),
        "rehearsal_goes_on": rehearsals.goes_on(version),
        "shares": rollout.SHARES,
        "next_share": rollout.next_share(max(catalog.challenger_share, rollout.SHARES[0])),
        "fault": fault,
        "reason": request.POST.get("reason", ""),
    }
    return render(request, "dashboard/promote.html", context, status=422 if fault else 200)


@needs(Role.VIEWER, to_send=Role.OPERATOR)
@require_http_methods(["GET", "POST"])
@transaction.atomic
def roll_back_page(request: HttpRequest, slug: str) -> HttpResponse:
    """What a roll-back returns to, and the form; sending it rolls back what the page has shown."""
    sends = request.method == "POST"
    catalog = locked_catalog(slug) if sends else get_object_or_404(Catalog, slug=slug)
    fault = ""
    if sends and request.POST.get("live") != catalog.live_bundle:
        fault = _("Another model is live by now. Look at what stands here now, then decide again.")
    elif sends:
        try:
            change = registry.roll_back(
                catalog, staff_user(request), request.POST.get("reason", "")
            )
        except TrainingFault as refused:
            fault = str(refused)
        else:
            told = _("No model, only encoder and popularity, is live.")
            if change.to_bundle:
                told = _("%(bundle)s is live.") % {"bundle": change.to_bundle}
            messages.success(request, told)
            return redirect("dashboard:catalog-models", slug)
    context = {
        "tab": "models",
        "catalog": catalog,
        "target": registry.previous_bundle(catalog),
        "fault": fault,
        "reason": request.POST.get("reason", ""),
    }
    return render(request, "dashboard/roll_back.html", context, status=422 if fault else 200)


def _searches(catalog: Catalog) -> list[Searched]:
    """The last searches of a catalog, newest first."""
    complete = TuningTrial.objects.filter(state=TuningTrial.State.COMPLETE)
    runs = catalog.runs.filter(kind=TrainingRun.Kind.TUNE).order_by("-created_at")
    runs = runs.prefetch_related(Prefetch("trials", complete))
    return [Searched(run, best_of(run.trials.all())) for run in runs[:SEARCHES]]


def _strong(catalog: Catalog) -> list[Strong]:
    newest = {one.kind: one for one in catalog.evaluations.newest_of_each_kind()}
    return [Strong(kind, title, about, newest.get(kind)) for kind, title, about in QUESTIONS]


def _distillation(catalog: Catalog) -> TrainingRun | None:
    """The last distillation of a catalog."""
    runs = catalog.runs.filter(kind=TrainingRun.Kind.DISTILL)
    return runs.order_by("-created_at").first()


def _learned(version: EncoderVersion) -> Learned:
    by_text = version.metrics.get("text_ndcg@10")
    return Learned(version, by_text, figure(version.metrics, "gain"))


def _smaller(encoders: list[EncoderVersion]) -> EncoderVersion | None:
    """The last quantisation, whose table the page shows."""
    return next((version for version in encoders if version.way in registry.QUANTISED), None)


def _sorted(catalog: Catalog, sorting: Sorting) -> ModelVersionQuerySet:
    """The models of a catalog; those without the figure that they are sorted by come last."""
    by: F | KeyTransform = F("created_at")
    if sorting.key != "created":
        entry = KeyTransform(sorting.key, KeyTransform("pipeline", "metrics"))
        by = KeyTransform("value", entry)
    order = by.desc(nulls_last=True) if sorting.descending else by.asc(nulls_last=True)
    return catalog.model_versions.order_by(order, "-created_at")


def _row(version: ModelVersion, live: ModelVersion | None, *, check_files: bool = False) -> Row:
    roles = {version.catalog.challenger_bundle: "challenger", version.catalog.live_bundle: "live"}
    return Row(
        version=version,
        role=roles.get(version.bundle_id, ""),
        measured=measured(version, live, METRICS),
        checks=gate(version, live, check_files=check_files),
        has_files=bundle_exists(version.bundle_id),
    )
