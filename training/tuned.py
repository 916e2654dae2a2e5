"""What searches for better settings have found, and what a training makes of it."""

import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, TypeVar

from django.db.models import Q

from catalog.models import Catalog
from training.errors import TrainingFault
from training.handle import RunHandle
from training.models import RunState, TrainingRun, TuningTrial
from training.search_space import BRANCHES, SPACES, Search

LATEST = "latest"  # the last search that succeeded
Config = TypeVar("Config")
Settings = dict[str, Any]


@dataclass(frozen=True)
class Best:
    """What a search found in one branch."""

    branch: str
    usual: float | None  # nDCG@10 on validation of the best of the usual settings
    trial: TuningTrial  # the best of all

    @property
    def words(self) -> str:
        """The branch in English words; its name where there is none of that name any more."""
        return BRANCHES[self.branch].words if self.branch in BRANCHES else self.branch

    @property
    def is_better(self) -> bool:
        """Whether it is better than the usual settings; where those were not tried, no."""
        value = self.trial.value
        return self.usual is not None and value is not None and value > self.usual

    @property
    def gain(self) -> float | None:
        """By how much; None where the usual settings were not tried to the end."""
        if self.usual is None or self.trial.value is None:
            return None
        return self.trial.value - self.usual


def best_of(trials: Iterable[TuningTrial]) -> list[Best]:
    """The best trial of each branch, beside the usual settings."""
    done: dict[str, list[TuningTrial]] = {}
    for trial in trials:
        if trial.state == TuningTrial.State.COMPLETE and trial.value is not None:
            done.setdefault(trial.branch, []).append(trial)
    return [
        Best(
            branch,
            max((_value(trial) for trial in tried if trial.is_usual), default=None),
            max(tried, key=_value),
        )
        for branch, tried in sorted(done.items())
    ]


def _value(trial: TuningTrial) -> float:
    return trial.value if trial.value is not None else float("-inf")


def in_words(settings: Mapping[str, Any]) -> str:
    """Settings for people to read, numbers to three digits."""
    return ", ".join(
        f"{name.replace('_', ' ')} {format(value, '.3g') if isinstance(value, float) else value}"
        for name, value in settings.items()
    )


def searches(catalog: Catalog, wanted: str, split: str, *what: str) -> list[TrainingRun]:
    """The searches that are meant: LATEST of each of these spaces, or a run's id.

    Only of the same split: one of another has chosen by picks that this one's test asks for.

    Raises
    ------
    TrainingFault
        There is none; says how to make one.
    """
    runs = TrainingRun.objects.filter(catalog=catalog, kind=TrainingRun.Kind.TUNE)
    same = Q(parameters__split=split)
    if split == Search.split:
        same |= Q(parameters__split__isnull=True)
    spaces = {name: [branch.name for branch in SPACES[name].branches] for name in what}
    if wanted == LATEST:
        done = runs.filter(same, state=RunState.SUCCEEDED).order_by("-ended_at", "-created_at")
        newest = [done.filter(trials__branch__in=names).first() for names in spaces.values()]
        found = [run for run in newest if run is not None]
    else:
        names = [name for known in spaces.values() for name in known]
        pk = _as_uuid(wanted)
        found = list(runs.filter(pk=pk, trials__branch__in=names).distinct()) if pk else []
        for run in found:
            _refuse_other_split(run, split)
    if not found:
        raise TrainingFault(
            f"{catalog.slug} has no search {wanted!r} for settings of {' or '.join(what)} on the "
            f"split {split}; begin one with manage.py tune {catalog.slug} --param what={what[0]} "
            f"--param split={split}, or train without tuned."
        )
    return found


def _refuse_other_split(run: TrainingRun, split: str) -> None:
    known = run.parameters.get("split", Search.split)
    if known != split:
        raise TrainingFault(
            f"The search {run.pk} chose by the split {known}, so by picks that the test of the "
            f"split {split} may ask for. Search with manage.py tune {run.catalog.slug} --param "
            f"split={split}."
        )


def _as_uuid(text: str) -> uuid.UUID | None:
    try:
        return uuid.UUID(text)
    except ValueError:
        return None


def better_settings(runs: Iterable[TrainingRun]) -> dict[str, Settings]:
    """By branch, what these searches found to be better than the usual settings."""
    return {
        best.branch: best.trial.settings
        for run in runs
        for best in best_of(run.trials.all())
        if best.is_better
    }


def found_by(handle: RunHandle, wanted: str, split: str, *what: str) -> list[TrainingRun]:
    """The searches that a run asks for (see `searches`): those it began with if it is resumed."""
    known = handle.run.environment.get("tuned", "")
    names = known.split(", ") if known else [wanted]
    runs = [run for name in names for run in searches(handle.catalog, name, split, *what)]
    handle.record(tuned=", ".join(str(run.pk) for run in runs))
    return runs


def changed(usual: Config, settings: Mapping[str, Any]) -> Config:
    """A configuration with those of the settings that are fields of it."""
    own = {one.name for one in fields(usual)}  # type: ignore[arg-type]
    return replace(  # type: ignore[type-var]
        usual, **{name: value for name, value in settings.items() if name in own}
    )
