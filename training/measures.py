"""Evaluations of one question each, whose rows are kept: the command and the dashboard's run."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from training import by_encoder, by_history, cold_start, transfer
from training.errors import TrainingFault
from training.evaluation import evaluate_catalog
from training.fit import Limits
from training.handle import RunHandle
from training.leases import fenced
from training.models import Evaluation
from training.report import table

Rows = list[dict[str, Any]]


@dataclass(frozen=True)
class Measure:
    """What answers a question, and how a row of the answer is said."""

    rows: Callable[..., Rows]
    told: Callable[[dict[str, Any]], str]


MEASURES: dict[str, Measure] = {
    Evaluation.Kind.BY_ENCODER: Measure(by_encoder.by_encoder, by_encoder.told),
    Evaluation.Kind.BY_HISTORY: Measure(by_history.by_history, by_history.told),
    Evaluation.Kind.COLD_START: Measure(cold_start.cold_start, cold_start.told),
    Evaluation.Kind.TRANSFER: Measure(transfer.transfer, transfer.told),
}


def measure(
    handle: RunHandle,
    kind: str,
    split: str = "time",
    *,
    encoder: str = "",
    limits: Limits | None = None,
    most_people: int | None = None,
) -> Evaluation:
    """Measure, say the rows, and keep them.

    Raises
    ------
    TrainingFault
        There is no such kind, or too little to measure on.
    """
    if kind not in MEASURES:
        raise TrainingFault(f"There is no evaluation {kind!r}; say {', '.join(MEASURES)}.")
    found = MEASURES[kind]
    rows = found.rows(handle, split, limits, encoder, most_people)
    with fenced(handle.lease) as run:
        return Evaluation.objects.create(
            catalog=handle.catalog,
            run=run,
            bundle=run.environment.get("bundle", ""),
            kind=kind,
            split=split,
            rows=rows,
        )


def evaluate_run(handle: RunHandle) -> None:
    """A run of kind evaluate: the figures go to its log; `what` asks for one of MEASURES.

    Other parameters of the run: `split`, `encoder`, `people` and, without `what`, `fresh`, as
    `evaluate_catalog` takes them.

    Raises
    ------
    TrainingFault
        Another parameter: what was measured then, only a command measures.
    """
    wanted = handle.parameters
    if unknown := sorted(set(wanted) - {"what", "split", "fresh", "encoder", "people"}):
        raise TrainingFault(
            f"An evaluation has no parameter {', '.join(unknown)}; what it was, manage.py evaluate "
            "measures again."
        )
    handle.stage("evaluating", 0.1)
    split, encoder = str(wanted.get("split", "time")), str(wanted.get("encoder", ""))
    people = wanted.get("people")
    if what := str(wanted.get("what", "")):
        evaluation = measure(handle, what, split, encoder=encoder, most_people=people)
        lines = [MEASURES[what].told(row) for row in evaluation.rows]
    else:
        fresh = bool(wanted.get("fresh", False))
        lines = table(
            evaluate_catalog(handle, split, fresh=fresh, most_people=people, encoder=encoder)
        )
    for line in lines:
        handle.log(line)
