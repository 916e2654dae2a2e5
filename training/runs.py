"""The life of a run: create, pause, cancel, retry, sweep. Its row in PostgreSQL is the truth.

The broker only carries the hint that there is something to do. When it is away, or the hint is
lost, the row waits and the next `sweep` finds it. Who may write a run is settled in
training/leases.py, its process is started and watched in training/watcher.py, and what the training
code sees of all this is the `RunHandle` in training/handle.py.
"""

import logging
import shutil
import uuid
from collections.abc import Iterable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

from celery import current_app
from django.conf import settings
from django.db import transaction
from django.db.models import F
from django.db.models.functions import Now
from django.utils.translation import gettext as _
from kombu.exceptions import OperationalError as BrokerAway

from catalog.models import Catalog, User
from training.errors import TrainingFault
from training.leases import Lease, claim
from training.models import RunLogLine, RunState, Schedule, TrainingRun, TrainingRunQuerySet

logger = logging.getLogger(__name__)

WAKE_TASK = "training.tasks.wake_run"
WAKE_EXPIRES = 60  # seconds; the sweep sends another hint, so old ones need not pile up
MOST_TAGS, LONGEST_TAG = 12, 40  # of a run; characters of each
LONGEST_NOTE = 4_000  # characters
FAST = {TrainingRun.Kind.ENCODE, TrainingRun.Kind.IMPORT}  # may not wait for a training of hours
KEEP_ENCODE_RUNS = timedelta(days=7)  # they are many and small


def create_run(
    catalog: Catalog,
    kind: str,
    parameters: Mapping[str, Any] | None = None,
    user: User | None = None,
    seed: int = 1,
    retry_of: TrainingRun | None = None,
    schedule: Schedule | None = None,
) -> TrainingRun:
    """Queue a run and, once the transaction is through, tell a worker."""
    run = _insert(catalog, kind, parameters, user, seed, retry_of, schedule)
    transaction.on_commit(lambda: wake(run))
    return run


def create_claimed(
    catalog: Catalog,
    kind: str,
    owner: str,
    parameters: Mapping[str, Any] | None = None,
    seed: int = 1,
) -> tuple[TrainingRun, Lease]:
    """Create a run for the caller itself to carry out, in sight of no worker.

    Raises
    ------
    TrainingFault
        Another run of this kind is going on in this catalog.
    """
    with transaction.atomic():
        run = _insert(catalog, kind, parameters, None, seed)
        lease = claim(run.pk, owner)
        if lease is None:
            raise TrainingFault(
                f"A {kind} run of {catalog.slug} is going on already; wait for its end, or cancel "
                "it on the dashboard or with manage.py cancel_run.",
                retryable=True,
            )
    run.refresh_from_db()
    return run, lease


def wake(run: TrainingRun) -> bool:
    """Tell the workers that this run waits; False if the broker is away and it goes on waiting."""
    try:
        current_app.send_task(
            WAKE_TASK,
            args=[str(run.pk)],
            queue=queue_of(run.kind),
            expires=WAKE_EXPIRES,
            retry=False,
            ignore_result=True,
        )
    except BrokerAway as fault:
        logger.warning("The broker is away (%s); run %s waits for the next sweep.", fault, run.pk)
        return False
    return True


def queue_of(kind: str) -> str:
    """The queue whose workers carry out runs of this kind."""
    return "fast" if kind in FAST else "training"


def cancel(run: TrainingRun, by: str) -> bool:
    """Ask for the end of a run; False if it is over already.

    A queued, paused or abandoned one ends at once. A running one notices within two seconds, and is
    killed if it does not react in `RUN_CANCEL_GRACE_SECONDS`.
    """
    with transaction.atomic():
        locked = TrainingRun.objects.select_for_update().get(pk=run.pk)
        if locked.is_over:
            return False
        TrainingRun.objects.filter(pk=run.pk).update(cancel_requested=True)
        RunLogLine.objects.create(run=run, text=f"{by} asked to cancel this run.")
        _end_unheld_cancelled(run.pk)
    return True


def pause(run: TrainingRun, by: str) -> bool:
    """Ask a run to stop at its next check; False if it is over, paused or being cancelled already.

    Its checkpoint stays, no worker takes it, and no attempt is counted. A queued or abandoned one
    is paused at once.
    """
    with transaction.atomic():
        locked = TrainingRun.objects.select_for_update().get(pk=run.pk)
        if locked.is_over or locked.pause_requested or locked.cancel_requested:
            return False
        TrainingRun.objects.filter(pk=run.pk).update(pause_requested=True)
        RunLogLine.objects.create(run=run, text=f"{by} asked to pause this run.")
        _hold_unheld_paused(run.pk)
    return True


def resume(run: TrainingRun, by: str) -> bool:
    """Have a paused run go on from its checkpoint; False if nobody has paused it, or it is over.

    One that has not stopped yet may stop all the same; then it is queued again at once.
    """
    with transaction.atomic():
        locked = TrainingRun.objects.select_for_update().get(pk=run.pk)
        if locked.is_over or not locked.pause_requested:
            return False
        chosen = TrainingRun.objects.filter(pk=run.pk)
        chosen.update(pause_requested=False)
        chosen.filter(state=RunState.PAUSED).update(state=RunState.QUEUED)
        RunLogLine.objects.create(run=run, text=f"{by} asked this run to go on.")
        transaction.on_commit(lambda: wake(run))
    return True


def retry(
    run: TrainingRun,
    user: User | None = None,
    parameters: Mapping[str, Any] | None = None,
    seed: int | None = None,
) -> TrainingRun:
    """Queue a new run of the same kind: with the same parameters and seed, or with these.

    Raises
    ------
    TrainingFault
        The run is not over yet.
    """
    run.refresh_from_db(fields=["state"])
    if not run.may_be_repeated:
        raise TrainingFault(_("This run is not over yet; cancel it first."))
    wanted = run.parameters if parameters is None else parameters
    chosen = run.seed if seed is None else seed
    return create_run(run.catalog, run.kind, wanted, user, chosen, retry_of=run)


def annotate(run: TrainingRun, tags: Iterable[str], note: str) -> None:
    """Write tags and a note on a run; what stood there before is gone.

    Raises
    ------
    TrainingFault
        A tag or the note is too long, or there are too many tags.
    """
    kept = sorted({tag.strip().lower() for tag in tags} - {""})
    if len(kept) > MOST_TAGS or any(len(tag) > LONGEST_TAG for tag in kept):
        text = _("A run has at most %(tags)d tags of at most %(length)d characters each.")
        raise TrainingFault(text % {"tags": MOST_TAGS, "length": LONGEST_TAG})
    if len(note) > LONGEST_NOTE:
        text = _("A note has at most %(most)s characters.")
        raise TrainingFault(text % {"most": f"{LONGEST_NOTE:,}"})
    run.tags, run.note = kept, note.strip()
    run.save(update_fields=["tags", "note"])


def sweep() -> int:
    """Pick up what fell down: end what nobody can carry on, wake workers for the rest.

    Returns
    -------
    int
        How many runs wait for a worker.
    """
    _end_unheld_cancelled()
    _hold_unheld_paused()
    _fail_exhausted()
    waiting = list(TrainingRun.objects.claimable().order_by("created_at"))
    for run in waiting:
        if not wake(run):
            break  # the broker is away for the others too
    return len(waiting)


def tidy() -> None:
    """Forget old refreshes of embeddings, and the checkpoints of runs that will not be resumed."""
    encoded = TrainingRun.objects.filter(kind=TrainingRun.Kind.ENCODE)
    newest = (  # says which encoder a catalog's vectors are from
        encoded.filter(state=RunState.SUCCEEDED)
        .order_by("catalog", "-ended_at")
        .distinct("catalog")
        .values("pk")
    )
    encoded.filter(ended_at__lt=Now() - KEEP_ENCODE_RUNS).exclude(pk__in=newest).delete()
    kept = set(TrainingRun.objects.may_go_on().values_list("pk", flat=True))
    root = Path(settings.RUN_DIR)
    for folder in root.iterdir() if root.is_dir() else ():
        if _as_uuid(folder.name) not in kept:
            shutil.rmtree(folder)


def run_folder(run_id: uuid.UUID) -> Path:
    """Where a run keeps its checkpoints and the output of its process."""
    folder = Path(settings.RUN_DIR) / str(run_id)
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    return folder


def _insert(
    catalog: Catalog,
    kind: str,
    parameters: Mapping[str, Any] | None,
    user: User | None,
    seed: int,
    retry_of: TrainingRun | None = None,
    schedule: Schedule | None = None,
) -> TrainingRun:
    return TrainingRun.objects.create(
        catalog=catalog,
        kind=kind,
        parameters=dict(parameters or {}),
        created_by=user,
        seed=seed,
        retry_of=retry_of,
        schedule=schedule,
    )


def _end_unheld_cancelled(run_id: uuid.UUID | None = None) -> None:
    """A run that was cancelled and that no process holds is over."""
    chosen = TrainingRun.objects.unheld().filter(cancel_requested=True)
    if run_id is not None:
        chosen = chosen.filter(pk=run_id)
    _end(chosen, RunState.CANCELLED)


def _hold_unheld_paused(run_id: uuid.UUID | None = None) -> None:
    """A run that somebody wants to pause and that no process holds is paused."""
    chosen = TrainingRun.objects.unheld().exclude(state=RunState.PAUSED)
    chosen = chosen.filter(pause_requested=True, cancel_requested=False)
    if run_id is not None:
        chosen = chosen.filter(pk=run_id)
    _take_from_holder(chosen, RunState.PAUSED)


def _fail_exhausted() -> None:
    """A run that died as often as it may is over."""
    _end(
        TrainingRun.objects.unheld().filter(attempts__gte=settings.RUN_MAX_ATTEMPTS),
        RunState.FAILED,
        f"Its process died {settings.RUN_MAX_ATTEMPTS} times. Look for the cause in the log "
        "(memory?), then retry.",
    )


def _end(runs: TrainingRunQuerySet, state: RunState, error: str = "") -> None:
    """End runs that nobody holds."""
    _take_from_holder(runs, state, error=error, ended_at=Now())


def _take_from_holder(runs: TrainingRunQuerySet, state: RunState, **changes: Any) -> None:
    """Give runs another state; the raised token shuts out a process that wakes up late."""
    runs.update(state=state, lease_expires_at=None, fencing_token=F("fencing_token") + 1, **changes)


def _as_uuid(name: str) -> uuid.UUID | None:
    try:
        return uuid.UUID(name)
    except ValueError:
        return None
