"""⑥ The rankers together: a weighted sum, with the shares that validation chose.

What is summed is the order that each ranker gives, not its scores: those of trees trained on pairs
and the probabilities of a network have no common scale.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from ranking.rankers.examples import Rows
from ranking.rankers.network import NetworkRanker
from ranking.types import FloatArray


class Ranker(Protocol):
    """Trees, a factorisation machine, or a deep network."""

    def score(self, rows: Rows) -> FloatArray:
        """One score a candidate, higher is better. (N,)"""


@dataclass(frozen=True)
class Ensemble:
    """Rankers by name, each with its share of the sum; shares add up to 1."""

    members: Mapping[str, Ranker]
    shares: Mapping[str, float]

    def score(self, rows: Rows) -> FloatArray:
        """Σ share × what the place by its score is worth. (N,)"""
        parts = [
            np.float32(share) * by_rank(self.members[name].score(rows))
            for name, share in self.shares.items()
        ]
        return np.asarray(np.sum(parts, axis=0), dtype=np.float32)

    def revalued(self, values: Sequence[float]) -> "Ensemble":
        """The same rankers, their heads worth these weights; trees learned with theirs and stay."""
        members = {
            name: one.revalued(values) if isinstance(one, NetworkRanker) else one
            for name, one in self.members.items()
        }
        return Ensemble(members, self.shares)


def by_rank(scores: FloatArray) -> FloatArray:
    """Scores replaced by their order: the best 1, half for every ten places down. (N,)"""
    ranks = np.empty(len(scores), dtype=np.float32)
    ranks[np.argsort(-scores, kind="stable")] = np.arange(len(scores))
    return np.asarray(np.exp2(-ranks / 10.0), dtype=np.float32)
