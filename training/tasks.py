"""Thin Celery tasks: each fetches, calls one function, and leaves the truth in PostgreSQL."""

import logging
import uuid
from typing import Any

from celery import shared_task
from celery.signals import worker_shutting_down
from django.utils import timezone

from catalog.events import ensure_months
from catalog.importers import undo, uploads
from catalog.models import Catalog
from training import alerts, drift, refresh, registry, rollout, runs, schedules, watcher
from training.errors import TrainingFault

logger = logging.getLogger(__name__)


@shared_task(name=runs.WAKE_TASK)
def wake_run(run_id: str) -> None:
    """Carry out a run, if it still waits; the next one is looked for at once afterwards."""
    if watcher.claim_and_watch(uuid.UUID(run_id)):
        runs.sweep()


@shared_task
def sweep_runs() -> None:
    """Find runs that nobody woke, and those whose process has died."""
    runs.sweep()


@shared_task
def refresh_vectors(catalog_id: int | None = None) -> None:
    """Queue a run that encodes what is new or changed, where there is something and none waits."""
    chosen = Catalog.objects.all() if catalog_id is None else Catalog.objects.filter(pk=catalog_id)
    for catalog in chosen:
        refresh.refresh_if_needed(catalog)


@shared_task
def run_schedules() -> None:
    """Start what the schedules say is due."""
    schedules.run_due()


@shared_task
def measure_drift(catalog_id: int | None = None) -> None:
    """Measure yesterday everywhere, or today in one catalog; and tell who wants to know at once."""
    if catalog_id is None:
        drift.measure_all()
    else:
        try:
            drift.measure_days(Catalog.objects.get(pk=catalog_id))
        except TrainingFault as fault:
            logger.warning("drift: %s", fault)
    alerts.send_due()


@shared_task
def send_alerts() -> None:
    """Send the alerts that could not be sent before."""
    alerts.send_due()


@shared_task
def prepare_partitions() -> None:
    """Have this month's and the next month's partition ready before an interaction needs them."""
    ensure_months([timezone.now()])


@shared_task
def watch_rollouts() -> None:
    """Stop the roll-outs that do harm, and write down those that serving has stopped."""
    for catalog in Catalog.objects.exclude(challenger_bundle=""):
        rollout.watch(catalog)


@shared_task
def tidy() -> None:
    """Nightly: forget checkpoints, small runs, bundles, snapshots, uploads that nobody needs."""
    runs.tidy()
    for catalog in Catalog.objects.all():
        registry.prune(catalog)
    registry.prune_leftovers()
    uploads.tidy()
    undo.forget_old()


@worker_shutting_down.connect
def _let_go(**details: Any) -> None:
    """Hand the runs back to the queue when the worker is told to stop."""
    watcher.STOPPING.set()
