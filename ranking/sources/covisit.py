"""④ Co-visitation: what people picked next to the recent items."""

import numpy as np

from ranking.state import RankingState
from ranking.types import FloatArray, IntArray, UserContext


def covisit(state: RankingState, context: UserContext, anchors: IntArray) -> FloatArray | None:
    """What others picked next to the recent items."""
    if state.covisitation is None or len(anchors) == 0:
        return None
    strengths = np.exp2(-np.arange(len(anchors)) / 10.0).astype(np.float32)
    return state.covisitation.scores_for(anchors, strengths, len(state.items))
