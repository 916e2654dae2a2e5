"""All runs; filter, order and page stand in the address."""

from collections.abc import Iterable, Iterator
from typing import Any

from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse, HttpResponseBase, QueryDict
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop, pgettext
from django.views.decorators.http import require_GET

from catalog.models import Catalog, Role
from recsite import health
from recsite.csv_file import csv_file
from recsite.dashboard.access import needs
from recsite.dashboard.polling import STOP_POLLING, UNCHANGED, mark_of
from recsite.dashboard.sorting import Head, Sorting
from training.models import RunState, TrainingRun, TrainingRunQuerySet

RUNS_A_PAGE = 25
FILTERS = ("catalog", "kind", "state", "tag")
NEWEST_FIRST = ""  # the usual order
SORTS = {  # column in the address → what it is sorted by
    "kind": ("kind", "catalog__slug"),
    "state": ("state",),
    "best": ("best",),
    "started": ("began",),
    "took": ("worked",),
}
HEADS = {
    "kind": gettext_noop("Run"),
    "state": gettext_noop("State"),
    "best": gettext_noop("Best"),
    "started": gettext_noop("Started"),
    "took": gettext_noop("Took"),
}
COLUMNS = (
    *("run", "catalog", "kind", "state", "stage", "progress", "best", "queued", "started"),
    *("ended", "seconds", "attempts", "seed", "snapshot", "code", "by", "tags", "note", "error"),
)


@needs(Role.VIEWER)
@require_GET
def page(request: HttpRequest) -> HttpResponse:
    """The list; htmx asks for its rows alone, again and again while one of them is on its way."""
    chosen = {name: request.GET.get(name, "")[:64] for name in FILTERS}
    sort = request.GET.get("sort", NEWEST_FIRST)
    found = Paginator(_sorted(_filtered(chosen), sort), RUNS_A_PAGE).get_page(
        request.GET.get("page")
    )
    query = _query(chosen, sort)
    context = {
        "tab": "runs",
        "page": found,
        "page_range": found.paginator.get_elided_page_range(found.number),
        "query": query,
        "is_filtered": any(chosen.values()),
        "heads": _heads(Sorting.of(sort, HEADS, NEWEST_FIRST), query),
        "chosen": chosen,
        "sort": sort,
        "live": any(run.is_on_its_way for run in found),
    }
    context["mark"] = _mark(found.object_list)
    if request.headers.get("HX-Request"):
        if context["live"] and request.GET.get("mark") == context["mark"]:
            return HttpResponse(status=UNCHANGED)
        status = 200 if context["live"] else STOP_POLLING
        return render(request, "dashboard/_run_rows.html", context, status=status)
    context |= {
        "catalogs": Catalog.objects.order_by("pk"),
        "kinds": TrainingRun.Kind.choices,
        "states": RunState.choices,
        "tags": TrainingRun.objects.tags(),
        "parts": health.backstage.parts(),
    }
    return render(request, "dashboard/runs.html", context)


@needs(Role.VIEWER)
@require_GET
def download(request: HttpRequest) -> HttpResponseBase:
    """All runs of the filter as CSV, in the same order."""
    chosen = {name: request.GET.get(name, "")[:64] for name in FILTERS}
    runs = _sorted(_filtered(chosen), request.GET.get("sort", NEWEST_FIRST))
    return csv_file("runs.csv", COLUMNS, _lines(runs))


def _mark(runs: Iterable[TrainingRun]) -> str:
    """Differs when the rows would look different; the clock moves every five seconds."""
    looks = [
        (
            run.pk,
            run.standing,
            run.stage,
            f"{run.progress:.3f}",
            int(run.seconds or 0) // 5,
            run.tags,
        )
        for run in runs
    ]
    return mark_of(looks)


def _lines(runs: TrainingRunQuerySet) -> Iterator[list[Any]]:
    for run in runs.iterator(chunk_size=200):
        best = getattr(run, "best", None)
        yield [
            *(run.pk, run.catalog.slug, run.kind, run.standing, run.stage, run.progress, best),
            *(_moment(moment) for moment in (run.created_at, run.started_at, run.ended_at)),
            None if run.seconds is None else round(run.seconds, 1),
            *(run.attempts, run.seed, run.snapshot_digest, run.code_version),
            run.created_by.username if run.created_by else "",
            *(" ".join(run.tags), run.note, run.error),
        ]


def _moment(moment: Any) -> str:
    return moment.isoformat(timespec="seconds") if moment else ""


def _filtered(chosen: dict[str, str]) -> TrainingRunQuerySet:
    runs = TrainingRun.objects.select_related("catalog", "created_by").with_figures()
    if chosen["catalog"]:
        runs = runs.filter(catalog__slug=chosen["catalog"])
    if chosen["kind"]:
        runs = runs.filter(kind=chosen["kind"])
    if chosen["state"]:
        runs = runs.filter(state=chosen["state"])
    if chosen["tag"]:
        runs = runs.filter(tags__contains=[chosen["tag"].lower()])
    return runs


def _sorted(runs: TrainingRunQuerySet, sort: str) -> TrainingRunQuerySet:
    """In the order that the address asks for: a column, or one after a minus to fall."""
    column = sort.removeprefix("-")
    if column not in SORTS:
        return runs.order_by("-created_at")
    return runs.in_order(SORTS[column], falling=sort.startswith("-"))


def _heads(sorting: Sorting, query: str) -> list[Head]:
    heads = sorting.heads(HEADS, QueryDict(query), texts=("kind", "state"), moments=("started",))
    stage, by = Head(_("Stage")), Head(pgettext("who started a run", "By"))
    return [*heads[:2], stage, *heads[2:], by]


def _query(chosen: dict[str, str], sort: str) -> str:
    """Filter and order for an address, ready to be followed by more; '' without any."""
    query = QueryDict(mutable=True)
    told = chosen | {"sort": sort if sort.removeprefix("-") in SORTS else ""}
    query.update({name: value for name, value in told.items() if value})
    return f"{query.urlencode()}&" if query else ""
