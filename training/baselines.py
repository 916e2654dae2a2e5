"""Baselines behind one interface: fit on a log, score the whole catalog for a person."""

from typing import Protocol

import numpy as np
from scipy import sparse

from ranking.popularity import Popularity
from ranking.types import DAY, FloatArray, InteractionLog, UserContext


class Baseline(Protocol):
    """A simple model to beat."""

    name: str

    def fit(self, log: InteractionLog, item_count: int, now: float) -> None:
        """Learn from what happened before `now` (seconds since the epoch)."""

    def scores(self, context: UserContext) -> FloatArray:
        """One score an item, higher is better. (N,)"""


class PopularityBaseline:
    """The same list for everybody: what was picked most lately."""

    name = "popularity"

    def fit(self, log: InteractionLog, item_count: int, now: float) -> None:
        self.popularity = Popularity.fit(log, item_count, now).blend

    def scores(self, context: UserContext) -> FloatArray:
        return self.popularity


class PersonalPopularity(PopularityBaseline):
    """What this person picked most often, newer picks counting more; then what is popular."""

    name = "personal popularity"
    half_life_days = 90.0

    def scores(self, context: UserContext) -> FloatArray:
        fading = np.exp2(-(context.now - context.timestamps) / DAY / self.half_life_days)
        own = np.bincount(
            context.rows, fading * context.weights, minlength=len(self.popularity)
        ).astype(np.float32)
        return own + 1e-3 * self.popularity


class ItemKnn:
    """Cosine between items' columns of the person × item matrix, summed over the history.

    Σ_j x_uj · cos(i, j) over all j (no cut to k neighbours); Sarwar et al. 2001. An item counts as
    its own neighbour, which helps where people buy again and is masked where they don't.
    """

    name = "item-kNN"

    def fit(self, log: InteractionLog, item_count: int, now: float) -> None:
        known = log.keep((log.timestamps < now) & (log.weights > 0))
        _, people = np.unique(known.users, return_inverse=True)
        counts = sparse.coo_matrix(
            (known.weights, (people, known.rows)), shape=(people.max(initial=0) + 1, item_count)
        ).tocsr()
        counts.data = np.log1p(counts.data)
        length = np.sqrt(np.asarray(counts.multiply(counts).sum(axis=0)).ravel())
        self.columns = counts.dot(sparse.diags(1.0 / np.maximum(length, 1e-9))).tocsr()
        self.by_item = self.columns.T.tocsr()

    def scores(self, context: UserContext) -> FloatArray:
        positive = context.weights > 0
        own = np.log1p(
            np.bincount(
                context.rows[positive], context.weights[positive], minlength=self.columns.shape[1]
            )
        )
        return np.asarray(self.by_item @ (self.columns @ own), dtype=np.float32)


def all_baselines() -> list[Baseline]:
    """Fresh, unfitted."""
    return [PopularityBaseline(), PersonalPopularity(), ItemKnn()]
