"""What the dials cost: nDCG@10 and coverage of the live model at several settings of each.

A small sample of the requests after the moment that the model learned up to. Those before, the
validation's among them, it has learned from in the end, and so they would praise the order in
which it ranks. Rules stay out: they are decisions, not estimates.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from catalog.dials import DIALS, Dial, dials_of, with_settings
from catalog.models import Catalog
from ranking.device import one_thread
from ranking.loading import with_dials
from ranking.pipeline import Trace, place, rank
from ranking.state import RankingState
from ranking.types import Candidates, IntArray, UserContext
from training import metrics
from training.dial_costs import COVERAGE, MARGIN, NDCG, STEPS, Cost
from training.errors import TrainingFault
from training.evaluation import TOP, live_pipeline
from training.handle import RunHandle
from training.scoring import padded, ranks_of
from training.splits import QUERY, context_of, drawn

MOST_REQUESTS = 200


_NOTHING = np.zeros((0, 0), dtype=np.float32)


@dataclass(frozen=True)
class _Sample:
    """Requests whose answers are known."""

    contexts: list[UserContext]
    picked: list[IntArray]

    def ranked(self, state: RankingState, handle: RunHandle) -> list[Candidates]:
        """④ – ⑧ of each request."""
        found = []
        for context in self.contexts:
            handle.check()
            found.append(replace(rank(state, context, QUERY, Trace()), features=_NOTHING))
        return found

    def measure(
        self, state: RankingState, ranked: Sequence[Candidates], seed: int
    ) -> tuple[NDArray[np.float64], float]:
        """⑨ of each request: its nDCG@10 (R,), and the coverage of all."""
        ranks, shown = [], np.zeros(len(state.items), dtype=bool)
        for number, (context, candidates) in enumerate(zip(self.contexts, ranked, strict=True)):
            query = replace(QUERY, size=TOP, seed=seed + number)
            rows = place(state, context, candidates, query, Trace()).candidates.rows
            scores = np.full(len(state.items), -np.inf, dtype=np.float32)
            scores[rows] = np.arange(len(rows), 0, -1)
            ranks.append(ranks_of(scores, self.picked[number]))
            shown[rows] = True
        share = shown.sum() / max(int(state.items.available.sum()), 1)
        return metrics.ndcg(padded(ranks), TOP), float(share)


def measure_dials(handle: RunHandle) -> None:
    """A run: the costs go to its curves, where training/dial_costs.py finds them, and to its log.

    Raises
    ------
    TrainingFault
        There is no live model, or nobody came after the moment that it learned up to.
    """
    catalog = handle.catalog
    if not catalog.live_bundle:
        raise TrainingFault(
            f"{catalog.name} has no live model to measure: manage.py train {catalog.slug}."
        )
    handle.stage("reading the log", 0.05)
    state, log, split = live_pipeline(catalog)
    requests = drawn(split.test.requests, MOST_REQUESTS, handle.seed)
    if not requests:
        raise TrainingFault("Nobody came after the moment that the model learned up to.")
    handle.stage("counting what was known then", 0.1)
    then = state.as_of(log.keep(split.test.known), split.test.now)
    contexts = [context_of(log, request) for request in requests]
    sample = _Sample(contexts, [request.picked for request in requests])
    handle.log(f"{len(requests)} requests of the model's test window")
    with one_thread():
        usual = sample.ranked(with_dials(then, catalog), handle)
        for number, dial in enumerate(DIALS.values()):
            handle.stage(dial.name, 0.3 + 0.7 * number / len(DIALS))
            for cost in _costs(handle, catalog, then, sample, usual, dial):
                _report(handle, dial, cost)


def _costs(
    handle: RunHandle,
    catalog: Catalog,
    then: RankingState,
    sample: _Sample,
    usual: list[Candidates],
    dial: Dial,
) -> list[Cost]:
    now = dials_of(catalog)[dial.name]
    measured = {}
    for setting in sorted({*dial.settings, now}):
        state = with_dials(then, with_settings(catalog, {}, {dial.name: setting}))
        # freshness changes who is a candidate, the others only who stands where
        ranked = sample.ranked(state, handle) if dial.name == "freshness" else usual
        measured[setting] = sample.measure(state, ranked, handle.seed)
        handle.check()
    costs = []
    for setting, (ndcg, coverage) in measured.items():
        difference = ndcg - measured[now][0]
        margin = 1.96 * float(difference.std()) / len(ndcg) ** 0.5
        costs.append(Cost(setting, float(ndcg.mean()), coverage, margin))
    return costs


def _report(handle: RunHandle, dial: Dial, cost: Cost) -> None:
    step = round(STEPS * (cost.setting - dial.low))
    for name, value in ((NDCG, cost.ndcg), (COVERAGE, cost.coverage), (MARGIN, cost.margin)):
        handle.metric(f"{dial.name}/{name}", step, value)
    handle.log(
        f"{dial.name} {cost.setting:g}: {NDCG} {cost.ndcg:.4f}, {COVERAGE} {cost.coverage:.1%}"
    )
