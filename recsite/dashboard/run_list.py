"""All runs, newest first; the filter stands in the address."""

from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import render
from django.views.decorators.http import require_GET

from catalog.models import Catalog, Role
from recsite import health
from recsite.dashboard.access import needs
from recsite.dashboard.run_page import STOP_POLLING
from training.models import RunState, TrainingRun, TrainingRunQuerySet

RUNS_A_PAGE = 25
FILTERS = ("catalog", "kind", "state")


@needs(Role.VIEWER)
@require_GET
def page(request: HttpRequest) -> HttpResponse:
    """The list; htmx asks for its rows alone, again and again while one of them is on its way."""
    chosen = {name: request.GET.get(name, "") for name in FILTERS}
    found = Paginator(_filtered(chosen), RUNS_A_PAGE).get_page(request.GET.get("page"))
    query = QueryDict(mutable=True)
    query.update({name: value for name, value in chosen.items() if value})
    context = {
        "tab": "runs",
        "page": found,
        "page_range": found.paginator.get_elided_page_range(found.number),
        "query": f"{query.urlencode()}&" if query else "",
        "chosen": chosen,
        "live": any(not run.is_over for run in found),
    }
    if request.headers.get("HX-Request"):
        status = 200 if context["live"] else STOP_POLLING
        return render(request, "dashboard/_run_rows.html", context, status=status)
    context |= {
        "catalogs": Catalog.objects.order_by("pk"),
        "kinds": TrainingRun.Kind.choices,
        "states": RunState.choices,
        "parts": health.backstage.parts(),
    }
    return render(request, "dashboard/runs.html", context)


def _filtered(chosen: dict[str, str]) -> TrainingRunQuerySet:
    runs = TrainingRun.objects.select_related("catalog", "created_by").order_by("-created_at")
    if chosen["catalog"]:
        runs = runs.filter(catalog__slug=chosen["catalog"])
    if chosen["kind"]:
        runs = runs.filter(kind=chosen["kind"])
    if chosen["state"]:
        runs = runs.filter(state=chosen["state"])
    return runs
