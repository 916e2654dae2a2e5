"""④ Sources that sum a table of neighbours over the recent items: covisit, markov, ease."""

from ranking.state import RankingState
from ranking.types import FloatArray, IntArray, UserContext


def _summed(name: str, state: RankingState, anchors: IntArray) -> FloatArray | None:
    table = state.neighbours.get(name)
    return None if table is None or len(anchors) == 0 else table.scores_for(anchors)


def covisit(state: RankingState, context: UserContext, anchors: IntArray) -> FloatArray | None:
    """What others picked next to the recent items, before or after."""
    return _summed("covisit", state, anchors)


def markov(state: RankingState, context: UserContext, anchors: IntArray) -> FloatArray | None:
    """What others picked after the recent items."""
    return _summed("markov", state, anchors)


def ease(state: RankingState, context: UserContext, anchors: IntArray) -> FloatArray | None:
    """What a linear model expects of somebody with these recent items."""
    return _summed("ease", state, anchors)
