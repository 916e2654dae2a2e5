"""Needs your attention: what is wrong or unfinished, and the page or command that mends it."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from catalog.models import Catalog, LoadState
from ranking.bundle import bundle_exists
from recsite.health import CatalogHealth, Part
from training.gate import gate
from training.models import ModelVersion, RunState, TrainingRun

STUCK_AFTER = timedelta(minutes=5)  # a load that has not moved
STALE_AFTER = timedelta(days=7)  # a live model


@dataclass(frozen=True)
class Concern:
    """One line of the list."""

    text: str
    url: str = ""  # where the cure is
    cure: str = ""  # words of the link
    command: str = ""  # the same from a terminal
    stored: str = ""  # what a row says of it, which goes after the text, in English


def of_services(parts: dict[str, Part], waiting: int) -> list[Concern]:
    """Broker and workers, and the runs that wait for them."""
    if not parts["broker"].ready:
        told = {"fault": parts["broker"].detail}
        fault = _("%(fault)s Start it, or correct CELERY_BROKER_URL.") % told
        command = ""
    elif not parts["worker"].ready:
        fault = parts["worker"].detail
        command = "celery -A recsite.celery worker --queues training,fast"
    else:
        return []
    if not waiting:
        return [Concern(fault, reverse("dashboard:services"), _("Workers and services"), command)]
    waits = ngettext(
        "%(fault)s %(number)d run waits.", "%(fault)s %(number)d runs wait.", waiting
    ) % {"fault": fault, "number": waiting}
    queued = f"{reverse('dashboard:runs')}?state=queued"
    return [Concern(waits, queued, _("What waits"), command)]


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
                _("%(name)s holds no items.") % {"name": health.name},
                f"{reverse('dashboard:overview')}#{health.slug}",
                _("Its panel"),
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
            _("Loading %(stage)s of %(name)s stopped at %(done)s.")
            % {"stage": _(load.stage), "name": load.catalog.name, "done": f"{load.done:,}"},
            f"{reverse('dashboard:overview')}#{load.catalog.slug}",
            _("How far it is"),
            f"manage.py load_demo {load.catalog.slug}",
        )
        for load in stuck
    ]


def of_rollouts(catalogs: list[Catalog]) -> list[Concern]:
    """Roll-outs that were stopped by themselves, until somebody names or rolls out another."""
    return [
        Concern(
            _("The roll-out of a model of %(name)s was stopped.") % {"name": catalog.name},
            reverse("dashboard:model", args=[catalog.slug, catalog.challenger_bundle]),
            _("Look at it"),
            f"manage.py rollout {catalog.slug}",
            catalog.challenger_fault,
        )
        for catalog in catalogs
        if catalog.challenger_fault
    ]


def _failed_run(health: CatalogHealth, last: dict[str, TrainingRun]) -> Concern | None:
    for run in last.values():
        if run.state == RunState.FAILED:
            told = {"kind": _(run.get_kind_display()).lower(), "name": health.name}
            return Concern(
                _("The last %(kind)s run of %(name)s, started by its schedule, failed:") % told
                if run.schedule_id
                else _("The last %(kind)s run of %(name)s failed:") % told,
                reverse("dashboard:run", args=[run.pk]),
                _("Look and retry"),
                f"manage.py retry_run {run.pk}",
                run.error,
            )
    return None


def _missing_vectors(health: CatalogHealth, last: dict[str, TrainingRun]) -> Concern | None:
    missing = health.items - health.vectors
    run = last.get(TrainingRun.Kind.ENCODE)
    if missing <= 0 or (run and run.state == RunState.FAILED):
        return None
    words = ngettext(
        "%(number)s item of %(name)s without a vector",
        "%(number)s items of %(name)s without a vector",
        missing,
    ) % {"number": f"{missing:,}", "name": health.name}
    if run and not run.is_over:
        paused, goes_on = _("%(words)s; the run for it is paused."), _("%(words)s; a run is at it.")
        return Concern(
            (paused if _is_paused(run) else goes_on) % {"words": words},
            reverse("dashboard:run", args=[run.pk]),
            _("Look and resume") if _is_paused(run) else _("Watch it"),
        )
    return Concern(
        _("%(words)s.") % {"words": words},
        f"{reverse('dashboard:overview')}#{health.slug}",
        _("Refresh embeddings"),
        f"manage.py refresh_embeddings {health.slug}",
    )


def _live_model(
    health: CatalogHealth, last: dict[str, TrainingRun], newest: ModelVersion | None
) -> Concern | None:
    models = reverse("dashboard:catalog-models", args=[health.slug])
    told = {"name": health.name}
    if health.bundle_id and not bundle_exists(health.bundle_id):
        return Concern(
            _("The live model of %(name)s has lost its files; pages answer without it.") % told,
            models,
            _("Roll back or promote another"),
            f"manage.py rollback {health.slug} --reason …",
        )
    if health.bundle_id:
        return None
    run = last.get(TrainingRun.Kind.TRAIN)
    if run and not run.is_over:
        return Concern(
            _training_to_come(run) % told,
            reverse("dashboard:run", args=[run.pk]),
            _("Look and resume") if _is_paused(run) else _("Watch it"),
        )
    if newest:
        return Concern(_("No model of %(name)s is live.") % told, models, _("Promote one"))
    return Concern(
        _("%(name)s has no model yet; encoder and popularity answer.") % told,
        f"{reverse('dashboard:overview')}#{health.slug}",
        _("Train now"),
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
            told = {"name": health.name, "reasons": " ".join(check.reason for check in red)}
            blocked = _("The gate blocks a newer model of %(name)s: %(reasons)s") % told
            return Concern(blocked, page, _("Look at its figures"))
        return Concern(
            _("A model of %(name)s newer than the live one waits for a decision.")
            % {"name": health.name},
            page,
            _("Compare and promote"),
        )
    if _is_stale((live or newest).created_at):
        return Concern(
            _("The live model of %(name)s is older than a week.") % {"name": health.name},
            f"{reverse('dashboard:overview')}#{health.slug}",
            _("Train now"),
            f"manage.py train {health.slug}",
        )
    return None


def _training_to_come(run: TrainingRun) -> str:
    """What stands where no model is live yet, for the name of a catalog."""
    if run.state == RunState.QUEUED:
        return _("%(name)s has no live model yet; a training waits.")
    if _is_paused(run):
        return _("%(name)s has no live model yet; a training is paused.")
    return _("%(name)s has no live model yet; a training goes on.")


def _is_paused(run: TrainingRun) -> bool:
    return run.state == RunState.PAUSED


def _is_stale(moment: datetime) -> bool:
    return timezone.now() - moment > STALE_AFTER
