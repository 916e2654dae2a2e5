"""④ Popular: the same for everybody, but for those who were never here."""

import numpy as np

from ranking.state import RankingState
from ranking.types import FloatArray, IntArray, UserContext


def popular(state: RankingState, context: UserContext, anchors: IntArray) -> FloatArray | None:
    """What everybody picks lately; for a newcomer, what such people pick on their first visit."""
    if len(context.rows):
        return state.popularity.blend
    return of_newcomer(state, context.traits, np.arange(len(state.items)))


def of_newcomer(state: RankingState, traits: IntArray, rows: IntArray) -> FloatArray:
    """How popular these items are with newcomers who have these traits. (T,), (R,) → (R,)"""
    return state.popularity.for_newcomers[rows] * np.exp(state.affinity.lift(traits, rows))
