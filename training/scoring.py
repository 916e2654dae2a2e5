"""Scorers asked what people picked next: nDCG@10 of one, of a sum, of a slate; shares of a sum."""

from collections.abc import Callable, Iterable, Sequence
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ranking.features import recent_rows
from ranking.filters import allowed_items
from ranking.neighbours import Neighbours
from ranking.pipeline import Trace, rank
from ranking.rerank import diversify
from ranking.sources.similar import similar
from ranking.sources.tower import tower
from ranking.sources.union import LOOK_BACK
from ranking.state import RankingState
from ranking.types import FloatArray, IntArray, InteractionLog, Query, UserContext
from training import metrics
from training.splits import QUERY, Fold, PastRequest, context_of, drawn

REQUESTS = 1_000  # of the validation fold
MOST_SCORES = 50_000_000  # items × requests, so that what `scores` gives fits into memory
MOST_INTERACTIONS = 300_000  # that something is tried on; what is chosen is fitted on all
MISSED = 10**6  # the place of what was picked and is no candidate
Scorer = Callable[[UserContext], FloatArray]  # one score an item, higher is better. (N,)
HalfArray = NDArray[np.float16]


def some_people(log: InteractionLog, seed: int) -> InteractionLog:
    """Everything that some people did, MOST_INTERACTIONS or a little more; all for a small log."""
    people, counts = np.unique(log.users, return_counts=True)
    order = np.random.default_rng(seed).permutation(len(people))
    enough = int(np.searchsorted(np.cumsum(counts[order]), MOST_INTERACTIONS)) + 1
    return log if enough >= len(people) else log.keep(np.isin(log.users, people[order[:enough]]))


def scorer_of(table: Neighbours) -> Scorer:
    """A table of neighbours by itself, summed over the recent items."""
    return lambda context: table.scores_for(recent_rows(context, LOOK_BACK))


def text_scorer(state: RankingState) -> Scorer:
    """The texts of the recent items by themselves; nothing for people without a history."""
    nothing = np.zeros(len(state.items), dtype=np.float32)

    def scores(context: UserContext) -> FloatArray:
        found = similar(state, context, recent_rows(context, LOOK_BACK))
        return nothing if found is None else found

    return scores


def checked(check: Callable[[], None], scorer: Scorer) -> Scorer:
    """The same, but looking before each request whether the run has to stop."""

    def scores(context: UserContext) -> FloatArray:
        check()
        return scorer(context)

    return scores


def tower_scorer(state: RankingState) -> Scorer:
    """The user tower alone; popularity for people without a history."""
    nobody = np.zeros(0, dtype=np.int64)

    def scores(context: UserContext) -> FloatArray:
        found = tower(state, context, nobody)
        return state.popularity.blend if found is None else found

    return scores


class Requests:
    """Requests whose answers are known, to be asked of one model after another."""

    def __init__(
        self, state: RankingState, contexts: list[UserContext], picked: list[IntArray]
    ) -> None:
        self.state, self.contexts, self.picked = state, contexts, picked

    @cached_property
    def people(self) -> IntArray:
        """Who asked; a number of their own for each who is not known. (R,)"""
        users = [context.user_id for context in self.contexts]
        known = [-1 - place if user is None else user for place, user in enumerate(users)]
        return np.array(known, dtype=np.int64)

    def ndcg(self, scorer: Scorer) -> float:
        """Mean nDCG@10 of ranking everything by this scorer."""
        return self._mean(self.each(scorer))

    def each(self, scorer: Scorer) -> NDArray[np.float64]:
        """The nDCG@10 of each request. (R,)"""
        return self._ndcg(scorer(context) for context in self.contexts)

    @staticmethod
    def _mean(ndcg: NDArray[np.float64]) -> float:
        return float(ndcg.mean()) if len(ndcg) else 0.0

    def ranks(self, scorer: Scorer) -> IntArray:
        """The 0-based places of what each request picked; −1 fills. (R, T)"""
        return self._ranks(scorer(context) for context in self.contexts)

    def _ndcg(self, answers: Iterable[FloatArray]) -> NDArray[np.float64]:
        return metrics.ndcg(self._ranks(answers), 10)

    def _ranks(self, answers: Iterable[FloatArray]) -> IntArray:
        asked = zip(answers, self.contexts, self.picked, strict=True)
        return padded(
            [
                ranks_of(
                    np.where(allowed_items(self.state, context, QUERY)[0], scores, -np.inf), picked
                )
                for scores, context, picked in asked
            ]
        )


class FoldRequests(Requests):
    """Requests of a fold, and what was known before them."""

    def __init__(self, state: RankingState, log: InteractionLog, fold: Fold, seed: int) -> None:
        most = min(REQUESTS, MOST_SCORES // max(len(state.items), 1))
        requests = drawn(fold.requests, most, seed)
        contexts = [context_of(log, request) for request in requests]
        super().__init__(state, contexts, [request.picked for request in requests])
        self.known, self.now = some_people(log.keep(fold.known), seed), fold.now

    def scores(self, scorer: Scorer) -> list[HalfArray]:
        """Its scores of everything for every request, each scaled to a largest of 1. R × (N,)"""
        answers = []
        for context in self.contexts:
            found = scorer(context)
            answers.append((found / max(float(found.max()), 1e-9)).astype(np.float16))
        return answers

    def ndcg_of_sum(self, answers: Sequence[list[HalfArray]], shares: NDArray[np.float64]) -> float:
        """Mean nDCG@10 of a weighted sum of what `scores` gave for several scorers."""
        used = np.flatnonzero(shares).tolist()
        sums = (
            np.sum(
                [shares[part] * answers[part][place].astype(np.float32) for part in used], axis=0
            )
            for place in range(len(self.contexts))
        )
        return self._mean(self._ndcg(sums))


def slate_ndcg(
    state: RankingState,
    log: InteractionLog,
    requests: Sequence[PastRequest],
    query: Query,
    check: Callable[[], None],
) -> NDArray[np.float64]:
    """nDCG@10 of each request's slate. (R,)"""
    ranks = []
    for request in requests:
        check()
        context = context_of(log, request)
        ranked = rank(state, context, query, Trace())
        slate = diversify(state, context, ranked, query)
        scores = np.full(len(state.items), -np.inf, dtype=np.float32)
        scores[slate.rows] = np.arange(len(slate), 0, -1)
        ranks.append(ranks_of(scores, request.picked))
    return metrics.ndcg(padded(ranks), 10)


def greedy_shares(
    quality: Callable[[NDArray[np.float64]], float], count: int, most: int = 12
) -> NDArray[np.float64]:
    """Shares of a sum of `count` parts: one unit more of whichever part helps most, while it helps.

    (count,), summing to 1; Caruana et al. 2004, "Ensemble Selection from Libraries of Models".
    """
    units, best = np.zeros(count), -1.0
    for _ in range(most):
        tried = [quality((units + unit) / (units.sum() + 1)) for unit in np.eye(count)]
        if max(tried) <= best:
            break
        best = max(tried)
        units[int(np.argmax(tried))] += 1
    return np.asarray(units / units.sum())


def ranks_of(scores: FloatArray, picked: IntArray) -> IntArray:
    """0-based place of each picked item by score; distinct.

    Of L items with the same score, one that was picked takes the middle place, (L − 1) // 2 from
    their first; several of them are spread evenly.
    """
    own = scores[picked]
    order = np.lexsort((picked, -own))
    value, start, many = np.unique(-own[order], return_index=True, return_counts=True)
    above = (scores[None, :] > -value[:, None]).sum(axis=1)
    level = (scores[None, :] == -value[:, None]).sum(axis=1)
    group = np.repeat(np.arange(len(value)), many)
    within = np.arange(len(picked)) - start[group]
    places = np.empty(len(picked), dtype=np.int64)
    places[order] = above[group] + ((2 * within + 1) * level[group] - 1) // (2 * many[group])
    return places


def padded(rows: list[IntArray]) -> IntArray:
    """Rows of different lengths as one array, short ones filled with −1. (R, T)"""
    longest = max(map(len, rows), default=0)
    table = np.full((len(rows), longest), -1, dtype=np.int64)
    for place, row in enumerate(rows):
        table[place, : len(row)] = row
    return table
