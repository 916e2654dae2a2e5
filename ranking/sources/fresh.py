"""④ Fresh: the newest items, where items age."""

import numpy as np

from ranking.state import RankingState
from ranking.types import DAY, FloatArray, IntArray, UserContext


def fresh(state: RankingState, context: UserContext, anchors: IntArray) -> FloatArray | None:
    """The newest items, where items have a time."""
    if state.item_half_life_days is None:
        return None
    age = np.maximum(context.now - state.items.published, 0) / DAY
    return np.nan_to_num(np.exp2(-age / state.item_half_life_days)).astype(np.float32)
