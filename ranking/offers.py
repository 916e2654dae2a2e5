"""What is on offer when: promotions of items, to be asked for any moment."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ranking.types import DAY, FloatArray, IntArray

LATELY = 90.0  # days in which an item's offers are counted
TIME_BITS = 34  # of a key; seconds since the epoch fit until the year 2514
NAMES = ("offers_now", "offers_lately")


@dataclass(frozen=True)
class Offers:
    """Starts and ends of offers, each as a sorted key: item-index row, then seconds."""

    starts: IntArray  # (K,) row · 2^TIME_BITS + seconds since the epoch
    ends: IntArray  # (K,) the same of their ends, sorted by themselves

    @classmethod
    def of(cls, rows: IntArray, starts: NDArray[np.float64], ends: NDArray[np.float64]) -> "Offers":
        """From parallel columns; times in seconds since the epoch, ends exclusive. (K,) each"""
        return cls(np.sort(_keys(rows, starts)), np.sort(_keys(rows, ends)))

    @classmethod
    def none(cls) -> "Offers":
        """Nothing is ever on offer."""
        return cls(np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64))

    def active(self, rows: IntArray, moments: NDArray[np.float64] | float) -> IntArray:
        """How many offers of each row are running at its moment. (R,), (R,) or one → (R,)"""
        return _count(self.starts, rows, moments) - _count(self.ends, rows, moments)

    def columns(self, rows: IntArray, now: float) -> FloatArray:
        """How many are running now, and how many began in the last LATELY days. (R, 2)

        How long an offer goes on is not looked at: a catalog may learn it only afterwards.
        """
        begun = _count(self.starts, rows, now)
        lately = begun - _count(self.starts, rows, now - LATELY * DAY)
        return np.stack([self.active(rows, now), lately], axis=1).astype(np.float32)


def _keys(rows: IntArray, moments: NDArray[np.float64] | float) -> IntArray:
    seconds = np.clip(moments, 0, (1 << TIME_BITS) - 1)
    return (rows.astype(np.int64) << TIME_BITS) + np.asarray(seconds, dtype=np.int64)


def _count(keys: IntArray, rows: IntArray, moments: NDArray[np.float64] | float) -> IntArray:
    """How many of these keys belong to each row and are not after its moment."""
    until = np.searchsorted(keys, _keys(rows, moments), side="right")
    return until - np.searchsorted(keys, _keys(rows, 0.0))
