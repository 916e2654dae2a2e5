"""How often each item was picked lately, with weights that fade by half in each half-life.

Besides, how often on people's first visits: what newcomers pick is not what those who come back
pick. And since when it is known: the moment of its first interaction.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ranking.types import DAY, FloatArray, IntArray, InteractionLog

HALF_LIVES = (3.0, 14.0, 90.0)  # days: today's trend, this month's, the long run
FIRST_VISIT = 3_600.0  # seconds from a person's first interaction that are their first visit
FIRST_VISIT_HALF_LIFE = 14.0  # days
PRIOR = 500.0  # weight of picks by everybody beside those on first visits, where they are few


def decayed_counts(
    log: InteractionLog, item_count: int, now: float, half_life_days: float
) -> FloatArray:
    """Sum of event weights per item, each halved for every half-life that has passed. (N,)"""
    age = (now - log.timestamps) / DAY
    fading = np.clip(log.weights, 0.0, None) * np.exp2(-age / half_life_days)
    return np.bincount(log.rows, fading, minlength=item_count).astype(np.float32)


def first_visits(log: InteractionLog) -> InteractionLog:
    """What people did within FIRST_VISIT of their first interaction."""
    starts = np.diff(log.users, prepend=-1) != 0  # the log is sorted by user, then time
    began = log.timestamps[starts][np.cumsum(starts) - 1]
    return log.keep(log.timestamps < began + FIRST_VISIT)


@dataclass
class Popularity:
    """Decayed counts of every item at one moment, at three speeds."""

    counts: FloatArray  # (3, N), one row a half-life
    first_visit_counts: FloatArray  # (N,) decayed by FIRST_VISIT_HALF_LIFE
    first: NDArray[np.float64]  # (N,) first interaction, seconds since the epoch; NaN = none yet
    as_of: float  # seconds since the epoch

    @classmethod
    def nothing(cls, item_count: int) -> "Popularity":
        """Nobody picked anything yet."""
        counts = np.zeros((len(HALF_LIVES), item_count), dtype=np.float32)
        nothing = np.zeros(item_count, dtype=np.float32)
        return cls(counts, nothing, np.full(item_count, np.nan), 0.0)

    @classmethod
    def fit(cls, log: InteractionLog, item_count: int, now: float) -> "Popularity":
        """Count the log as it stood at `now`."""
        known = log.before(now)
        counts = [decayed_counts(known, item_count, now, half_life) for half_life in HALF_LIVES]
        new = decayed_counts(first_visits(known), item_count, now, FIRST_VISIT_HALF_LIFE)
        first = np.full(item_count, np.inf)
        np.minimum.at(first, known.rows, known.timestamps)
        first[np.isinf(first)] = np.nan
        return cls(np.stack(counts), new, first, now)

    @cached_property
    def totals(self) -> FloatArray:
        """The counts of all items together, at the three speeds. (3, 1)"""
        return np.asarray(np.maximum(self.counts.sum(axis=1, keepdims=True), 1e-9))

    @cached_property
    def blend(self) -> FloatArray:
        """One score per item: the shares at the three speeds, averaged. (N,)"""
        return np.asarray((self.counts / self.totals).mean(axis=0), dtype=np.float32)

    @cached_property
    def for_newcomers(self) -> FloatArray:
        """The share of each item in what is picked on first visits, with `blend` as prior. (N,)"""
        total = float(self.first_visit_counts.sum()) + PRIOR
        return np.asarray((self.first_visit_counts + PRIOR * self.blend) / total, dtype=np.float32)

    def log_shares(self, rows: IntArray) -> FloatArray:
        """log(1 + parts per million of all counts), for each half-life. (N, 3)"""
        return np.asarray(np.log1p(1e6 * self.counts[:, rows] / self.totals).T, dtype=np.float32)
