"""④ Similar: items whose text is like that of the recent ones, by the language model alone."""

import numpy as np

from ranking.state import RankingState
from ranking.types import FloatArray, IntArray, UserContext

MOST = 10  # recent items that are looked at
FADING = 3.0  # places back after which an item counts half


def similar(state: RankingState, context: UserContext, anchors: IntArray) -> FloatArray | None:
    """Cosine of each item's text to the recent items; newest weigh most, dislikes push away.

    Without any, the texts of what was picked in other catalogs stand for them. While no model has
    learned from the texts as they are, what all of them have in common is taken away.
    """
    known = anchors[state.items.has_vector[anchors]][:MOST]
    recent = state.items.vectors(known)  # (A, D) newest first
    if len(anchors) == 0 and context.elsewhere is not None:
        recent = context.elsewhere[::-1][:MOST]
    if len(recent) == 0:
        return None
    common = state.items.common if state.first_day else None
    hidden = state.items.vectors(np.unique(context.rows[context.weights < 0])[-10:])
    if common is not None:
        recent, hidden = common.without(recent), common.without(hidden)
    strengths = np.exp2(-np.arange(len(recent)) / FADING).astype(np.float32)
    wanted = strengths @ recent  # (D,)
    if len(hidden):
        wanted = wanted - 0.5 * strengths.sum() * hidden.mean(axis=0)
    wanted = wanted / (float(np.linalg.norm(wanted)) or 1.0)
    likeness = state.items.text_vectors @ wanted  # (U,)
    if common is not None:  # `wanted` has no part of it, so only the mean is left to take away
        likeness = (likeness - common.mean @ wanted) / common.lengths
    return np.asarray(likeness[state.items.text_codes], dtype=np.float32)
