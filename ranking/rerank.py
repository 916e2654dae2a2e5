"""⑨ Diversity: maximal marginal relevance (Carbonell & Goldstein 1998) over the head."""

import numpy as np

from ranking.state import RankingState
from ranking.types import Candidates, Query, UserContext

DIVERSITY = "diversity"  # what traces and Query.without call this stage
HEAD = 80  # candidates that compete for the slate
STRANGER_DIVERSITY = 0.5  # λ for somebody we know nothing of: show a bit of everything


def diversify(
    state: RankingState, context: UserContext, candidates: Candidates, query: Query
) -> Candidates:
    """Pick one after another by (1 − λ)·score − λ·similarity to what is picked already.

    Expects candidates best first, scores in 0 … 1.
    """
    size = query.size
    known = bool((context.weights > 0).any())
    trade = state.diversity if known else max(state.diversity, STRANGER_DIVERSITY)
    if trade == 0 or len(candidates) < 3 or DIVERSITY in query.without:
        return candidates.keep(np.arange(min(size, len(candidates))))
    head = candidates.keep(np.arange(min(max(HEAD, 2 * size), len(candidates))))
    vectors = state.items.vectors(head.rows)
    likeness = vectors @ vectors.T  # (H, H)
    nearest = np.zeros(len(head), dtype=np.float32)
    open_places = np.ones(len(head), dtype=bool)
    order: list[int] = []
    for _ in range(min(size, len(head))):
        worth = np.where(open_places, (1 - trade) * head.scores - trade * nearest, -np.inf)
        place = int(worth.argmax())
        order.append(place)
        open_places[place] = False
        nearest = np.maximum(nearest, likeness[place])
    return head.keep(np.array(order, dtype=np.int64))
