"""One model: where it comes from, every figure beside the live one's, its gate, what may follow."""

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop, override
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from catalog.models import Catalog, Role
from ranking.bundle import bundle_exists, snapshot_of
from recsite.csv_file import csv_file
from recsite.dashboard import rehearsals
from recsite.dashboard.access import needs
from recsite.dashboard.chosen import chosen_for
from recsite.dashboard.comparison import Measured, by_segment, everything
from recsite.dashboard.polling import STOP_POLLING, UNCHANGED, mark_of
from recsite.dashboard.sorting import Sorting
from training import registry, rollout
from training.errors import TrainingFault
from training.gate import gate, paired_with
from training.models import ModelVersion
from training.report import WITH_PERSONAL, WITHOUT_PERSONAL

ALONE = {"words": gettext_noop("Metric"), "value": gettext_noop("This model")}
COLUMNS = {**ALONE, "live": gettext_noop("Live"), "difference": gettext_noop("Difference")}
CSV_HEAD = (
    "part",
    "name",
    "requests",
    "value",
    "low",
    "high",
    "live",
    "difference",
    "difference low",
    "difference high",
    "p",
    "paired",
)


@needs(Role.VIEWER)
@require_GET
def page(request: HttpRequest, slug: str, bundle_id: str) -> HttpResponse:
    """The whole page of one model."""
    version = _find(slug, bundle_id)
    catalog = version.catalog
    live = registry.live_version(catalog)
    needed = registry.needed_bundles(catalog)
    champion = live if live is not None and live.pk != version.pk else None
    columns = COLUMNS if champion is not None else ALONE
    sorting = Sorting.of(request.GET.get("sort", ""), columns, "")
    rows, parts = everything(version, live), by_segment(version, live)
    if sorting.key:
        rows, parts = _sorted(rows, sorting), _sorted(parts, sorting)
    return render(
        request,
        "dashboard/model.html",
        {
            "tab": "models",
            "catalog": catalog,
            "version": version,
            "live": live,
            "champion": champion,
            "is_paired": champion is not None and bool(paired_with(version.metrics, champion)),
            "role": needed.get(version.bundle_id, ""),
            "has_files": bundle_exists(version.bundle_id),
            "snapshot": snapshot_of(version.bundle_id)
            or (version.run.snapshot_digest if version.run else ""),
            "personal": _personal(version),
            "chosen": chosen_for(version.bundle_id),
            "children": version.children.order_by("-created_at")[:10],
            "rows": rows,
            "segments": parts,
            "heads": sorting.heads(columns, request.GET, texts=("words",)),
            "checks": gate(version, live, check_files=False),
            "wants_rehearsal": rehearsals.wants_rehearsal(version, live),
            "rehearsal_goes_on": rehearsals.goes_on(version),
            "shares": rollout.SHARES,
            "progress": rollout.progress(catalog),
            "next_share": rollout.next_share(catalog.challenger_share),
        },
    )


def _personal(version: ModelVersion) -> dict[str, object] | None:
    """Whether its personal model is switched on, and nDCG@10 of the test with it and without it."""
    for name, is_on in ((WITHOUT_PERSONAL, True), (WITH_PERSONAL, False)):
        if name in version.metrics:
            served, other = (version.metrics[key]["ndcg@10"]["value"] for key in ("pipeline", name))
            with_it, without = (served, other) if is_on else (other, served)
            return {"is_on": is_on, "with_it": with_it, "without": without}
    return None


@needs(Role.VIEWER)
@require_GET
def metrics_csv(request: HttpRequest, slug: str, bundle_id: str) -> StreamingHttpResponse:
    """Every figure of one model beside the live one's."""
    version = _find(slug, bundle_id)
    live = registry.live_version(version.catalog)
    with override("en"):  # what a program reads says the same to everybody
        parts = (("whole", everything(version, live)), ("segment", by_segment(version, live)))
    rows = [_cells(part, one) for part, found in parts for one in found]
    return csv_file(f"{bundle_id}.csv", CSV_HEAD, rows)


@needs(Role.VIEWER)
@require_GET
def gate_part(request: HttpRequest, slug: str, bundle_id: str) -> HttpResponse:
    """The gate alone; asks for itself again while a rehearsal goes on."""
    version = _find(slug, bundle_id)
    live = registry.live_version(version.catalog)
    going_on = rehearsals.goes_on(version)
    # Hashing the files every second would slow what is timed.
    checks = gate(version, live, check_files=not going_on)
    mark = mark_of(checks)
    if going_on and request.GET.get("mark") == mark:
        return HttpResponse(status=UNCHANGED)
    context = {
        "catalog": version.catalog,
        "version": version,
        "checks": checks,
        "mark": mark,
        "wants_rehearsal": rehearsals.wants_rehearsal(version, live),
        "rehearsal_goes_on": going_on,
    }
    status = 200 if going_on or not request.headers.get("HX-Request") else STOP_POLLING
    return render(request, "dashboard/_gate.html", context, status=status)


@needs(Role.OPERATOR)
@require_POST
def rehearsal(request: HttpRequest, slug: str, bundle_id: str) -> HttpResponse:
    """Try a bundle out on this machine, beside the page."""
    version = _find(slug, bundle_id)
    if not bundle_exists(bundle_id):
        messages.error(request, _("Its files were removed: there is nothing to try out."))
    else:
        rehearsals.begin(version)
    if request.headers.get("HX-Request"):
        return redirect("dashboard:model-gate", slug, bundle_id)
    return redirect("dashboard:model", slug, bundle_id)


@needs(Role.VIEWER, to_send=Role.ADMIN)
@require_http_methods(["GET", "POST"])
def delete_page(request: HttpRequest, slug: str, bundle_id: str) -> HttpResponse:
    """What would go with a model, and the form; sending it deletes."""
    version = _find(slug, bundle_id)
    fault = ""
    if request.method == "POST":
        try:
            gone = registry.delete(version)
        except TrainingFault as refused:
            fault = str(refused)
        else:
            messages.success(request, _("Gone: %(gone)s.") % {"gone": _(", ").join(gone)})
            return redirect("dashboard:catalog-models", slug)
    context = {
        "tab": "models",
        "catalog": version.catalog,
        "version": version,
        "role": registry.needed_bundles(version.catalog).get(bundle_id, ""),
        "goes": registry.depends_on(version),
        "children": version.children.count(),
        "fault": fault,
    }
    return render(request, "dashboard/delete_model.html", context, status=422 if fault else 200)


def _find(slug: str, bundle_id: str) -> ModelVersion:
    versions = ModelVersion.objects.select_related("run", "parent", "encoder", "catalog")
    catalog = get_object_or_404(Catalog, slug=slug)
    return get_object_or_404(versions, catalog=catalog, bundle_id=bundle_id)


def _sorted(rows: list[Measured], sorting: Sorting) -> list[Measured]:
    """By one column; rows without a value there come last, whichever way."""

    def value(row: Measured) -> float | str | None:
        if sorting.key == "words":
            return row.words.lower()
        if sorting.key == "difference":
            return row.difference
        one = row.live if sorting.key == "live" else row.figure
        return one.value if one is not None else None

    known = [row for row in rows if value(row) is not None]
    missing = [row for row in rows if value(row) is None]
    return sorted(known, key=value, reverse=sorting.descending) + missing  # type: ignore[arg-type]


def _cells(part: str, one: Measured) -> list[object]:
    spread = one.spread
    return [
        part,
        one.words,
        one.requests,
        one.figure.value if one.figure else None,
        one.figure.low if one.figure else None,
        one.figure.high if one.figure else None,
        one.live.value if one.live else None,
        one.difference,
        spread.low if spread else None,
        spread.high if spread else None,
        one.p,
        "yes" if one.paired else "no",
    ]
