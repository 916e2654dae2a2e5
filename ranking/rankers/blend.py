"""⑥ Ranking: the trained rankers, the sources and the language model, weighed by the leads."""

import numpy as np

from ranking import features
from ranking.rankers.ensemble import Ranker, by_rank
from ranking.rankers.fusion import fuse
from ranking.rankers.leads import Parts
from ranking.state import RankingState
from ranking.types import Candidates, FloatArray, Query, UserContext

LEADS = "leads"  # what Query.without calls it: without it the rankers alone decide
LANGUAGE_MODEL = "similar"  # the source whose scores are the language model's alone
POPULAR = "popular"  # the one that is the same for everybody


def score(
    state: RankingState, context: UserContext, candidates: Candidates, query: Query
) -> FloatArray:
    """One score for each candidate, higher is better; of the best about 1. (N,)

    A shelf that asks for certain sources ("similar to this") is ordered by them. Else the rankers
    decide, and beside them, as far as the leads let them, the language model, the sources and what
    is popular: more for people and items of which little is known.
    """
    if state.ranker is None or query.only_sources or len(candidates) == 0:
        return by_rank(fuse(candidates))
    parts = parts_of(state, state.ranker, context, candidates, query)
    return parts.ranked if LEADS in query.without else parts.mixed(state.leads)


def parts_of(
    state: RankingState, ranker: Ranker, context: UserContext, candidates: Candidates, query: Query
) -> Parts:
    """What the leads weigh.

    Where popularity has nothing to say, having found nothing or beside an item that the slate
    belongs to, its share is the fusion's.
    """
    rows = features.rows_of(state, context, candidates)
    candidates.features = rows.features  # the personal model reads those of the head
    found = not np.isnan(candidates.source_ranks).all()
    fused = by_rank(fuse(candidates)) if found else None
    likeness, popularity = (
        candidates.source_scores[:, candidates.source_names.index(name)]
        for name in (LANGUAGE_MODEL, POPULAR)
    )
    picked = popularity > 0  # false for NaN
    speaks = picked.any() and query.anchor_item_id is None
    return Parts(
        float(context.weights.clip(min=0.0).sum()),
        state.popularity.counts[-1, candidates.rows],
        by_rank(ranker.score(rows)),
        None if np.isnan(likeness).all() else by_rank(np.nan_to_num(likeness, nan=-1.0)),
        fused,
        by_rank(popularity) * picked if speaks else fused,
    )
