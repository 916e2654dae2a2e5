"""⑥ Ranking: the trained ranker, led in gradually by how much is known of the person."""

import numpy as np

from ranking import features
from ranking.rankers.fusion import fuse
from ranking.state import RankingState
from ranking.types import Candidates, FloatArray, Query, UserContext

LEAD_IN = "lead-in"  # what Query.without calls the gradual trust in the ranker
TRUSTED_AFTER = 5.0  # purchases' worth of history from which the ranker alone decides


def score(
    state: RankingState, context: UserContext, candidates: Candidates, query: Query
) -> FloatArray:
    """One score in 0 … 1 for each candidate, higher is better. (N,)

    A shelf that asks for certain sources ("similar to this") is ordered by them. Else the ranker
    decides; it learned from people with histories, so for somebody whose interactions weigh n
    together, less than TRUSTED_AFTER, it weighs n / TRUSTED_AFTER, and the fusion of the sources
    the rest.
    """
    fused = by_rank(fuse(candidates))
    if state.ranker is None or query.only_sources or len(candidates) == 0:
        return fused
    rows = features.rows_of(state, context, candidates)
    known = float(context.weights.clip(min=0.0).sum())
    trust = 1.0 if LEAD_IN in query.without else min(known / TRUSTED_AFTER, 1.0)
    ranked = by_rank(state.ranker.score(rows))
    return (trust * ranked + (1.0 - trust) * fused).astype(np.float32)


def by_rank(scores: FloatArray) -> FloatArray:
    """Scores replaced by their order: the best 1, half for every ten places down. (N,)"""
    ranks = np.empty(len(scores), dtype=np.float32)
    ranks[np.argsort(-scores, kind="stable")] = np.arange(len(scores))
    return np.asarray(np.exp2(-ranks / 10.0), dtype=np.float32)
