"""④ Candidate retrieval: each source scores the catalog, its best go into the union."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from ranking.features import recent_rows
from ranking.sources.category import category
from ranking.sources.fresh import fresh
from ranking.sources.neighbours import covisit, ease, markov
from ranking.sources.popular import popular
from ranking.sources.similar import similar
from ranking.sources.staples import staples
from ranking.sources.tower import tower
from ranking.state import RankingState
from ranking.types import Candidates, FloatArray, IntArray, Query, UserContext

LOOK_BACK = 50  # recent items that similar and the tables of neighbours start from

# (state, context, anchors: rows of recent items, newest first) → one score an item (N,), those
# above 0 are found; None if this source has nothing to go by
Source = Callable[[RankingState, UserContext, IntArray], FloatArray | None]

SOURCES: dict[str, tuple[Source, int]] = {  # name → (source, quota)
    "tower": (tower, 100),
    "similar": (similar, 60),
    "covisit": (covisit, 100),
    "markov": (markov, 100),
    "ease": (ease, 100),
    "popular": (popular, 60),
    "fresh": (fresh, 40),
    "staples": (staples, 250),
    "category": (category, 100),
}
NAMES = tuple(SOURCES)
FRESH = NAMES.index("fresh")


def retrieve(
    state: RankingState, context: UserContext, query: Query, allowed: NDArray[np.bool_]
) -> Candidates:
    """The union of every source's best allowed items, with all scores and ranks.

    Where they find fewer than are asked for, the newest of the others fill up, as `fresh`: a
    catalog that nobody has visited yet has something to show.
    """
    anchors = recent_rows(context, LOOK_BACK)
    if query.anchor_item_id is not None:
        row = state.items.rows_of(np.array([query.anchor_item_id]))
        anchors = row[row >= 0]
    scored: list[FloatArray | None] = []
    best: list[IntArray] = []
    for name, (source, quota) in SOURCES.items():
        wanted = not query.only_sources or name in query.only_sources
        wanted &= name not in query.without
        scores = source(state, context, anchors) if wanted else None
        scored.append(scores)
        if scores is None:
            best.append(np.zeros(0, dtype=np.int64))
        else:
            best.append(strongest_rows(np.where(allowed, scores, 0.0), max(quota, query.size)))
    rows = np.unique(np.concatenate(best))
    if len(rows) < query.size and not query.only_sources:
        others = _newest(state, np.setdiff1d(np.flatnonzero(allowed), rows))
        others = others[: query.size - len(rows)]
        best[FRESH] = np.concatenate([best[FRESH], others])
        if scored[FRESH] is None:
            scored[FRESH] = np.zeros(len(state.items), dtype=np.float32)
        rows = np.union1d(rows, others)
    return _union(rows, scored, best)


def _newest(state: RankingState, rows: IntArray) -> IntArray:
    """These rows by the moment of publication, the newest first, then those without one."""
    published = np.nan_to_num(state.items.published[rows], nan=-np.inf)
    return rows[np.lexsort((-rows, -published))]


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
    rows = np.flatnonzero(scores > 0)  # most sources score few items
    if len(rows) > size:
        rows = rows[np.argpartition(-scores[rows], size)[:size]]
    return rows[np.lexsort((rows, -scores[rows]))]
