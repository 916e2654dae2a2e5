"""⑥ Ranking: the trained ranker, led in gradually by how much is known of the person."""

import numpy as np

from ranking import features
from ranking.rankers.ensemble import by_rank
from ranking.rankers.fusion import fuse
from ranking.state import RankingState
from ranking.types import Candidates, FloatArray, Query, UserContext

LEAD_IN = "lead-in"  # what Query.without calls the gradual trust in the ranker


def score(
    state: RankingState, context: UserContext, candidates: Candidates, query: Query
) -> FloatArray:
    """One score in 0 … 1 for each candidate, higher is better. (N,)

    A shelf that asks for certain sources ("similar to this") is ordered by them. Else the ranker
    decides; where it learned little of people without histories (`state.trusted_after` is T > 0),
    it weighs n / T for somebody whose interactions weigh n < T together, and the fusion of the
    sources the rest.
    """
    fused = by_rank(fuse(candidates))
    if state.ranker is None or query.only_sources or len(candidates) == 0:
        return fused
    rows = features.rows_of(state, context, candidates)
    candidates.features = rows.features  # the personal model reads those of the head
    known = float(context.weights.clip(min=0.0).sum())
    led_in = known < state.trusted_after and LEAD_IN not in query.without
    trust = known / state.trusted_after if led_in else 1.0
    ranked = by_rank(state.ranker.score(rows))
    return (trust * ranked + (1.0 - trust) * fused).astype(np.float32)
