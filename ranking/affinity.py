"""How much more people with each trait pick an item than people do: all that a profile tells.

A ridge regression of who picked what on who has which traits, so that traits that come together
share what they tell: B = (AᵀA + λI)⁻¹ AᵀX, A people × traits less their means, X people × items, 0
or 1. Hoerl and Kennard 1970, "Ridge Regression", Technometrics 12 (1).
"""

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from ranking.traits import NOBODY, Traits
from ranking.types import FloatArray, IntArray, InteractionLog

REG = 100.0  # λ: people with a trait from whom half of what they say is believed
TAKERS = 20.0  # of an item, beside those who took it: few of them say little
MOST = 3.0  # |lift|
MOST_INTERACTIONS = 500_000  # the newest ones


@dataclass(frozen=True)
class Affinity:
    """Of traits to items, as it stood at one moment."""

    traits: Traits
    table: FloatArray  # (V, N) what having a trait adds to an item's lift
    usual: FloatArray  # (N,) what the traits of people add on average

    @classmethod
    def unknown(cls, item_count: int, traits: Traits = NOBODY.traits) -> "Affinity":
        """They say nothing of any item."""
        nothing = np.zeros((len(traits.pairs), item_count), dtype=np.float32)
        return cls(traits, nothing, np.zeros(item_count, dtype=np.float32))

    @classmethod
    def fit(cls, log: InteractionLog, item_count: int, now: float) -> "Affinity":
        """Learn from the log as it stood at `now`; from people with traits alone."""
        known = log.keep((log.timestamps < now) & (log.weights > 0)).newest(MOST_INTERACTIONS)
        picked = np.isin(known.users, log.people.user_ids)
        traits = log.people.traits
        if not traits.pairs or not picked.any():
            return cls.unknown(item_count, traits)
        pairs = np.unique(known.users[picked] * item_count + known.rows[picked])
        users, person = np.unique(pairs // item_count, return_inverse=True)
        shape = (len(users), item_count)
        ones = np.ones(len(pairs), dtype=np.float32)
        picks = sparse.csr_matrix((ones, (person, pairs % item_count)), shape=shape)  # (U, N)
        has = log.people.has[np.searchsorted(log.people.user_ids, users)]  # (U, V)
        share = np.asarray(has.mean(axis=0)).ravel()  # (V,)
        takers = np.asarray(picks.sum(axis=0)).ravel()  # (N,)
        square = (has.T @ has).toarray() - len(users) * np.outer(share, share)  # (V, V)
        both = (has.T @ picks).toarray() - np.outer(share, takers)  # (V, N)
        more = np.linalg.solve(square + REG * np.eye(len(share)), both)  # (V, N) share of people
        table = more * len(users) / (takers + TAKERS)
        return cls(traits, table.astype(np.float32), (share @ table).astype(np.float32))

    def lift(self, traits: IntArray, rows: IntArray) -> FloatArray:
        """Log of how much more such a person picks each of these items; 0 if nothing is known.

        traits (T,), rows (R,) → (R,)
        """
        if len(traits) == 0:
            return np.zeros(len(rows), dtype=np.float32)
        own = self.table[traits[:, None], rows].sum(axis=0)  # (R,)
        return np.asarray(np.clip(own - self.usual[rows], -MOST, MOST))
