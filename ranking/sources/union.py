"""④ Candidate retrieval: each source scores the catalog, its best go into the union."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from ranking.features import recent_rows
from ranking.sources.popular import DAY
from ranking.state import RankingState
from ranking.types import Candidates, FloatArray, IntArray, Query, UserContext
from ranking.user_tower import user_vector

LOOK_BACK = 30  # recent items that similar and covisit start from
STAPLES_HALF_LIFE = 60.0  # days

Source = Callable[[RankingState, UserContext, IntArray], FloatArray | None]


def tower(state: RankingState, context: UserContext, anchors: IntArray) -> FloatArray | None:
    """The user tower's dot product with every item; needs a history."""
    if state.tower is None or state.tower_items is None or not (context.weights > 0).any():
        return None
    return state.tower_items @ user_vector(state.tower, state.tower_items, context)


def similar(state: RankingState, context: UserContext, anchors: IntArray) -> FloatArray | None:
    """Cosine of each item's text to the recent items; newest weigh most, dislikes push away."""
    anchors = anchors[state.items.has_vector[anchors]][:10]
    if len(anchors) == 0:
        return None
    strengths = np.exp2(-np.arange(len(anchors)) / 3.0).astype(np.float32)
    wanted = strengths @ state.items.vectors(anchors)  # (D,)
    hidden = np.unique(context.rows[context.weights < 0])[-10:]
    if len(hidden):
        wanted = wanted - 0.5 * strengths.sum() * state.items.vectors(hidden).mean(axis=0)
    length = float(np.linalg.norm(wanted)) or 1.0
    return (state.items.text_vectors @ (wanted / length))[state.items.text_codes]


def covisit(state: RankingState, context: UserContext, anchors: IntArray) -> FloatArray | None:
    """What others picked next to the recent items."""
    if state.covisitation is None or len(anchors) == 0:
        return None
    strengths = np.exp2(-np.arange(len(anchors)) / 10.0).astype(np.float32)
    return state.covisitation.scores_for(anchors, strengths, len(state.items))


def popular(state: RankingState, context: UserContext, anchors: IntArray) -> FloatArray | None:
    """What everybody picks lately."""
    return state.popularity.blend


def fresh(state: RankingState, context: UserContext, anchors: IntArray) -> FloatArray | None:
    """The newest items, where items have a time."""
    if state.item_half_life_days is None:
        return None
    age = np.maximum(context.now - state.items.published, 0) / DAY
    return np.nan_to_num(np.exp2(-age / state.item_half_life_days)).astype(np.float32)


def staples(state: RankingState, context: UserContext, anchors: IntArray) -> FloatArray | None:
    """What this person takes again and again, where people do."""
    if not state.repeat_consumption or len(context.rows) == 0:
        return None
    fading = np.exp2(-(context.now - context.timestamps) / DAY / STAPLES_HALF_LIFE)
    own = np.bincount(context.rows, fading * context.weights, minlength=len(state.items))
    return own.astype(np.float32)


def category(state: RankingState, context: UserContext, anchors: IntArray) -> FloatArray | None:
    """The popular items of the categories that this person comes back to."""
    known = state.items.categories[context.rows]
    real = (known >= 0) & (context.weights > 0)
    if not real.any():
        return None
    fading = np.exp2(-(context.now - context.timestamps[real]) / DAY / STAPLES_HALF_LIFE)
    count = len(state.items.category_names)
    liking = np.log1p(np.bincount(known[real], fading * context.weights[real], minlength=count))
    liking = np.append(liking, 0.0)  # code −1: no category
    return (liking[state.items.categories] * np.sqrt(state.popularity.blend)).astype(np.float32)


SOURCES: dict[str, tuple[Source, int]] = {  # name → (source, quota)
    "tower": (tower, 100),
    "similar": (similar, 60),
    "covisit": (covisit, 100),
    "popular": (popular, 60),
    "fresh": (fresh, 40),
    "staples": (staples, 250),
    "category": (category, 100),
}
NAMES = tuple(SOURCES)


def retrieve(
    state: RankingState, context: UserContext, query: Query, allowed: NDArray[np.bool_]
) -> Candidates:
    """The union of every source's best allowed items, with all scores and ranks."""
    anchors = recent_rows(context, LOOK_BACK)
    if query.anchor_item_id is not None:
        row = state.items.rows_of(np.array([query.anchor_item_id]))
        anchors = row[row >= 0]
    scored: list[FloatArray | None] = []
    best: list[IntArray] = []
    for name, (source, quota) in SOURCES.items():
        wanted = not query.only_sources or name in query.only_sources
        scores = source(state, context, anchors) if wanted else None
        scored.append(scores)
        if scores is None:
            best.append(np.zeros(0, dtype=np.int64))
        else:
            best.append(strongest_rows(np.where(allowed, scores, 0.0), max(quota, query.size)))
    rows = np.unique(np.concatenate(best))
    return _union(rows, scored, best)


def empty_candidates(rows: IntArray) -> Candidates:
    """Candidates that no source of these found: a search's."""
    nothing = np.full((len(rows), len(NAMES)), np.nan, dtype=np.float32)
    return Candidates(rows, nothing, nothing.copy(), NAMES)


def _union(rows: IntArray, scored: list[FloatArray | None], best: list[IntArray]) -> Candidates:
    scores = np.full((len(rows), len(NAMES)), np.nan, dtype=np.float32)
    ranks = scores.copy()
    for column, (values, found) in enumerate(zip(scored, best, strict=True)):
        if values is not None:
            scores[:, column] = values[rows]
            ranks[np.searchsorted(rows, found), column] = np.arange(len(found))
    return Candidates(rows, scores, ranks, NAMES)


def strongest_rows(scores: FloatArray, size: int) -> IntArray:
    """Rows of the largest positive scores, largest first, ties by row."""
    size = min(size, len(scores))
    if size == 0:
        return np.zeros(0, dtype=np.int64)
    rows = np.argpartition(-scores, size - 1)[:size]
    rows = rows[np.lexsort((rows, -scores[rows]))]
    return rows[scores[rows] > 0]
