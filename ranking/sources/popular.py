"""④ Popular: the same for everybody."""

from ranking.state import RankingState
from ranking.types import FloatArray, IntArray, UserContext


def popular(state: RankingState, context: UserContext, anchors: IntArray) -> FloatArray | None:
    """What everybody picks lately."""
    return state.popularity.blend
