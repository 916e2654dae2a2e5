"""Handles of a run for code that holds no lease of it: a process that helps, and one trial."""

import time
from collections.abc import Callable
from pathlib import Path

import optuna
from django.db import Error as DatabaseFault
from django.db import connection

from training.errors import RunCancelled
from training.handle import RunHandle
from training.leases import Lease
from training.models import RunState, TrainingRun
from training.search_space import Branch

NOBODY = -1  # the token of no lease: nothing can be written to the run with it
GLANCE = 1.0  # seconds between two looks at the run's row
APART = 1_000_000  # steps between the curves of two branches, so that like is compared with like


class HelperHandle(RunHandle):
    """A run as a process sees it that helps: it stops when the run does, and says what it does."""

    def __init__(self, run: TrainingRun, say: Callable[[str], None]) -> None:
        super().__init__(run, Lease(run.pk, NOBODY))
        self._tell, self._looked = say, time.monotonic()

    def metric(self, name: str, step: int, value: float) -> None:
        """Nothing: the run's own process writes its curves."""

    def log(self, text: str) -> None:
        """Say it here only."""
        self._tell(text)

    def check(self) -> None:
        """Stop if the run is over, cancelled, or waits to be resumed.

        Raises
        ------
        RunCancelled
        """
        if time.monotonic() - self._looked < GLANCE:
            return
        self._looked = time.monotonic()
        going_on = TrainingRun.objects.filter(
            pk=self.run.pk, state=RunState.RUNNING, cancel_requested=False
        )
        try:
            if not going_on.exists():
                raise RunCancelled(f"Run {self.run.pk} does not go on.")
        except DatabaseFault:  # away for a moment
            connection.close()


class TrialHandle(RunHandle):
    """Hands the curve on validation to the study, which may prune the trial; says nothing else."""

    def __init__(
        self,
        run: TrainingRun,
        folder: Path,
        trial: optuna.Trial,
        branch: Branch,
        place: int,
        check: Callable[[], None],
        *,
        may_prune: bool,
    ) -> None:
        super().__init__(run, Lease(run.pk, NOBODY))
        self.folder = folder  # of this trial alone
        self._trial, self._branch, self._check = trial, branch, check
        self._begin, self._may_prune, self._reports = place * APART, may_prune, 0

    def metric(self, name: str, step: int, value: float) -> None:
        """Report a point of the curve on validation.

        Raises
        ------
        optuna.TrialPruned
            The curve lies below the middle of the others.
        """
        if "/valid" not in name:
            return
        self._trial.report(value, self._begin + step)
        self._reports += 1
        if not self._may_prune or self._reports <= self._branch.warm_up:
            return
        if self._trial.should_prune():
            raise optuna.TrialPruned

    def log(self, text: str) -> None:
        """Nothing: a line a trial is enough, and the run's own process writes that."""

    def check(self) -> None:
        """Stop if the search has to."""
        self._check()
