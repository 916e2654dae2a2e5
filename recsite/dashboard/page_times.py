"""How long each page of the dashboard takes to make, and how many queries it asks."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from time import perf_counter, thread_time
from typing import Any
from urllib.parse import urlencode

import numpy as np
from django.contrib.auth import get_user_model
from django.db import connection
from django.templatetags.static import static
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from catalog.importers import uploads
from catalog.models import Catalog, Import, Role
from ranking.bundle import bundle_exists
from recsite.dashboard.urls import urlpatterns
from recsite.faults import SetupFault
from training.models import ModelVersion, Schedule, TrainingRun

FRAGMENTS = ("doctor-findings", "model-gate", "services-now")  # often dearer than their pages
AT_ONCE = ("doctor", "services")  # pages that hold their fragment where there is no script
MODELS_LOOKED_AT = 200  # for one that has files, whose promotion hashes them


@dataclass(frozen=True)
class PageTime:
    """What one page took."""

    address: str
    status: int
    median: float  # ms
    p95: float  # ms
    queries: int  # the most that one request asked
    in_database: float  # ms, of the median request
    cpu: float  # ms of this process, of the median request: what a busy machine does not inflate


def addresses(named: Mapping[str, Any]) -> list[str]:
    """The addresses of the routes that these names suffice for."""
    return [
        reverse(f"dashboard:{pattern.name}", kwargs={name: named[name] for name in names})
        for pattern in urlpatterns
        if (names := pattern.pattern.converters).keys() <= named.keys()
    ]


def whole_pages(client: Client, named: Mapping[str, Any]) -> list[str]:
    """Those of them that answer a GET with a whole page: no buttons, fragments and files."""
    answers = ((address, client.get(address)) for address in addresses(named))
    return [
        address
        for address, answer in answers
        if answer.status_code != 405 and b"</html>" in answer.getvalue()
    ]


def dear_parts(named: Mapping[str, Any]) -> list[str]:
    """The fragments, the pages with theirs in one answer, and a file's page where one waits."""
    routes = {pattern.name: pattern.pattern.converters.keys() for pattern in urlpatterns}

    def address(name: str) -> str:
        return reverse(f"dashboard:{name}", kwargs={one: named[one] for one in routes[name]})

    known = {name for name, names in routes.items() if names <= named.keys()}
    found = [address(name) for name in FRAGMENTS if name in known]
    found += [f"{address(name)}?now=1" for name in AT_ONCE if name in known]
    for waiting in uploads.in_folder()[:1]:
        file = urlencode({"source": f"folder/{waiting}", "kind": "items"})
        found.append(f"{address('import-file')}?{file}")
    return found


def measure(catalog: Catalog, times: int) -> Iterator[PageTime]:
    """Ask for each page and each dear fragment of the dashboard so many times, as an admin would.

    Raises
    ------
    SetupFault
        Nobody is an admin, or no page can be made before the static files are collected.
    """
    admin = get_user_model().objects.filter(is_active=True, role=Role.ADMIN).first()
    if admin is None:
        raise SetupFault("Nobody is an admin: manage.py createsuperuser, then set_role NAME admin.")
    try:
        static("favicon.svg")
    except ValueError as fault:
        raise SetupFault("Collect the static files first: manage.py collectstatic.") from fault
    client = Client(SERVER_NAME="localhost", raise_request_exception=False)
    client.force_login(admin)
    try:
        named = _examples(catalog)
        whole = whole_pages(client, named)
        for address in dict.fromkeys([*whole, *dear_parts(named)]):  # each once, in this order
            yield _measured(client, address, times)
    finally:
        client.logout()


def _examples(catalog: Catalog) -> dict[str, Any]:
    """The newest run, model, import and schedule of the catalog, where there is one.

    A model that has files goes before one that has none: its gate reads every byte of them.
    """
    runs = TrainingRun.objects.filter(catalog=catalog).order_by("-created_at")
    models = ModelVersion.objects.filter(catalog=catalog).order_by("-created_at")
    bundles = list(models.values_list("bundle_id", flat=True)[:MODELS_LOOKED_AT])
    found = {
        "run_id": runs.values_list("pk", flat=True).first(),
        "bundle_id": next(filter(bundle_exists, bundles), next(iter(bundles), None)),
        "number": Import.objects.filter(catalog=catalog)
        .newest_first()
        .values_list("pk", flat=True)
        .first(),
        "schedule_id": Schedule.objects.filter(catalog=catalog)
        .values_list("pk", flat=True)
        .first(),
    }
    return {"slug": catalog.slug, **{name: value for name, value in found.items() if value}}


def _measured(client: Client, address: str, times: int) -> PageTime:
    taken, counts, asked, worked = [], [], [], []
    for _ in range(times):
        with CaptureQueriesContext(connection) as queries:
            start, began = perf_counter(), thread_time()
            answer = client.get(address)
            taken.append(1000 * (perf_counter() - start))
            worked.append(1000 * (thread_time() - began))
        counts.append(len(queries))
        asked.append(1000 * sum(float(query["time"]) for query in queries.captured_queries))
    median, p95 = np.percentile(taken, (50, 95))
    return PageTime(
        address,
        answer.status_code,
        float(median),
        float(p95),
        max(counts),
        float(np.median(asked)),
        float(np.median(worked)),
    )
