"""④ Similar: items whose text is like that of the recent ones, by the language model alone."""

import numpy as np

from ranking.state import RankingState
from ranking.types import FloatArray, IntArray, UserContext

MOST = 10  # recent items that are looked at
FADING = 3.0  # places back after which an item counts half


def similar(state: RankingState, context: UserContext, anchors: IntArray) -> FloatArray | None:
    """Cosine of each item's text to the recent items; newest weigh most, dislikes push away."""
    anchors = anchors[state.items.has_vector[anchors]][:MOST]
    if len(anchors) == 0:
        return None
    strengths = np.exp2(-np.arange(len(anchors)) / FADING).astype(np.float32)
    wanted = strengths @ state.items.vectors(anchors)  # (D,)
    hidden = np.unique(context.rows[context.weights < 0])[-10:]
    if len(hidden):
        wanted = wanted - 0.5 * strengths.sum() * state.items.vectors(hidden).mean(axis=0)
    length = float(np.linalg.norm(wanted)) or 1.0
    return (state.items.text_vectors @ (wanted / length))[state.items.text_codes]
