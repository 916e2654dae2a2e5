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

AT_ONCE = 128  # items whose small systems are solved together


@dataclass(frozen=True)
class Ease:
    """How the weights are found, and what of them is kept."""

    reg: float = 200.0  # λ, L2 on the weights
    whole: int = 4_000  # items up to which one matrix is inverted; the cost grows with their cube
    reach: int = 100  # beyond: the items that an item's weights are looked for among, its nearest
    most_items: int = 12_000  # the items picked by most people; memory grows with their square
    fading: float = 4.0  # steps back in a history after which an item counts half
    most_interactions: int = 500_000  # the newest ones
    neighbours: int = 200  # kept for each item, the largest; 0 and below are left out

    def fit(self, log: InteractionLog, item_count: int, now: float) -> Neighbours:
        """B = −P / diag(P) with zeros on the diagonal, P = (XᵀX + λI)⁻¹; X people × items, 0 or 1.

        A column of B is the ridge regression of its item on all others. Of a large catalog it is
        the regression on the item's nearest ones. A row of the table holds what an item says of
        the others; weights of 0 and below are left out.
        """
        log = log.keep((log.timestamps < now) & (log.weights > 0)).newest(self.most_interactions)
        kept, people = chosen_items(log, item_count, self.most_items)
        if len(kept) < 2:
            return Neighbours.none(item_count)
        gram = (people.T @ people).tocsr()  # (M, M) how many people took both
        if len(kept) <= self.whole:
            weights = sparse.csr_matrix(np.maximum(inverse_weights(gram, self.reg), 0.0))
        else:
            weights = nearest_weights(gram, self.reg, self.reach)
        strongest_of = Neighbours.of(weights, min(self.neighbours, len(kept)), self.fading)
        return strongest_of.moved(kept, item_count)


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


def inverse_weights(gram: sparse.csr_matrix, reg: float) -> FloatArray:
    """B of EASE for XᵀX. (M, M) → (M, M)"""
    dense = np.asfortranarray(gram.toarray(), dtype=np.float32)
    dense[np.diag_indices_from(dense)] += reg
    factor, failed = lapack.spotrf(dense, lower=1, overwrite_a=1)
    inverse, lost = lapack.spotri(factor, lower=1, overwrite_c=1) if not failed else (factor, 1)
    if failed or lost:
        raise RankingFault("EASE's matrix could not be inverted; its λ (reg) is too small.")
    lower = np.tril(inverse)
    inverse = lower + np.tril(inverse, -1).T
    weights = inverse / -np.diag(inverse)[None, :]
    np.fill_diagonal(weights, 0.0)
    return np.asarray(weights, dtype=np.float32)


def nearest_weights(gram: sparse.csr_matrix, reg: float, reach: int) -> sparse.csr_matrix:
    """The positive weights of B, each column solved over the item's `reach` nearest. (M, M)

    Near is by cosine: how many took both, over the root of how many took each.
    """
    dense = gram.toarray()  # (M, M)
    count = len(dense)
    spread = np.sqrt(np.diag(dense))
    near = np.zeros((count, min(reach, count - 1)), dtype=np.int64)
    weights = np.zeros(near.shape, dtype=np.float32)
    for start in range(0, count, AT_ONCE):
        own = np.arange(start, min(start + AT_ONCE, count))
        farness = dense[own] / -spread  # (A, M)
        farness[np.arange(len(own)), own] = 1.0
        nearest = np.argpartition(farness, near.shape[1] - 1, axis=1)[:, : near.shape[1]]
        near[own] = nearest
        # (A, K, K), by places in the whole: twice as fast as by rows and columns
        among = dense.take(nearest[:, :, None] * count + nearest[:, None, :])
        among[:, *np.diag_indices(near.shape[1])] += reg
        wanted = dense[nearest, own[:, None]]  # (A, K)
        weights[own] = np.linalg.solve(among, wanted[..., None])[..., 0]
    kept = weights > 0
    target = np.broadcast_to(np.arange(count)[:, None], near.shape)[kept]
    return sparse.csr_matrix((weights[kept], (near[kept], target)), shape=gram.shape)
