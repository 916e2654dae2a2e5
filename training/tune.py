"""⑫ The search for better settings: trials of a study, by one process or several, until a budget.

The study in PostgreSQL is the truth (training/study.py): a run that was killed goes on with what is
left of its budget, and every process that opens the study works on the same one. Settings are
chosen by the validation fold alone; the test is cut out of the log before anything is trained.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import optuna
from django.conf import settings

from catalog.models import EncoderVersion
from ranking.item_index import ItemIndex
from training.encode import encode
from training.encoders import (
    encoder_named,
    encoder_of_run,
    refuse_later_picks,
    refuse_leak,
    start_of_training,
)
from training.errors import RunCancelled, RunInterrupted, TrainingFault
from training.handle import RunHandle
from training.impressions import read_impressions, with_impressions
from training.models import RunState, TrainingRun
from training.objectives import Objective, objective_of, usual_settings
from training.search_space import Search, read_search
from training.snapshot import Snapshot, open_snapshot, read_log, snapshot_of
from training.splits import make_split, without_test
from training.study import USUAL, counted, draw, going_on, open_study, sampler
from training.trial import HelperHandle, TrialHandle
from training.trial_copies import TrialCopies
from training.tuned import best_of, in_words

GLANCE = 1.0  # seconds between two looks at what other processes did
PREPARED = 0.3  # share of a run until its first trial
STUDY = "study"  # facts of the run: the study's name,
BEFORE = "trials_before"  # and how many trials it had counted when the run began


@dataclass(frozen=True)
class Searcher:
    """A process that makes trials, as long as its run's budget lasts."""

    handle: RunHandle  # of the run, or of a process that helps
    search: Search
    study: optuna.Study
    objective: Objective
    before: int  # trials that the study had counted when the run began
    check: Callable[[], None]  # raises if this process has to stop
    number: int = 0  # of the process, so that no two draw the same

    def work(self) -> None:
        """Begin trials while there is budget, then wait for those of other processes."""
        while True:
            self.check()
            if self.has_budget():
                place = counted(self.study)
                seed = self.handle.seed + 1_000 * place + self.number
                self.study.sampler = sampler(self.search, seed % 2**32)
                self.study.optimize(self.trial, n_trials=1)
            elif going_on(self.study):  # if its process dies, it is queued again
                self.handle.stage("waiting for other processes", self.share())
                time.sleep(GLANCE)
            else:
                return

    def has_budget(self) -> bool:
        """Whether another trial may begin."""
        return self.share() < 1.0

    def share(self) -> float:
        """How much of the budget is used, 0 … 1."""
        used = (counted(self.study) - self.before) / self.search.trials
        if self.search.minutes is not None:
            row = TrainingRun.objects.get(pk=self.handle.run.pk)  # pauses are known there alone
            used = max(used, (row.seconds or 0.0) / (60 * self.search.minutes))
        return min(used, 1.0)

    def trial(self, trial: optuna.Trial) -> float:
        """One trial: nDCG@10 on the validation fold."""
        branch, drawn = draw(trial, self.search)
        share = PREPARED + (1 - PREPARED) * self.share()
        self.handle.stage(f"trial {trial.number}, {branch.words}", share)
        place = self.search.space.branches.index(branch)
        may_prune = USUAL not in trial.user_attrs
        with tempfile.TemporaryDirectory(prefix="trial-", dir=self.handle.folder) as folder:
            run, own = self.handle.run, Path(folder)
            handle = TrialHandle(run, own, trial, branch, place, self.check, may_prune=may_prune)
            try:
                return self.objective(handle, branch.name, drawn)
            except RunInterrupted:  # the run will go on, and begin with this trial
                self.study.enqueue_trial(trial.params, user_attrs=trial.user_attrs)
                raise


def tune(handle: RunHandle) -> None:
    """Search for better settings of a catalog's training, and say what was found.

    Parameters of the run: the fields of `Search`.

    Raises
    ------
    TrainingFault
        An unknown parameter, or too little to learn from.
    """
    search = read_search(handle.parameters)
    known = handle.run.environment
    if search.what == "encoder":
        version = start_of_training(handle, search.encoder)
    else:
        version = encoder_of_run(handle, search.encoder)
    refuse_leak(version, search.split)
    with handle.part(0.0, 0.05):
        encode(handle, version)
    snapshot = snapshot_of(handle)
    with handle.part(0.05, PREPARED):
        objective = _objective(handle, search, version, snapshot)
    study = _study(handle, search, version, snapshot)
    before = int(known.get(BEFORE) or counted(study))
    handle.record(encoder=version.digest, **{STUDY: study.study_name, BEFORE: str(before)})
    handle.log(f"Study {study.study_name}: {before} trials before this run.")
    copies = TrialCopies(handle, study)
    with _helpers(handle, search.workers - 1) as helpers:
        check = _watch(handle, copies, helpers)
        try:
            Searcher(handle, search, study, objective, before, check).work()
        except (RunCancelled, RunInterrupted):
            copies.renew()
            raise
    copies.renew()
    _say_what_was_found(handle, search)


def help_run(run: TrainingRun, say: Callable[[str], None]) -> int:
    """Make trials of a run that goes on, in this process, until its budget is used up.

    Returns
    -------
    int
        How many trials its study has counted by then.

    Raises
    ------
    TrainingFault
        It makes no trials now; says why.
    """
    facts = run.environment
    if run.kind != TrainingRun.Kind.TUNE or run.state != RunState.RUNNING:
        raise TrainingFault(
            f"Run {run.pk} is no search that goes on: begin one with manage.py tune "
            f"{run.catalog.slug}."
        )
    if BEFORE not in facts:
        raise TrainingFault("The search still prepares its trials; join it once it has begun.")
    handle = HelperHandle(run, say)
    search = read_search(run.parameters)
    version = encoder_named(facts["encoder"])
    snapshot = open_snapshot(run.snapshot_digest)
    objective = _objective(handle, search, version, snapshot)
    study = _study(handle, search, version, snapshot)
    before = int(facts[BEFORE])
    Searcher(handle, search, study, objective, before, handle.check, os.getpid()).work()
    return counted(study) - before


def _objective(
    handle: RunHandle, search: Search, version: EncoderVersion, snapshot: Snapshot
) -> Objective:
    """What a trial is worth, by a log that ends where the test begins."""
    items = ItemIndex.load(handle.catalog, version)
    whole = read_log(snapshot, items, handle.catalog)
    split = make_split(search.split, whole, handle.catalog)
    refuse_later_picks(version, split.moments)
    split = with_impressions(split, whole, read_impressions(snapshot, items))
    log, split = without_test(whole, split)
    handle.log(f"{len(log):,} interactions without the test's, {len(items):,} items, {split}")
    return objective_of(handle, search, version, items, log, split)


def _study(
    handle: RunHandle, search: Search, version: EncoderVersion, snapshot: Snapshot
) -> optuna.Study:
    """The study that all searches share whose trials can be compared with this one's."""
    facts = {
        "catalog": handle.catalog.slug,
        "what": search.what,
        "split": search.split,
        "snapshot": snapshot.digest,
        "encoder": version.digest,
        "seed": str(handle.seed),
        "limits": f"{search.epochs}, {search.rounds}, {search.steps}",
        "space": repr(search.space),
    }
    digest = sha256(repr(facts).encode()).hexdigest()
    name = f"{handle.catalog.slug} {search.what} {search.split} {digest[:16]}"
    return open_study(name, facts, usual_settings(search))


@contextmanager
def _helpers(handle: RunHandle, count: int) -> Iterator[list[subprocess.Popen[bytes]]]:
    """More processes of this run, in its process group, so that they end with it."""
    command = [sys.executable, str(settings.BASE_DIR / "manage.py"), "tune"]
    command += [handle.catalog.slug, "--join", str(handle.run.pk)]
    processes = [
        subprocess.Popen(command, cwd=settings.BASE_DIR, stdin=subprocess.DEVNULL)
        for _ in range(count)
    ]
    try:
        yield processes
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            process.wait()


def _watch(
    handle: RunHandle, copies: TrialCopies, helpers: list[subprocess.Popen[bytes]]
) -> Callable[[], None]:
    """A check that also looks, now and then, at what the study has and whether helpers live."""
    looked = 0.0

    def check() -> None:
        nonlocal looked
        handle.check()
        if time.monotonic() - looked < GLANCE:
            return
        looked = time.monotonic()
        copies.renew()
        for process in [one for one in helpers if one.poll()]:
            helpers.remove(process)
            handle.log(
                f"A process that helped ended with exit code {process.returncode}; what it printed "
                f"is in {handle.folder}. The others go on."
            )

    return check


def _say_what_was_found(handle: RunHandle, search: Search) -> None:
    better = False
    for best in best_of(handle.run.trials.all()):
        name, value = search.space.branch(best.branch).words, best.trial.value or 0.0
        if best.usual is None:
            handle.log(f"{name}: {value:.4f}, but the usual settings were not tried; they stay.")
        elif best.is_better:
            better = True
            told = in_words(best.trial.settings)
            handle.log(f"{name}: nDCG@10 {best.usual:.4f} → {value:.4f} with {told}")
        else:
            handle.log(f"{name}: nothing better than the usual settings, {best.usual:.4f}.")
    handle.log(_use(handle, search) if better else "The usual settings stay.")


def _use(handle: RunHandle, search: Search) -> str:
    """What takes the settings: something of the same split."""
    slug, run = handle.catalog.slug, handle.run.pk
    told = f"{slug} --param tuned={run}"
    if search.split == Search.split:
        command = "finetune" if search.what == "encoder" else "train"
        return f"Use it: manage.py {command} {told}"
    if search.what == "encoder":
        return f"Use it: manage.py finetune {told} --param split={search.split}"
    return (
        f"Models are trained by time; measure it: manage.py evaluate {slug} --split {search.split} "
        f"--tuned {run}"
    )
