"""④ The user tower: items whose vectors fit the history, read as one sequence."""

from ranking.state import RankingState
from ranking.types import FloatArray, IntArray, UserContext
from ranking.user_tower import user_vector


def tower(state: RankingState, context: UserContext, anchors: IntArray) -> FloatArray | None:
    """The user tower's dot product with every item; needs a history."""
    if state.tower is None or state.tower_items is None or not (context.weights > 0).any():
        return None
    return state.tower_items @ user_vector(state.tower, state.tower_items, context)
