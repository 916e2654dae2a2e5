"""⑪ What people saw on slates before they picked: negatives that were really looked at.

That an item was passed over says more of it the higher it stood (Joachims et al. 2005, SIGIR), so
its position is a feature while rankers learn; when they serve, every item stands first.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
import pyarrow.parquet
from numpy.typing import NDArray

from ranking.item_index import ItemIndex
from ranking.types import SESSION_GAP, IntArray, InteractionLog
from training.snapshot import IMPRESSION, Snapshot
from training.splits import Fold, PastRequest, Split


@dataclass(frozen=True)
class Impressions:
    """Items of slates that were in view, sorted by person, then time. (K,) each"""

    users: IntArray
    rows: IntArray  # of the item index
    timestamps: NDArray[np.float64]  # of the slate, seconds since the epoch
    positions: IntArray  # on the slate, 0 = first

    def __len__(self) -> int:
        return len(self.rows)

    def of(self, user_id: int, begin: float, end: float) -> slice:
        """Where those of one person from `begin` up to `end` stand."""
        first, last = np.searchsorted(self.users, (user_id, user_id + 1)).tolist()
        times = self.timestamps[first:last]
        start, stop = np.searchsorted(times, (begin, end)).tolist()
        return slice(first + start, first + stop)


def read_impressions(snapshot: Snapshot, items: ItemIndex) -> Impressions:
    """The impressions of a snapshot; those of items that are gone are left out."""
    table = pyarrow.parquet.read_table(snapshot.path, filters=[("type", "==", IMPRESSION)])
    if "position" not in table.column_names:  # a snapshot from before impressions were read
        table = table.append_column("position", table["item_id"])  # no row
    rows = items.rows_of(table["item_id"].to_numpy())
    here = rows >= 0
    return Impressions(
        table["user_id"].to_numpy()[here],
        rows[here],
        table["timestamp"].to_numpy()[here],
        table["position"].to_numpy()[here].astype(np.int64),
    )


def with_impressions(split: Split, log: InteractionLog, impressions: Impressions) -> Split:
    """The split, each of its requests with what was seen around it."""
    if not len(impressions):
        return split

    def told(fold: Fold) -> Fold:
        return replace(fold, requests=list(_told(fold.requests, log, impressions)))

    return replace(
        split,
        train=[told(fold) for fold in split.train],
        valid=told(split.valid),
        newest=[told(fold) for fold in split.newest],
        test=told(split.test),
    )


def _told(
    requests: Iterable[PastRequest], log: InteractionLog, impressions: Impressions
) -> Iterable[PastRequest]:
    """Requests with what was in view from a session's length before them to one after."""
    for request in requests:
        begin, end = request.moment - SESSION_GAP, request.moment + SESSION_GAP
        near = impressions.of(request.user_id, begin, end)
        seen, first = np.unique(impressions.rows[near], return_index=True)
        own = slice(*np.searchsorted(log.users, (request.user_id, request.user_id + 1)))
        soon = (log.timestamps[own] >= begin) & (log.timestamps[own] < end) & (log.weights[own] > 0)
        passed = ~np.isin(seen, np.setdiff1d(log.rows[own][soon], request.picked))
        yield replace(
            request, seen=seen[passed], positions=impressions.positions[near][first][passed]
        )
