"""④ Category: the popular items of the categories that this person comes back to."""

import numpy as np

from ranking.state import RankingState
from ranking.types import DAY, FloatArray, IntArray, UserContext

HALF_LIFE = 60.0  # days


def category(state: RankingState, context: UserContext, anchors: IntArray) -> FloatArray | None:
    """The popular items of the categories that this person comes back to."""
    known = state.items.categories[context.rows]
    real = (known >= 0) & (context.weights > 0)
    if not real.any():
        return None
    fading = np.exp2(-(context.now - context.timestamps[real]) / DAY / HALF_LIFE)
    count = len(state.items.category_names)
    liking = np.log1p(np.bincount(known[real], fading * context.weights[real], minlength=count))
    liking = np.append(liking, 0.0)  # code −1: no category
    return (liking[state.items.categories] * np.sqrt(state.popularity.blend)).astype(np.float32)
