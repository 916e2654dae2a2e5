"""Co-visitation: what people picked soon after, or together with, the items of this history."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from ranking.types import DAY, FloatArray, IntArray, InteractionLog


@dataclass(frozen=True)
class CoVisitationConfig:
    """How pairs are counted."""

    window: int = 12  # steps forward in one person's sequence
    reverse: float = 0.4  # weight of a pair read backwards
    half_life_days: float = 180.0  # a pair counts half after this long
    damping: float = 0.4  # divide by popularity of the neighbour to this power
    neighbours: int = 64  # kept for each item


@dataclass(frozen=True)
class CoVisitation:
    """The strongest neighbours of each item, strongest first; −1 and 0 fill short rows."""

    neighbours: NDArray[np.int32]  # (N, K) item-index rows
    weights: FloatArray  # (N, K)

    @classmethod
    def fit(
        cls,
        log: InteractionLog,
        item_count: int,
        now: float,
        config: CoVisitationConfig = CoVisitationConfig(),
    ) -> "CoVisitation":
        """Count pairs at 1 … window steps, weighted 1/step and by age, damped by popularity."""
        log = log.keep((log.timestamps < now) & (log.weights > 0))
        fading = log.weights * np.exp2(-(now - log.timestamps) / DAY / config.half_life_days)
        pairs = sparse.csr_matrix((item_count, item_count), dtype=np.float32)
        for step in range(1, min(config.window, max(len(log) - 1, 0)) + 1):
            same = log.users[step:] == log.users[:-step]
            first, second = log.rows[:-step][same], log.rows[step:][same]
            weight = (fading[step:][same] / step).astype(np.float32)
            forward = sparse.coo_matrix((weight, (first, second)), shape=pairs.shape)
            pairs = pairs + forward.tocsr()
        pairs = (pairs + config.reverse * pairs.T).tocsr()
        pairs.setdiag(0)
        pairs.eliminate_zeros()
        popularity = np.bincount(log.rows, fading, minlength=item_count)
        pairs.data /= np.power(popularity[pairs.indices] + 1.0, config.damping)
        totals = np.bincount(log.rows, fading, minlength=item_count) + 1.0
        pairs = sparse.diags(1.0 / totals).dot(pairs).tocsr()
        return cls(*strongest(pairs, config.neighbours))

    def scores_for(self, rows: IntArray, strengths: FloatArray, item_count: int) -> FloatArray:
        """Sum of neighbour weights over these history rows, each times its strength. (N,)"""
        found = self.neighbours[rows].ravel()
        weight = (self.weights[rows] * strengths[:, None]).ravel()
        real = found >= 0
        return np.bincount(found[real], weight[real], minlength=item_count).astype(np.float32)


def strongest(matrix: sparse.csr_matrix, keep: int) -> tuple[NDArray[np.int32], FloatArray]:
    """The `keep` largest entries of each row, largest first, as dense (N, keep) arrays."""
    count = matrix.shape[0]
    row_of = np.repeat(np.arange(count), np.diff(matrix.indptr))
    order = np.lexsort((-matrix.data, row_of))
    rank = np.arange(len(order)) - matrix.indptr[row_of[order]]
    chosen = order[rank < keep]
    columns = np.full((count, keep), -1, dtype=np.int32)
    values = np.zeros((count, keep), dtype=np.float32)
    place = (row_of[chosen], rank[rank < keep])
    columns[place] = matrix.indices[chosen]
    values[place] = matrix.data[chosen]
    return columns, values
