"""Workers and services: what runs, what waits, who holds which run, database and disk."""

from dataclasses import dataclass

from django.db.models import Count
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_GET

from catalog.models import Role
from recsite.dashboard import disk, workers
from recsite.dashboard.access import needs
from recsite.dashboard.database import database
from training import schedules
from training.models import RunState, TrainingRun
from training.runs import queue_of

SILENT = 10.0  # seconds without a heartbeat after which a run looks dead; it beats every second


@dataclass(frozen=True)
class LeaseRow:
    """A run that a process holds."""

    run: TrainingRun
    silence: float  # seconds since the last heartbeat
    left: float  # seconds until the lease runs out; negative = the next sweep takes the run back

    @property
    def is_silent(self) -> bool:
        """Whether its process should have been heard of by now."""
        return self.silence > SILENT


@needs(Role.VIEWER)
@require_GET
def page(request: HttpRequest) -> HttpResponse:
    """What the database knows, at once; broker, workers and disk come with a second request."""
    context = {"tab": "services", "leases": _leases(), "database": database()}
    if "now" in request.GET:  # without scripts: everything in one answer
        context |= _backstage()
    return render(request, "dashboard/services.html", context)


@needs(Role.VIEWER)
@require_GET
def now(request: HttpRequest) -> HttpResponse:
    """Broker, workers, queues and disk, as a fragment; may take a second."""
    return render(request, "dashboard/_backstage.html", _backstage())


def _backstage() -> dict[str, object]:
    seen = workers.watch.now()
    queued = (
        TrainingRun.objects.filter(state=RunState.QUEUED).values("kind").annotate(runs=Count("pk"))
    )
    waiting = dict.fromkeys(seen.queues or ("fast", "training"), 0)
    for row in queued.order_by():
        queue = queue_of(row["kind"])
        waiting[queue] = waiting.get(queue, 0) + row["runs"]
    return {
        "seen": seen,
        "queues": [(name, seen.queues.get(name), runs) for name, runs in waiting.items()],
        "looked": schedules.last_looked(),
        "disk": disk.measure.now(),
    }


def _leases() -> list[LeaseRow]:
    held = TrainingRun.objects.filter(state=RunState.RUNNING).select_related("catalog")
    moment = timezone.now()
    return [
        LeaseRow(
            run,
            (moment - (run.heartbeat_at or run.created_at)).total_seconds(),
            ((run.lease_expires_at or moment) - moment).total_seconds(),
        )
        for run in held.order_by("started_at", "created_at")
    ]
