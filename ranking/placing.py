"""⑨ The last word on places: the push of rules and dials, pins, and places given by chance."""

from dataclasses import dataclass, replace

import numpy as np

from ranking.rules import popularity_factors
from ranking.sources.union import empty_candidates
from ranking.state import RankingState
from ranking.types import Candidates, FloatArray, Query, UserContext

PUSH, PINS, EXPLORATION = "push", "pins", "exploration"  # what traces and Query.without call them
PINNED, EXPLORED = "pinned", "explored"  # how an item came to its place, beside the sources
POOL = 50  # candidates that a place given by chance may get


@dataclass(frozen=True)
class Placed:
    """A slate's items in order, how each came there, and how probable that was."""

    candidates: Candidates
    marks: tuple[str, ...]  # (n,) pinned, explored, or '' = by score
    propensities: FloatArray  # (n,) probability that this item stood at this place

    @classmethod
    def by_score(cls, chosen: Candidates) -> "Placed":
        """Nothing pinned, nothing by chance."""
        return cls(chosen, ("",) * len(chosen), np.ones(len(chosen), dtype=np.float32))


def push(
    state: RankingState, context: UserContext, candidates: Candidates, query: Query
) -> tuple[Candidates, dict[str, int]]:
    """Boosts, burials and the popularity dial move candidates, which are and stay best first.

    Places keep their scores, so that diversity weighs as before. Also how many each rule means. The
    dial is for what the ranker decides: not for searches, nor for shelves of certain sources.
    """
    factors, meant = state.rules.factors(candidates.rows, query.surface, context.now)
    if state.popularity_push and not query.only_sources and not query.text:
        popularity = state.popularity.blend[candidates.rows]
        factors = factors * popularity_factors(popularity, state.popularity_push)
    if (factors == 1.0).all():
        return candidates, meant
    moved = candidates.keep(np.argsort(-candidates.scores * factors, kind="stable"))
    moved.scores = candidates.scores
    return moved, meant


def pin(
    pins: dict[int, tuple[int, str]], chosen: Candidates, candidates: Candidates, size: int
) -> tuple[Placed, dict[str, int]]:
    """Put pinned rows (place → row and rule) at their places; the others move down.

    Of a list that is shorter than a pin's place, it takes the end. Also what each rule placed.
    """
    pins = {place: pinned for place, pinned in pins.items() if place < size}
    rows = np.array([row for row, _ in pins.values()], dtype=np.int64)
    own = candidates.keep(np.isin(candidates.rows, rows))
    strangers = empty_candidates(np.setdiff1d(rows, own.rows))
    strangers.scores = np.zeros(len(strangers), dtype=np.float32)
    others = chosen.keep(~np.isin(chosen.rows, rows))
    together = others.joined(own).joined(strangers)
    where = {int(row): place for place, row in enumerate(together.rows)}
    order, placed = list(range(len(others))), dict[str, int]()
    for place, (row, name) in pins.items():
        order.insert(place, where[row])
        placed[name] = 1
    order = order[:size]
    marks = tuple(PINNED if place >= len(others) else "" for place in order)
    kept = together.keep(np.array(order, dtype=np.int64))
    return replace(Placed.by_score(kept), marks=marks), placed


def explore(
    state: RankingState, placed: Placed, candidates: Candidates, generator: np.random.Generator
) -> Placed:
    """ε-greedy places: each that is not pinned goes, with probability ε, to one of a pool.

    The pool: the POOL best candidates of the less popular half that are not on the slate. A place
    keeps its item with 1 − ε; each of M in the pool stands there with ε / M. Of a pool smaller than
    the slate, only as many of the last places are given away, so that this holds exactly.
    """
    popularity = state.popularity.blend[candidates.rows]
    few = (popularity <= np.median(popularity)) & ~np.isin(candidates.rows, placed.candidates.rows)
    pool = candidates.keep(few).keep(np.arange(min(POOL, int(few.sum()))))
    free = [place for place, mark in enumerate(placed.marks) if not mark]
    free = free[max(0, len(free) - len(pool)) :]
    if not free or not len(pool):
        return placed
    share, size = state.exploration, len(placed.candidates)
    given = [place for place in free if generator.random() < share]
    drawn = generator.permutation(len(pool))[: len(given)]
    order, marks, propensities = np.arange(size), list(placed.marks), placed.propensities.copy()
    propensities[free] = 1.0 - share
    for place, one in zip(given, drawn.tolist(), strict=True):
        order[place], marks[place], propensities[place] = size + one, EXPLORED, share / len(pool)
    return Placed(placed.candidates.joined(pool).keep(order), tuple(marks), propensities)
