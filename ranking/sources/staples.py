"""④ Staples: what this person takes again and again, where people do."""

import numpy as np

from ranking.state import RankingState
from ranking.types import DAY, FloatArray, IntArray, UserContext

HALF_LIFE = 60.0  # days


def staples(state: RankingState, context: UserContext, anchors: IntArray) -> FloatArray | None:
    """What this person takes again and again, where people do."""
    if not state.repeat_consumption or len(context.rows) == 0:
        return None
    fading = np.exp2(-(context.now - context.timestamps) / DAY / HALF_LIFE)
    own = np.bincount(context.rows, fading * context.weights, minlength=len(state.items))
    return own.astype(np.float32)
