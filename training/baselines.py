"""⑬ Baselines behind one interface, each tuned on the validation fold as the pipeline is.

A baseline is a frozen configuration; `fit` gives a scorer. Simple models, well tuned, beat many
published ones (Ferrari Dacrema et al. 2019), so these are what has to be beaten.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from ranking.features import sessions
from ranking.popularity import decayed_counts
from ranking.state import RankingState, Recipe
from ranking.types import DAY, FloatArray, InteractionLog, UserContext
from training.recipes import FADINGS
from training.scoring import FoldRequests, Scorer, greedy_shares, scorer_of
from training.splits import Split

TABLES = {"EASE": ("ease",), "Markov-kNN": ("covisit", "markov")}  # and the sources they are of


class Baseline(Protocol):
    """A simple model to beat."""

    @property
    def name(self) -> str:
        """What reports call it."""

    def fit(self, log: InteractionLog, item_count: int, now: float) -> Scorer:
        """Learn from what happened before `now` (seconds since the epoch)."""


@dataclass(frozen=True)
class MostPopular:
    """The same list for everybody: what was picked most lately."""

    half_life_days: float
    name: str = "popularity"

    def fit(self, log: InteractionLog, item_count: int, now: float) -> Scorer:
        counts = decayed_counts(log.before(now), item_count, now, self.half_life_days)
        return lambda context: counts


@dataclass(frozen=True)
class PersonalPopularity:
    """What this person picked most often, newer picks counting more; then what is popular."""

    half_life_days: float
    name: str = "personal popularity"

    def fit(self, log: InteractionLog, item_count: int, now: float) -> Scorer:
        counts = decayed_counts(log.before(now), item_count, now, 30.0)
        popular = 1e-3 * counts / max(float(counts.max(initial=0.0)), 1e-9)

        def scores(context: UserContext) -> FloatArray:
            fading = np.exp2(-(context.now - context.timestamps) / DAY / self.half_life_days)
            own = np.bincount(context.rows, fading * context.weights, minlength=item_count)
            return (own + popular).astype(np.float32)

        return scores


@dataclass(frozen=True)
class ItemKnn:
    """Cosine between items' columns of the person × item matrix, summed over the history.

    Σ_j x_uj · cos(i, j), with a shrunk cosine; Sarwar et al. 2001. An item counts as its own
    neighbour, which helps where people buy again and is masked where they don't.
    """

    shrink: float  # people, added to the product of the lengths
    fading: float  # steps back in a history after which an item counts half
    name: str = "item-kNN"

    def fit(self, log: InteractionLog, item_count: int, now: float) -> Scorer:
        columns = people_by_items(log.before(now), item_count)
        length = np.sqrt(np.asarray(columns.multiply(columns).sum(axis=0)).ravel())
        columns = columns.dot(sparse.diags(1.0 / np.maximum(length + self.shrink, 1e-9))).tocsr()
        by_item = columns.T.tocsr()

        def scores(context: UserContext) -> FloatArray:
            return np.asarray(by_item @ (columns @ faded_history(context, item_count, self.fading)))

        return scores


@dataclass(frozen=True)
class FromTable:
    """EASE or Markov-kNN: a table of neighbours, summed over the recent items."""

    name: str
    recipe: Recipe

    def fit(self, log: InteractionLog, item_count: int, now: float) -> Scorer:
        return scorer_of(self.recipe.fit(log, item_count, now))


@dataclass(frozen=True)
class TifuKnn:
    """Own frequency, fading by session, and that of the people who are most alike.

    α·u + (1 − α)·mean of the `alike` nearest; Hu et al. 2020 (arXiv:2006.00556), with one fading
    by session in place of the paper's two by basket and by group.
    """

    session_fading: float  # what a session counts after one more
    own_share: float  # α
    alike: int = 300  # people
    name: str = "TIFU-kNN"

    def fit(self, log: InteractionLog, item_count: int, now: float) -> Scorer:
        log = log.before(now)
        borders = np.flatnonzero(np.diff(log.users)) + 1
        weights = np.zeros(len(log), dtype=np.float32)
        for person in np.split(np.arange(len(log)), borders) if len(log) else []:
            weights[person] = self._faded(log.timestamps[person], log.weights[person])
        _, people = np.unique(log.users, return_inverse=True)
        shape = (int(people.max(initial=-1)) + 1, item_count)
        vectors = sparse.csr_matrix((weights, (people, log.rows)), shape=shape)
        squares = np.asarray(vectors.multiply(vectors).sum(axis=1)).ravel()

        def scores(context: UserContext) -> FloatArray:
            faded = self._faded(context.timestamps, context.weights)
            own = np.bincount(context.rows, faded, minlength=item_count).astype(np.float32)
            distance = squares - 2.0 * (vectors @ own)  # squared, less |own|²
            count = min(self.alike, len(distance))
            nearest = np.argpartition(distance, count - 1)[:count]
            others = np.asarray(vectors[nearest].mean(axis=0), dtype=np.float32).ravel()
            return self.own_share * own + (1.0 - self.own_share) * others

        return scores

    def _faded(self, timestamps: NDArray[np.float64], weights: FloatArray) -> FloatArray:
        session = sessions(timestamps)
        ago = session.max(initial=0) - session
        return np.asarray(weights * self.session_fading**ago, dtype=np.float32)


@dataclass(frozen=True)
class Blend:
    """A weighted sum of other baselines, each scaled to a largest score of 1."""

    parts: tuple[Baseline, ...]
    shares: tuple[float, ...]  # one a part, summing to 1
    name: str = field(default="blend of baselines")

    def fit(self, log: InteractionLog, item_count: int, now: float) -> Scorer:
        return blended([part.fit(log, item_count, now) for part in self.parts], self.shares)


def blended(scorers: Sequence[Scorer], shares: Sequence[float]) -> Scorer:
    """Σ share · score / largest score."""

    def scores(context: UserContext) -> FloatArray:
        parts = [
            share * (found := scorer(context)) / max(float(found.max()), 1e-9)
            for scorer, share in zip(scorers, shares, strict=True)
        ]
        return np.asarray(np.sum(parts, axis=0), dtype=np.float32)

    return scores


def people_by_items(log: InteractionLog, item_count: int) -> sparse.csr_matrix:
    """log1p of each person's weights by item. (U, N)"""
    log = log.keep(log.weights > 0)
    _, people = np.unique(log.users, return_inverse=True)
    shape = (int(people.max(initial=-1)) + 1, item_count)
    counts = sparse.csr_matrix((log.weights, (people, log.rows)), shape=shape)
    counts.sum_duplicates()
    counts.data = np.log1p(counts.data)
    return counts


def faded_history(context: UserContext, item_count: int, fading: float) -> FloatArray:
    """Each item's weights, halved for every `fading` steps back. (N,)"""
    rows, weights = context.rows[context.weights > 0], context.weights[context.weights > 0]
    back = np.arange(len(rows))[::-1]
    strength = np.log1p(weights) * np.exp2(-back / fading)
    return np.bincount(rows, strength, minlength=item_count).astype(np.float32)


def grids(state: RankingState) -> Iterator[list[Baseline]]:
    """Of each kind of baseline, what is tried on the validation fold."""
    yield [MostPopular(days) for days in (3.0, 14.0, 90.0, 1e6)]
    if state.repeat_consumption:
        yield [PersonalPopularity(days) for days in (14.0, 30.0, 90.0, 365.0)]
        yield [TifuKnn(fading, own) for fading in (0.85, 0.93, 0.97) for own in (0.7, 0.9)]
    yield [ItemKnn(shrink, fading) for shrink in (0.0, 5.0, 20.0) for fading in FADINGS[2:]]


def tuned_baselines(
    state: RankingState, log: InteractionLog, split: Split, check: Callable[[], None], seed: int
) -> Iterator[tuple[Baseline, Scorer, float]]:
    """Each kind with what was best on validation: itself, fitted for the test, seconds of the fit.

    The last is the blend of the others whose shares were best on validation.
    """
    requests = FoldRequests(state, log, split.valid, seed)
    size = len(state.items)
    best: list[Baseline] = []
    for grid in grids(state):
        best.append(_best(requests, grid, size, check))
        yield best[-1], *_fitted(best[-1], log, split, size)
    for name, sources in TABLES.items():
        best.append(_table(name, requests, sources))
        yield best[-1], *_fitted(best[-1], log, split, size)
    blend = _best_blend(requests, best, size, check)
    yield blend, *_fitted(blend, log, split, size)


def _table(name: str, requests: FoldRequests, sources: Sequence[str]) -> FromTable:
    """The best of the pipeline's own tables, as they were tuned on the same validation fold."""
    known, size, now = requests.known, len(requests.state.items), requests.now
    recipes = [requests.state.recipes[source] for source in sources]
    tables = [recipe.fit(known, size, now) for recipe in recipes]
    quality = [requests.ndcg(scorer_of(table)) for table in tables]
    return FromTable(name, recipes[int(np.argmax(quality))])


def _fitted(
    baseline: Baseline, log: InteractionLog, split: Split, size: int
) -> tuple[Scorer, float]:
    began = time.perf_counter()
    scorer = baseline.fit(log.keep(split.test.known), size, split.test.now)
    return scorer, time.perf_counter() - began


def _best(
    requests: FoldRequests, grid: Sequence[Baseline], size: int, check: Callable[[], None]
) -> Baseline:
    quality = []
    for baseline in grid:
        check()
        quality.append(requests.ndcg(baseline.fit(requests.known, size, requests.now)))
    return grid[int(np.argmax(quality))]


def _best_blend(
    requests: FoldRequests, parts: Sequence[Baseline], size: int, check: Callable[[], None]
) -> Blend:
    """The parts with the shares that are best on validation."""
    scorers = [part.fit(requests.known, size, requests.now) for part in parts]
    answers = [requests.scores(scorer) for scorer in scorers]

    def quality(shares: NDArray[np.float64]) -> float:
        check()
        return requests.ndcg_of_sum(answers, shares)

    return Blend(tuple(parts), tuple(greedy_shares(quality, len(parts)).tolist()))
