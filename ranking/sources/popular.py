"""④ Popular: the same for everybody, but for those who were never here."""

from ranking.state import RankingState
from ranking.types import FloatArray, IntArray, UserContext


def popular(state: RankingState, context: UserContext, anchors: IntArray) -> FloatArray | None:
    """What everybody picks lately; for a newcomer, what such people pick on their first visit."""
    return state.popularity.blend if len(context.rows) else state.popular_with(context.traits)
