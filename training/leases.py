"""Who may write a run: a lease with a fencing token, kept in the run's own row.

    queued ──claim──▶ running ──finish──▶ succeeded | failed | cancelled
      ▲                 │ ▲ │
      ├────release──────┤ └─┘ claim again, once the lease has run out
      │                 ▼
      └────resume──── paused   a release, after somebody has asked for a pause

Whoever claims a run raises its fencing token and holds the new value. Every later write goes
through `fenced`, which locks the row and compares the token, so a process that was thought dead and
wakes up again can change nothing. All times are the database's, so clocks of workers may differ.
"""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import Case, F, When
from django.db.models.expressions import CombinedExpression
from django.db.models.functions import Coalesce, Now

from training.errors import StaleLease
from training.models import RunState, TrainingRun


@dataclass(frozen=True)
class Lease:
    """The right to write one run, as long as no later claim has raised the token."""

    run_id: uuid.UUID
    token: int


def claim(run_id: uuid.UUID, owner: str) -> Lease | None:
    """Take a run that waits, or whose holder has died; None if there is nothing to take.

    There is also nothing to take while another run of the same kind runs in the same catalog (the
    database sees to that) and when the run has used up its attempts.
    """
    claimable = TrainingRun.objects.claimable().filter(pk=run_id)
    try:
        with transaction.atomic():
            taken = claimable.update(
                state=RunState.RUNNING,
                lease_owner=owner[:120],
                lease_expires_at=_lease_end(),
                heartbeat_at=Now(),
                fencing_token=F("fencing_token") + 1,
                attempts=F("attempts") + 1,
                idle=F("idle") + (Now() - Coalesce("heartbeat_at", Now())),
                resumed_from=Case(When(started_at__isnull=False, then=F("progress"))),
                started_at=Coalesce("started_at", Now()),
            )
            if not taken:
                return None
            run = TrainingRun.objects.only("fencing_token").get(pk=run_id)  # locked by our update
    except IntegrityError:  # run_one_running_a_kind
        return None
    return Lease(run_id, run.fencing_token)


@contextmanager
def fenced(lease: Lease) -> Iterator[TrainingRun]:
    """A transaction in which the run is surely still ours, with its row locked.

    Raises
    ------
    StaleLease
        The run was claimed by somebody else, or is over.
    """
    with transaction.atomic():
        run = (
            TrainingRun.objects.select_for_update()
            .filter(pk=lease.run_id, fencing_token=lease.token, state=RunState.RUNNING)
            .first()
        )
        if run is None:
            raise StaleLease(f"Run {lease.run_id} is in other hands, or over.")
        yield run


def renew(lease: Lease, stage: str, progress: float) -> None:
    """Say that the run lives and how far it is.

    To be called inside `fenced`, so that what is written with it stands or falls with it.
    """
    TrainingRun.objects.filter(pk=lease.run_id).update(
        lease_expires_at=_lease_end(), heartbeat_at=Now(), stage=stage, progress=progress
    )


def finish(lease: Lease, state: RunState, error: str = "") -> None:
    """End the run in one of the three last states."""
    with fenced(lease) as run:
        run.state = state
        run.error = error
        run.lease_expires_at = None
        if state == RunState.SUCCEEDED:
            run.progress = 1.0
        run.save(update_fields=["state", "error", "lease_expires_at", "progress"])
        TrainingRun.objects.filter(pk=run.pk).update(ended_at=Now())


def release(lease: Lease, *, counts: bool) -> None:
    """Hand the run back; it resumes from its checkpoint when it is claimed again.

    It waits in the queue, or paused where somebody has asked for that. `counts` says whether this
    was an attempt that failed; a worker that is told to stop is none, nor is a pause.
    """
    with fenced(lease) as run:
        run.state = RunState.PAUSED if run.pause_requested else RunState.QUEUED
        run.lease_owner = ""
        run.lease_expires_at = None
        run.attempts -= 0 if counts else 1
        run.save(update_fields=["state", "lease_owner", "lease_expires_at", "attempts"])


def _lease_end() -> CombinedExpression:
    return Now() + timedelta(seconds=settings.RUN_LEASE_SECONDS)
