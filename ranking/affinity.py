"""How much more people with each trait pick an item than people do: all that a profile tells.

A ridge regression of who picked what on who has which traits, so that traits that come together
share what they tell: B = (AᵀA + λI)⁻¹ AᵀX. X people × items, 0 or 1; A people × traits, 1 less the
share of those who tell the attribute, or 0 for who does not tell it. Hoerl and Kennard 1970, "Ridge
Regression", Technometrics 12 (1).
"""

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from ranking.traits import NO_TRAITS, Traits
from ranking.types import FloatArray, IntArray, InteractionLog

REG = 100.0  # λ: people with a trait from whom half of what they say is believed
TAKERS = 20.0  # of an item, beside those who took it: few of them say little
MOST = 3.0  # |lift|
MOST_INTERACTIONS = 500_000  # the newest ones


@dataclass(frozen=True)
class Affinity:
    """Of traits to items, as it stood at one moment; 4 bytes a trait and item."""

    traits: Traits
    table: FloatArray  # (V, N) B · U / (takers of the item + TAKERS), U people
    mean: FloatArray  # (A, N) of each attribute: the table's mean over those who tell it

    @classmethod
    def unknown(cls, item_count: int, traits: Traits = NO_TRAITS) -> "Affinity":
        """They say nothing of any item."""
        sizes = (len(traits.pairs), len(traits.attributes))
        table, mean = (np.zeros((size, item_count), dtype=np.float32) for size in sizes)
        return cls(traits, table, mean)

    @classmethod
    def fit(cls, log: InteractionLog, item_count: int, now: float) -> "Affinity":
        """Learn from the log as it stood at `now`; from people with traits alone."""
        traits = log.people.traits
        if not traits.pairs:
            return cls.unknown(item_count)
        known = log.keep((log.timestamps < now) & (log.weights > 0)).newest(MOST_INTERACTIONS)
        told = np.isin(known.users, log.people.user_ids)
        if not told.any():
            return cls.unknown(item_count, traits)
        pairs = np.unique(known.users[told] * item_count + known.rows[told])
        users, person = np.unique(pairs // item_count, return_inverse=True)
        shape = (len(users), item_count)
        ones = np.ones(len(pairs), dtype=np.float32)
        picks = sparse.csr_matrix((ones, (person, pairs % item_count)), shape=shape)  # (U, N)
        has = log.people.has[np.searchsorted(log.people.user_ids, users)]  # (U, V)
        of = _one_hot(traits)  # (V, A)
        tells = (has @ of).sign()  # (U, A)
        telling = of @ np.asarray(tells.sum(axis=0)).ravel()  # (V,) people who tell its attribute
        share = np.asarray(has.sum(axis=0)).ravel() / np.maximum(telling, 1)  # (V,)
        # A = [has, tells] · centre
        both = sparse.hstack([has, tells]).tocsr()  # (U, V + A)
        centre = np.vstack([np.eye(len(share)), -(of.toarray() * share[:, None]).T])  # (V + A, V)
        square = centre.T @ (both.T @ both).toarray() @ centre  # (V, V)
        more = np.linalg.solve(
            square + REG * np.eye(len(share)), centre.T @ (both.T @ picks).toarray()
        )  # (V, N) people
        takers = np.asarray(picks.sum(axis=0)).ravel()  # (N,)
        table = more * len(users) / (takers + TAKERS)
        mean = (of.T @ (table * share[:, None])).astype(np.float32)  # (A, N)
        return cls(traits, table.astype(np.float32), mean)

    def lift(self, traits: IntArray) -> FloatArray:
        """How much more such a person picks each item, beside those who tell the same attributes.

        Σ of the table over their traits less the means of these traits' attributes, within ±MOST: 0
        as others, 1 twice as often, by the regression. (T,) rows of traits → (N,)
        """
        attributes = np.unique(self.traits.attribute_of[traits])
        own = self.table[traits].sum(axis=0) - self.mean[attributes].sum(axis=0)
        return np.asarray(np.clip(own, -MOST, MOST))


def _one_hot(traits: Traits) -> sparse.csr_matrix:
    """1 where a trait is of an attribute. (V, A)"""
    rows = np.arange(len(traits.pairs))
    ones = np.ones(len(rows), dtype=np.float32)
    shape = (len(rows), len(traits.attributes))
    return sparse.csr_matrix((ones, (rows, traits.attribute_of)), shape=shape)
