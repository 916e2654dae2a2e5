"""EASE: the linear model that best tells each person's items from their others.

Steck 2019, "Embarrassingly Shallow Autoencoders for Sparse Data", arXiv:1905.03375.
"""

from dataclasses import dataclass

import numpy as np
from scipy import sparse
from scipy.linalg import lapack

from ranking.errors import RankingFault
from ranking.neighbours import Neighbours
from ranking.types import FloatArray, IntArray, InteractionLog


@dataclass(frozen=True)
class Ease:
    """How the weights are found, and what of them is kept."""

    reg: float = 200.0  # λ, L2 on the weights
    most_items: int = 5_000  # the items picked by most people; the cost grows with their cube
    fading: float = 4.0  # steps back in a history after which an item counts half
    neighbours: int = 200  # kept for each item, the largest; 0 and below are left out

    def fit(self, log: InteractionLog, item_count: int, now: float) -> Neighbours:
        """B = −P / diag(P) with zeros on the diagonal, P = (XᵀX + λI)⁻¹; X people × items, 0 or 1.

        Transposed, so that a row holds what an item says of the others.
        """
        log = log.keep((log.timestamps < now) & (log.weights > 0))
        kept, people = chosen_items(log, item_count, self.most_items)
        if len(kept) < 2:
            return Neighbours.none(item_count)
        weights = inverse_weights(people, self.reg)
        return _as_neighbours(weights, kept, item_count, self)


def chosen_items(
    log: InteractionLog, item_count: int, most: int
) -> tuple[IntArray, sparse.csr_matrix]:
    """The items picked by at least two people, at most so many, and who picked them. (U, M)"""
    pairs = np.unique(log.users * item_count + log.rows)
    _, people = np.unique(pairs // item_count, return_inverse=True)
    rows = pairs % item_count
    takers = np.bincount(rows, minlength=item_count)
    kept = np.sort(np.argsort(-takers, kind="stable")[:most])
    kept = kept[takers[kept] > 1]
    place = np.full(item_count, -1)
    place[kept] = np.arange(len(kept))
    here = place[rows] >= 0
    shape = (int(people.max(initial=-1)) + 1, len(kept))
    ones = np.ones(int(here.sum()), dtype=np.float32)
    return kept, sparse.csr_matrix((ones, (people[here], place[rows[here]])), shape=shape)


def inverse_weights(people: sparse.csr_matrix, reg: float) -> FloatArray:
    """B of EASE for people × items. (U, M) → (M, M)"""
    gram = np.asfortranarray((people.T @ people).toarray(), dtype=np.float32)
    gram[np.diag_indices_from(gram)] += reg
    factor, failed = lapack.spotrf(gram, lower=1, overwrite_a=1)
    inverse, lost = lapack.spotri(factor, lower=1, overwrite_c=1) if not failed else (factor, 1)
    if failed or lost:
        raise RankingFault("EASE's matrix could not be inverted; its λ (reg) is too small.")
    lower = np.tril(inverse)
    inverse = lower + np.tril(inverse, -1).T
    weights = inverse / -np.diag(inverse)[None, :]
    np.fill_diagonal(weights, 0.0)
    return np.asarray(weights, dtype=np.float32)


def _as_neighbours(
    weights: FloatArray, kept: IntArray, item_count: int, config: Ease
) -> Neighbours:
    """The largest weights of each item, over all rows of the item index."""
    keep = min(config.neighbours, len(kept))
    best = np.argpartition(-weights, keep - 1, axis=1)[:, :keep]  # (M, keep)
    values = np.take_along_axis(weights, best, axis=1)
    order = np.argsort(-values, axis=1, kind="stable")
    best, values = np.take_along_axis(best, order, 1), np.take_along_axis(values, order, 1)
    rows = np.full((item_count, keep), -1, dtype=np.int32)
    table = np.zeros((item_count, keep), dtype=np.float32)
    rows[kept] = np.where(values > 0, kept[best], -1)
    table[kept] = np.maximum(values, 0.0)
    return Neighbours(rows, table, config.fading)
