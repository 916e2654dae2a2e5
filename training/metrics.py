"""Metrics of one person's ranking: pure functions over the ranks of what they really picked.

`ranks` holds the 0-based place of every relevant item in the full ranking of the catalog.
"""

import numpy as np
from numpy.typing import NDArray

from ranking.types import IntArray

RESAMPLES = 2_000  # of a bootstrap


def recall(ranks: IntArray, k: int) -> float:
    """Share of the relevant items among the first k.

    |relevant ∩ first k| / |relevant|; 0 where nothing is relevant.
    """
    return float((ranks < k).mean()) if len(ranks) else 0.0


def ndcg(ranks: IntArray, k: int) -> float:
    """Gain of the first k, discounted by place, over the best gain there could be.

    Σ_{relevant at place p < k} 1/log2(p + 2), over the same sum with all relevant items in front.
    Järvelin & Kekäläinen 2002, binary gains. 0 where nothing is relevant.
    """
    if len(ranks) == 0:
        return 0.0
    gain = (1.0 / np.log2(ranks[ranks < k] + 2.0)).sum()
    best = (1.0 / np.log2(np.arange(min(k, len(ranks))) + 2.0)).sum()
    return float(gain / best)


def reciprocal_rank(ranks: IntArray) -> float:
    """1 / (place of the first relevant item, counted from 1); 0 where nothing is relevant."""
    return float(1.0 / (ranks.min() + 1.0)) if len(ranks) else 0.0


def bootstrap_interval(
    values: NDArray[np.float64], seed: int = 0, level: float = 0.95
) -> tuple[float, float]:
    """Percentile interval of the mean over people (Efron 1979), from RESAMPLES resamples."""
    if len(values) == 0:
        return float("nan"), float("nan")
    generator = np.random.default_rng(seed)
    counts = generator.multinomial(
        len(values), np.full(len(values), 1.0 / len(values)), RESAMPLES
    )  # (RESAMPLES, people)
    means = counts @ values / len(values)
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
