"""⑬ Month by month: does what a ranker learned before a month hold in it?

For each of some windows before the test, a ranker is grown on the three windows before it and
measured in it as the test measures a bundle. Features and sizes are chosen by this, not by the
test. The user tower is left out, to spare its training each time; so are early stopping and what a
training chooses for its rankers on validation (leads, which near-duplicates are dropped).
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from catalog.models import Catalog
from ranking import features
from ranking.device import one_thread
from ranking.item_index import ItemIndex
from ranking.loading import bare_state
from ranking.rankers.examples import Examples
from ranking.rankers.gbdt import GbdtRanker
from ranking.sources import union
from training.encoders import refuse_later_picks, served_encoder
from training.errors import TrainingFault
from training.evaluation import evaluate_state
from training.fit_ranker import LEAST_VISITS, ranker_config
from training.negatives import fold_examples
from training.snapshot import read_log, take_snapshot
from training.splits import Moments, split_by_time, time_split


@dataclass(frozen=True)
class Backtest:
    """How far back, and how much."""

    months: int = 3  # windows before the test, each as long as it
    people: int = 700  # at most, measured in each
    requests: int = 600  # examples' people in each quarter of a window
    rounds: int = 200  # trees
    seed: int = 1


def backtest(
    catalog: Catalog, plan: Backtest, check: Callable[[], None] = lambda: None
) -> list[dict[str, Any]]:
    """The evaluation of each window, newest first, as `evaluate_state` reports it.

    Raises
    ------
    TrainingFault
        The log does not reach back that far.
    """
    encoder = served_encoder(catalog)
    items = ItemIndex.load(catalog, encoder)
    log = read_log(take_snapshot(catalog), items, catalog)
    split = split_by_time(log, catalog)
    window = split.end - split.test_start
    if split.test_start - (plan.months + 3) * window < split.begin:
        most = int((split.test_start - split.begin) / window) - 3
        raise TrainingFault(f"The interactions reach back for {most} such months only.")
    names = features.names(union.NAMES)
    state = bare_state(items, catalog)
    config = ranker_config(state, plan.rounds)
    results = []
    with one_thread():
        for month in range(1, plan.months + 1):
            begin = split.test_start - month * window
            moments = Moments(
                split.begin, begin - 3 * window, begin - window, begin, begin + window
            )
            refuse_later_picks(encoder, moments)
            until = log.before(moments.end)
            then = time_split(until, moments, repeats=catalog.repeat_consumption)
            folds = [*then.train, *then.newest]
            parts = fold_examples(state, until, folds, plan.seed, check, plan.requests)
            examples = Examples.joined(parts)
            if len(examples.groups) < LEAST_VISITS:
                raise TrainingFault(
                    f"Before month {month} there are only {len(examples.groups)} visits to learn "
                    f"ranking from; {LEAST_VISITS} are needed. Ask for fewer months."
                )
            ranker = GbdtRanker.fit(examples, None, names, config, plan.seed, lambda *_: check())
            known = replace(state, ranker=ranker)
            results.append(evaluate_state(known, until, then, check, plan.people, plan.seed))
    return results


def mean_leads(results: list[dict[str, Any]]) -> dict[str, float]:
    """The pipeline's lead in nDCG@10 over each baseline, averaged over the months."""
    names = [model["name"] for model in results[0]["models"] if model["pipeline_lead"]]
    leads = [{model["name"]: model["pipeline_lead"] for model in one["models"]} for one in results]
    return {name: float(np.mean([lead[name]["value"] for lead in leads])) for name in names}
