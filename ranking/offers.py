"""What is on offer when, and what that does: promotions of items, to be asked for any moment."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ranking.types import DAY, FloatArray, IntArray, InteractionLog

LATELY = 90.0  # days in which an item's offers are counted
TIME_BITS = 34  # of a key; seconds since the epoch fit until the year 2514
NAMES = ("offers_now", "offers_lately")
RESPONSE_NAMES = ("response_share", "response_lift", "response_time")
RESPONSE_DAYS = 182  # in which the response to an item's offers is counted
LOOK_EVERY = 7  # days; whether something was on offer then stands for the days around it


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


@dataclass(frozen=True)
class OfferResponse:
    """Of every item, how much more of it is taken while it is on offer."""

    columns: FloatArray  # (N, 3) in the order of RESPONSE_NAMES

    @classmethod
    def unknown(cls, item_count: int) -> "OfferResponse":
        """What is said where nothing was taken, or nothing on offer, yet."""
        return cls(np.zeros((item_count, len(RESPONSE_NAMES)), dtype=np.float32))

    @classmethod
    def fit(
        cls, log: InteractionLog, offers: Offers, item_count: int, now: float
    ) -> "OfferResponse":
        """Count the last RESPONSE_DAYS of the log as it stood at `now`.

        share = (taken on offer + 5 s) / (taken + 5), s the share over all items; time = looks at
        which the item was on offer / looks; lift = log of (taken on offer + ½) / (looks on offer +
        ½) over the same of those without.
        """
        recent = (
            (log.timestamps < now)
            & (log.timestamps >= now - RESPONSE_DAYS * DAY)
            & (log.weights > 0)
        )
        known = log.keep(recent)
        if len(offers.starts) == 0 or len(known) == 0:
            return cls.unknown(item_count)
        on_offer = offers.active(known.rows, known.timestamps) > 0
        taken = np.bincount(known.rows, minlength=item_count)
        then = np.bincount(known.rows, on_offer, item_count)
        everything = np.arange(item_count)
        days = range(LOOK_EVERY, RESPONSE_DAYS, LOOK_EVERY)
        looks = np.sum([offers.active(everything, now - day * DAY) > 0 for day in days], axis=0)
        lift = np.log((then + 0.5) / (looks + 0.5))
        lift -= np.log((taken - then + 0.5) / (len(days) - looks + 0.5))
        share = (then + 5.0 * on_offer.mean()) / (taken + 5.0)
        columns = np.stack([share, lift, looks / len(days)], axis=1)
        return cls(columns.astype(np.float32))


def _keys(rows: IntArray, moments: NDArray[np.float64] | float) -> IntArray:
    seconds = np.clip(moments, 0, (1 << TIME_BITS) - 1)
    return (rows.astype(np.int64) << TIME_BITS) + np.asarray(seconds, dtype=np.int64)


def _count(keys: IntArray, rows: IntArray, moments: NDArray[np.float64] | float) -> IntArray:
    """How many of these keys belong to each row and are not after its moment."""
    until = np.searchsorted(keys, _keys(rows, moments), side="right")
    return until - np.searchsorted(keys, _keys(rows, 0.0))
