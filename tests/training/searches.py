"""Searches for better settings that are over, made up."""

from typing import Any

from django.utils import timezone

from catalog.models import Catalog
from training.models import TrainingRun, TuningTrial


def a_search(
    catalog: Catalog,
    *trials: tuple[str, dict[str, Any], float, bool],
    state: str = "succeeded",
    split: str = "",
) -> TrainingRun:
    """A search with (branch, settings, value, usual) of its trials, all of them complete."""
    run = TrainingRun.objects.create(
        catalog=catalog,
        kind=TrainingRun.Kind.TUNE,
        state=state,
        ended_at=timezone.now(),
        parameters={"split": split} if split else {},
    )
    for number, (branch, settings, value, usual) in enumerate(trials):
        TuningTrial.objects.create(
            run=run,
            number=number,
            state="complete",
            branch=branch,
            settings=settings,
            value=value,
            seconds=3.0,
            is_usual=usual,
        )
    return run
