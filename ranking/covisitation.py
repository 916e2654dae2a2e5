"""Co-visitation: what people picked soon after, or together with, an item (a Markov kNN)."""

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from ranking.neighbours import Neighbours
from ranking.types import DAY, InteractionLog


@dataclass(frozen=True)
class CoVisitation:
    """How pairs are counted."""

    window: int = 12  # steps forward in one person's sequence
    step_fading: float = 0.7  # what a pair counts with each further step between the two
    reverse: float = 0.4  # weight of a pair read backwards
    damping: float = 0.4  # divide by popularity of the neighbour to this power
    own_damping: float = 0.5  # … and by that of the item itself to this power
    half_life_days: float = 365.0  # a pair counts half after this long
    fading: float = 2.0  # steps back in a history after which an item counts half
    neighbours: int = 100  # kept for each item
    most_interactions: int = 500_000  # the newest ones

    def fit(self, log: InteractionLog, item_count: int, now: float) -> Neighbours:
        """Count pairs at 1 … window steps in the log as it stood at `now`."""
        log = log.keep((log.timestamps < now) & (log.weights > 0)).newest(self.most_interactions)
        faded = log.weights * np.exp2(-(now - log.timestamps) / DAY / self.half_life_days)
        pairs = sparse.csr_matrix((item_count, item_count), dtype=np.float32)
        for step in range(1, min(self.window, max(len(log) - 1, 0)) + 1):
            same = log.users[step:] == log.users[:-step]
            first, second = log.rows[:-step][same], log.rows[step:][same]
            weight = (faded[step:][same] * self.step_fading ** (step - 1)).astype(np.float32)
            forward = sparse.coo_matrix((weight, (first, second)), shape=pairs.shape)
            pairs = pairs + forward.tocsr()
        pairs = (pairs + self.reverse * pairs.T).tocsr()
        pairs.setdiag(0)
        pairs.eliminate_zeros()
        popularity = np.bincount(log.rows, faded, minlength=item_count) + 1.0
        own = np.repeat(popularity, np.diff(pairs.indptr))
        pairs.data /= popularity[pairs.indices] ** self.damping * own**self.own_damping
        return Neighbours.of(pairs, self.neighbours, self.fading)
