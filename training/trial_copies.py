"""The trials of a study, copied to their run: rows for pages and trainings, log lines, curves."""

import optuna
from optuna.trial import FrozenTrial, TrialState

from training.handle import RunHandle
from training.leases import fenced
from training.models import TuningTrial
from training.study import FORK, USUAL, settings_of
from training.tuned import in_words

State = TuningTrial.State
Seen = tuple[str, float | None, int]  # state, value, how many settings are drawn


class TrialCopies:
    """What the run has of its study, whichever process made it."""

    def __init__(self, handle: RunHandle, study: optuna.Study) -> None:
        self.handle, self.study = handle, study
        self._seen = {row.number: _seen(row) for row in handle.run.trials.all()}

    def renew(self) -> None:
        """Write what has changed."""
        rows = [self._row(trial) for trial in self.study.get_trials(deepcopy=False)]
        changed = [row for row in rows if self._seen.get(row.number) != _seen(row)]
        if not changed:
            return
        with fenced(self.handle.lease):
            TuningTrial.objects.bulk_create(
                changed,
                update_conflicts=True,
                unique_fields=["run", "number"],
                update_fields=["state", "branch", "settings", "value", "seconds", "is_usual"],
            )
        for row in changed:
            self._seen[row.number] = _seen(row)
            self._tell(row)
        self._draw(rows)

    def _row(self, trial: FrozenTrial) -> TuningTrial:
        over = trial.state in {TrialState.COMPLETE, TrialState.PRUNED}
        return TuningTrial(
            run=self.handle.run,
            number=trial.number,
            state=State(trial.state.name.lower()),
            branch=str(trial.params.get(FORK, "")),
            settings=settings_of(trial),
            value=trial.value if over else None,
            seconds=trial.duration.total_seconds() if over and trial.duration else None,
            is_usual=USUAL in trial.user_attrs,
        )

    def _tell(self, row: TuningTrial) -> None:
        if row.state not in {State.COMPLETE, State.PRUNED, State.FAIL}:
            return
        words = {
            State.COMPLETE: f"nDCG@10 {row.value or 0.0:.4f}",
            State.PRUNED: f"pruned at {row.value or 0.0:.4f}",
            State.FAIL: "came to no end",
        }
        usual = ", usual settings" if row.is_usual else ""
        took = f" in {row.seconds:.0f} s" if row.seconds is not None else ""
        self.handle.log(
            f"Trial {row.number}, {row.branch}{usual}: {words[State(row.state)]}{took} "
            f"({in_words(row.settings)})"
        )

    def _draw(self, rows: list[TuningTrial]) -> None:
        """Of each branch the value of each trial, and the best so far."""
        best: dict[str, float] = {}
        for row in sorted(rows, key=lambda one: one.number):
            if row.state == State.COMPLETE and row.value is not None:
                best[row.branch] = max(best.get(row.branch, row.value), row.value)
                self.handle.metric(f"{row.branch}/trial_ndcg@10", row.number, row.value)
                self.handle.metric(f"{row.branch}/best_ndcg@10", row.number, best[row.branch])


def _seen(row: TuningTrial) -> Seen:
    return row.state, row.value, len(row.settings)
