"""Needs your attention: what is wrong or unfinished, and the page or command that mends it."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.urls import reverse
from django.utils import timezone

from catalog.models import Catalog, LoadState
from ranking.bundle import bundle_exists
from recsite.health import CatalogHealth, Part
from training.gate import gate
from training.models import ModelVersion, RunState, TrainingRun

STUCK_AFTER = timedelta(minutes=5)  # a load that has not moved
STALE_AFTER = timedelta(days=7)  # a live model
STANDS = {RunState.QUEUED: "waits", RunState.PAUSED: "is paused"}


@dataclass(frozen=True)
class Concern:
    """One line of the list."""

    text: str
    url: str = ""  # where the cure is
    cure: str = ""  # words of the link
    command: str = ""  # the same from a terminal


def of_services(parts: dict[str, Part], waiting: int) -> list[Concern]:
    """Broker and workers, and the runs that wait for them."""
    if not parts["broker"].ready:
        fault, command = f"{parts['broker'].detail} Start it, or correct CELERY_BROKER_URL.", ""
    elif not parts["worker"].ready:
        fault = parts["worker"].detail
        command = "celery -A recsite.celery worker --queues training,fast"
    else:
        return []
    if not waiting:
        return [Concern(fault, reverse("dashboard:services"), "Workers and services", command)]
    waits = f"{waiting} run{'s wait' if waiting != 1 else ' waits'}."
    queued = f"{reverse('dashboard:runs')}?state=queued"
    return [Concern(f"{fault} {waits}", queued, "What waits", command)]


def of_catalog(
    health: CatalogHealth,
    last: dict[str, TrainingRun],
    newest: ModelVersion | None,
    live: ModelVersion | None = None,
    *,
    turned_down: bool = False,
) -> list[Concern]:
    """What one catalog lacks.

    Parameters
    ----------
    health
        Its items, vectors and live bundle.
    last
        Its newest run of each kind.
    newest
        The model that was registered last.
    live
        The one that is live.
    turned_down
        Whether somebody has rolled back from that one: then it waits for no decision.
    """
    if not health.items:
        return [
            Concern(
                f"{health.name} holds no items.",
                f"{reverse('dashboard:overview')}#{health.slug}",
                "Its panel",
                f"manage.py import_data {health.slug} --items FILE",
            )
        ]
    return [
        concern
        for concern in (
            _failed_run(health, last),
            _missing_vectors(health, last),
            _live_model(health, last, newest),
            None if turned_down else _newer_model(health, newest, live),
        )
        if concern
    ]


def of_loads() -> list[Concern]:
    """Loads that have not moved for a while."""
    stuck = LoadState.objects.filter(
        finished_at__isnull=True, updated_at__lt=timezone.now() - STUCK_AFTER
    ).select_related("catalog")
    return [
        Concern(
            f"Loading {load.stage} of {load.catalog.name} stopped at {load.done:,}.",
            f"{reverse('dashboard:overview')}#{load.catalog.slug}",
            "How far it is",
            f"manage.py load_demo {load.catalog.slug}",
        )
        for load in stuck
    ]


def of_rollouts(catalogs: list[Catalog]) -> list[Concern]:
    """Roll-outs that were stopped by themselves, until somebody names or rolls out another."""
    return [
        Concern(
            f"The roll-out of a model of {catalog.name} was stopped. {catalog.challenger_fault}",
            reverse("dashboard:model", args=[catalog.slug, catalog.challenger_bundle]),
            "Look at it",
            f"manage.py rollout {catalog.slug}",
        )
        for catalog in catalogs
        if catalog.challenger_fault
    ]


def _failed_run(health: CatalogHealth, last: dict[str, TrainingRun]) -> Concern | None:
    for run in last.values():
        if run.state == RunState.FAILED:
            by = ", started by its schedule," if run.schedule_id else ""
            return Concern(
                f"The last {run.kind} run of {health.name}{by} failed: {run.error}",
                reverse("dashboard:run", args=[run.pk]),
                "Look and retry",
                f"manage.py retry_run {run.pk}",
            )
    return None


def _missing_vectors(health: CatalogHealth, last: dict[str, TrainingRun]) -> Concern | None:
    missing = health.items - health.vectors
    run = last.get(TrainingRun.Kind.ENCODE)
    if missing <= 0 or (run and run.state == RunState.FAILED):
        return None
    words = f"{missing:,} {'item' if missing == 1 else 'items'} of {health.name} without a vector"
    if run and not run.is_over:
        return Concern(
            f"{words}; {'the run for it is paused' if _is_paused(run) else 'a run is at it'}.",
            reverse("dashboard:run", args=[run.pk]),
            "Look and resume" if _is_paused(run) else "Watch it",
        )
    return Concern(
        f"{words}.",
        f"{reverse('dashboard:overview')}#{health.slug}",
        "Refresh embeddings",
        f"manage.py refresh_embeddings {health.slug}",
    )


def _live_model(
    health: CatalogHealth, last: dict[str, TrainingRun], newest: ModelVersion | None
) -> Concern | None:
    models = reverse("dashboard:catalog-models", args=[health.slug])
    if health.bundle_id and not bundle_exists(health.bundle_id):
        return Concern(
            f"The live model of {health.name} has lost its files; pages answer without it.",
            models,
            "Roll back or promote another",
            f"manage.py rollback {health.slug} --reason …",
        )
    if health.bundle_id:
        return None
    run = last.get(TrainingRun.Kind.TRAIN)
    if run and not run.is_over:
        return Concern(
            f"{health.name} has no live model yet; a training "
            f"{STANDS.get(RunState(run.state), 'goes on')}.",
            reverse("dashboard:run", args=[run.pk]),
            "Look and resume" if _is_paused(run) else "Watch it",
        )
    if newest:
        return Concern(f"No model of {health.name} is live.", models, "Promote one")
    return Concern(
        f"{health.name} has no model yet; encoder and popularity answer.",
        f"{reverse('dashboard:overview')}#{health.slug}",
        "Train now",
        f"manage.py train {health.slug}",
    )


def _newer_model(
    health: CatalogHealth, newest: ModelVersion | None, live: ModelVersion | None
) -> Concern | None:
    if newest is None or not health.bundle_id:
        return None
    if newest.bundle_id != health.bundle_id and bundle_exists(newest.bundle_id):
        red = [check for check in gate(newest, live, check_files=False) if check.ok is False]
        page = reverse("dashboard:promote", args=[health.slug, newest.bundle_id])
        if red:
            reasons = " ".join(check.reason for check in red)
            blocked = f"The gate blocks a newer model of {health.name}: {reasons}"
            return Concern(blocked, page, "Look at its figures")
        return Concern(
            f"A model of {health.name} newer than the live one waits for a decision.",
            page,
            "Compare and promote",
        )
    if _is_stale((live or newest).created_at):
        return Concern(
            f"The live model of {health.name} is older than a week.",
            f"{reverse('dashboard:overview')}#{health.slug}",
            "Train now",
            f"manage.py train {health.slug}",
        )
    return None


def _is_paused(run: TrainingRun) -> bool:
    return run.state == RunState.PAUSED


def _is_stale(moment: datetime) -> bool:
    return timezone.now() - moment > STALE_AFTER
