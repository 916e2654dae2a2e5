"""How surely, and how soon, people take an item again: what tells milk from a wedding cake."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ranking.types import DAY, SESSION_GAP, FloatArray, IntArray, InteractionLog

LATELY = 42.0  # days
RATE = 0.02  # of an item that nobody could have taken again yet, as if seen in …
SESSIONS = 20.0  # … so many sessions
INTERVAL = 30.0  # days, as if seen …
INTERVALS = 3.0  # … so many times
NAMES = ("repurchase_rate", "repurchase_rate_lately", "repurchase_interval")


@dataclass(frozen=True)
class Repurchase:
    """Of every item, how often those who took it once took it in a later session of theirs."""

    columns: FloatArray  # (N, 3) in the order of NAMES: log rates, log1p of days

    @classmethod
    def unknown(cls, item_count: int) -> "Repurchase":
        """What is said of items that nobody took yet."""
        row = [np.log(RATE), np.log(RATE), np.log1p(INTERVAL)]
        return cls(np.tile(np.array(row, dtype=np.float32), (item_count, 1)))

    @classmethod
    def fit(cls, log: InteractionLog, item_count: int, now: float) -> "Repurchase":
        """Count the log as it stood at `now`, all of it and the last LATELY days.

        rate = (Σ later sessions with the item + RATE·SESSIONS) / (Σ later sessions + SESSIONS),
        over everybody who took it; interval = mean log1p of the days between two such sessions.
        """
        known = log.keep((log.timestamps < now) & (log.weights > 0))
        if len(known) == 0:
            return cls.unknown(item_count)
        session, person = _sessions(known)
        newest = np.flatnonzero(np.diff(person, append=-1))  # each person's last interaction
        recent = np.flatnonzero(known.timestamps >= now - LATELY * DAY)
        ahead = session[newest] + 1  # first session of the last days, by person
        people, first = np.unique(person[recent], return_index=True)
        ahead[people] = session[recent[first]]

        pair = person * item_count + known.rows
        order = np.argsort(pair, kind="stable")  # by person and item, oldest first
        distinct = np.diff(pair[order], prepend=-1) != 0
        distinct |= np.diff(session[order], prepend=-1) != 0
        taken = order[distinct]  # one for each session in which a person took an item
        start = np.diff(pair[taken], prepend=-1) != 0
        again, begun = taken[~start], taken[start]
        chances = session[newest[person[begun]]] - session[begun]
        late = np.maximum(session[begun], ahead[person[begun]] - 1)
        chances_lately = session[newest[person[begun]]] - late

        def per_item(taken_at: IntArray, values: NDArray[np.generic] | None = None) -> FloatArray:
            counts = np.bincount(known.rows[taken_at], values, item_count)
            return np.asarray(counts, dtype=np.float32)

        def rate(repeats: FloatArray, chances: IntArray) -> FloatArray:
            seen = per_item(begun, chances)
            return np.asarray(np.log((repeats + RATE * SESSIONS) / (seen + SESSIONS)))

        since = np.diff(known.timestamps[taken], prepend=0.0)[~start] / DAY
        gaps = per_item(again, np.log1p(since)) + INTERVALS * np.log1p(INTERVAL)
        columns = [
            rate(per_item(again), chances),
            rate(per_item(again[known.timestamps[again] >= now - LATELY * DAY]), chances_lately),
            gaps / (per_item(again) + INTERVALS),
        ]
        return cls(np.stack(columns, axis=1).astype(np.float32))


def _sessions(log: InteractionLog) -> tuple[IntArray, IntArray]:
    """Running numbers, from 0, of the session and of the person of each interaction. (M,), (M,)"""
    other = np.diff(log.users, prepend=log.users[0]) != 0
    opened = other | (np.diff(log.timestamps, prepend=log.timestamps[0]) > SESSION_GAP)
    return np.cumsum(opened), np.cumsum(other)
