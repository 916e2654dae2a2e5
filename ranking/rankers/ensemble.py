"""⑥ The rankers together: a weighted sum of their scores, with the shares that validation chose."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from ranking.rankers.examples import Rows
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
        """Σ share × score, each ranker's scores standardised over the candidates. (N,)"""
        parts = [
            np.float32(share) * standardised(self.members[name].score(rows))
            for name, share in self.shares.items()
        ]
        return np.asarray(np.sum(parts, axis=0), dtype=np.float32)


def standardised(scores: FloatArray) -> FloatArray:
    """Mean 0 and standard deviation 1 over one request; zeros where all are alike. (N,)"""
    spread = float(scores.std()) if len(scores) else 0.0
    return (scores - scores.mean()) / spread if spread > 0 else np.zeros_like(scores)
