"""What training code sees of its run: where to keep checkpoints, how to report, when to stop.

A thread of its own, the heart, holds the lease and writes what was reported, once a second and in
one transaction that the fencing token guards. So reporting is cheap, and a stale process writes
nothing.
"""

import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Self

from django.conf import settings
from django.db import Error as DatabaseFault
from django.db import connection

from training.errors import RunCancelled, RunInterrupted, RunPaused, StaleLease
from training.leases import Lease, fenced, release, renew
from training.models import RunLogLine, RunMetric, TrainingRun
from training.runs import run_folder

logger = logging.getLogger(__name__)

BEAT = 1.0  # seconds between two writes
LONGEST_LINE = 4000  # characters of one log line
EXIT_INTERRUPTED = 75  # EX_TEMPFAIL: try again later


class RunHandle:
    """A run as its own code sees it. Use as a context manager; the heart beats inside."""

    def __init__(
        self, run: TrainingRun, lease: Lease, say: Callable[[str], None] | None = None
    ) -> None:
        self.run = run
        self.lease = lease
        self.catalog = run.catalog
        self.parameters: dict[str, Any] = run.parameters
        self.seed = run.seed
        self.folder = run_folder(run.pk)  # checkpoints; survives a kill, goes when the run succeeds
        self._say = say  # is told each line of the log as well, at once
        self._stage, self._progress = "starting", 0.0
        self._part = (0.0, 1.0)  # of the whole run, that fractions are of now
        self._metrics: dict[tuple[str, int], float] = {}
        self._lines: list[str] = []
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._stop: type[Exception] | None = None
        self._stop_since = 0.0  # monotonic seconds
        self._renewed = time.monotonic()
        self._parent = os.getppid()
        self._heart = threading.Thread(target=self._live, name="heart", daemon=True)

    def stage(self, name: str, fraction: float) -> None:
        """Say what is being done, and how much of the whole run is done (0 … 1)."""
        low, high = self._part
        share = low + (high - low) * min(max(fraction, 0.0), 1.0)
        self._stage, self._progress = name[:60], share

    @contextmanager
    def part(self, start: float, end: float) -> Iterator[None]:
        """Code called inside reports fractions of this part of the run, not of the whole."""
        outer, self._part = self._part, (start, end)
        try:
            yield
        finally:
            self._part = outer

    def metric(self, name: str, step: int, value: float) -> None:
        """Add a point to a curve; a second one at the same step replaces the first."""
        with self._lock:
            self._metrics[name[:60], step] = float(value)

    def log(self, text: str) -> None:
        """Add a line to the run's log."""
        with self._lock:
            self._lines.append(text.replace("\0", "")[:LONGEST_LINE])
        if self._say is not None:
            self._say(text)

    def record(self, *, snapshot_digest: str = "", **facts: str) -> None:
        """Keep what the run was made from: the snapshot, and facts such as `device`."""
        with fenced(self.lease) as run:
            run.snapshot_digest = snapshot_digest or run.snapshot_digest
            run.environment |= facts
            run.save(update_fields=["snapshot_digest", "environment"])
        self.run.snapshot_digest, self.run.environment = run.snapshot_digest, run.environment

    def check(self) -> None:
        """Stop here if the run has to stop. Cheap: call it after every batch.

        Raises
        ------
        RunCancelled, RunInterrupted, RunPaused, StaleLease
            Let them pass; training/execute.py knows what each means.
        """
        if time.monotonic() - self._renewed > settings.RUN_LEASE_SECONDS:
            raise StaleLease("The lease could not be renewed in time.")
        if self._stop is not None:
            raise self._stop(f"Run {self.lease.run_id} has to stop.")

    def interrupt(self) -> None:
        """Ask the run to stop at its next `check`, to be resumed later."""
        self._ask_to_stop(RunInterrupted)

    def __enter__(self) -> Self:
        self._beat()
        self._heart.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._over.set()
        self._heart.join()
        if not isinstance(error, StaleLease):
            self._beat()

    def _live(self) -> None:
        """The heart: beat until the run is over, its lease is lost, or nobody watches any more."""
        while not self._over.wait(BEAT):
            try:
                self._beat()
            except StaleLease:
                self._ask_to_stop(StaleLease)
                break
            except DatabaseFault:  # away for a moment; `check` stops the run if it lasts
                logger.exception(
                    "The database did not take a heartbeat of run %s.", self.lease.run_id
                )
                connection.close()
            if os.getppid() != self._parent:
                self.interrupt()
            self._leave_if_deaf()
        connection.close()

    def _beat(self) -> None:
        """Write what was reported since the last beat, and hold the lease."""
        asked = time.monotonic()
        with self._lock:
            metrics, self._metrics = self._metrics, {}
            lines, self._lines = self._lines, []
        try:
            with fenced(self.lease) as run:
                RunMetric.objects.bulk_create(
                    [
                        RunMetric(run=run, name=name, step=step, value=value)
                        for (name, step), value in metrics.items()
                    ],
                    update_conflicts=True,
                    unique_fields=["run", "name", "step"],
                    update_fields=["value"],
                )
                RunLogLine.objects.bulk_create([RunLogLine(run=run, text=line) for line in lines])
                renew(self.lease, self._stage, self._progress)
        except DatabaseFault:
            with self._lock:  # nothing reported is lost
                self._metrics = metrics | self._metrics
                self._lines = lines + self._lines
            raise
        self._renewed = asked
        if run.cancel_requested:
            self._ask_to_stop(RunCancelled)
        elif run.pause_requested:
            self._ask_to_stop(RunPaused)

    def _ask_to_stop(self, reason: type[Exception]) -> None:
        if self._stop in (None, RunPaused):  # a pause waits for the next check; others outdo it
            self._stop, self._stop_since = reason, time.monotonic()

    def _leave_if_deaf(self) -> None:
        """End the process if its code does not come to a `check` and no watcher will kill it."""
        waited = time.monotonic() - self._stop_since
        if self._stop is RunInterrupted and waited > settings.RUN_CANCEL_GRACE_SECONDS:
            release(self.lease, counts=False)
            os._exit(EXIT_INTERRUPTED)
