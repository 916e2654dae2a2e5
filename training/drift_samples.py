"""What drift is measured on: bounded samples of what people picked and were shown in a time.

Samples are drawn by a hash of the row's id, so the same rows give the same figures.
"""

from dataclasses import dataclass
from datetime import datetime

import numpy as np
from django.db import connection
from numpy.typing import NDArray

from catalog.models import Catalog, EncoderVersion, InteractionType, ItemVector
from ranking.types import DAY, IntArray

MOST_PICKS = 5_000
MOST_VISITS = 1_000
MOST_SLATES = 1_000
MOST_VECTORS = 1_000
DEPTH = 10  # scores, from the first place of a slate down
HISTORY_SPAN = 28 * DAY  # seconds before a visit: whole histories of people who stay only grow
LONGEST_HISTORY = 100  # interactions; longer ones count as this

PICKS_SQL = """
SELECT pick.item_id, pick.user_id, pick.seconds, item.category, item.price::float8
FROM (
    SELECT item_id, user_id, extract(epoch FROM "timestamp")::float8 AS seconds,
           hashint8extended(id, 0) AS draw
    FROM catalog_interaction
    WHERE catalog_id = %s AND "timestamp" >= %s AND "timestamp" < %s
      AND NOT is_suspected AND type = ANY(%s)
    ORDER BY draw LIMIT %s
) AS pick JOIN catalog_item item ON item.id = pick.item_id ORDER BY pick.draw
"""
HISTORIES_SQL = """
SELECT (
    SELECT count(*) FROM (
        SELECT 1 FROM catalog_interaction past
        WHERE past.user_id = visit.user_id AND past.catalog_id = %s
          AND past."timestamp" < to_timestamp(visit.seconds)
          AND past."timestamp" >= to_timestamp(visit.seconds - %s)
          AND NOT past.is_suspected LIMIT %s
    ) AS first_ones
) FROM unnest(%s::bigint[], %s::float8[]) AS visit(user_id, seconds)
"""
SCORES_SQL = """
SELECT scores[1:%s] FROM catalog_slatelog
WHERE catalog_id = %s AND created_at >= %s AND created_at < %s AND bundle_id = %s
  AND query_text = '' ORDER BY uuid_hash_extended(id, 0) LIMIT %s
"""


@dataclass(frozen=True)
class Picks:
    """Interactions of a time that speak for an item, in parallel columns, by chance. (K,) each"""

    items: IntArray  # database ids
    users: IntArray
    seconds: NDArray[np.float64]  # since the epoch
    categories: list[str]
    prices: NDArray[np.float64]  # NaN where there is none

    def __len__(self) -> int:
        return len(self.items)

    @property
    def people(self) -> int:
        """How many different people they are of."""
        return len(np.unique(self.users))


def picks(catalog: Catalog, begin: datetime, end: datetime) -> Picks:
    """A sample of the interactions with a weight above 0; where none has one, of all but hides."""
    weights = catalog.event_weights
    types = [name for name, weight in weights.items() if weight > 0]
    if not types:
        types = [name for name in InteractionType.values if name != InteractionType.HIDE]
    with connection.cursor() as cursor:
        cursor.execute(PICKS_SQL, [catalog.pk, begin, end, types, MOST_PICKS])
        rows = cursor.fetchall()
    items, users, seconds, categories, prices = list(zip(*rows, strict=True)) or [()] * 5
    return Picks(
        np.array(items, dtype=np.int64),
        np.array(users, dtype=np.int64),
        np.array(seconds, dtype=np.float64),
        list(categories),
        np.array(prices, dtype=np.float64),
    )


def history_lengths(catalog: Catalog, picked: Picks) -> tuple[NDArray[np.float64], int]:
    """What each visitor had done in HISTORY_SPAN before, (V,), and how many people they are.

    One visit a person and day; counted up to LONGEST_HISTORY.
    """
    days = (picked.seconds // DAY).astype(np.int64)
    _, first = np.unique(np.stack([picked.users, days]), axis=1, return_index=True)
    first = np.sort(first)[:MOST_VISITS]
    users, seconds = picked.users[first].tolist(), picked.seconds[first].tolist()
    with connection.cursor() as cursor:
        cursor.execute(HISTORIES_SQL, [catalog.pk, HISTORY_SPAN, LONGEST_HISTORY, users, seconds])
        counts = [count for (count,) in cursor.fetchall()]
    return np.array(counts, dtype=np.float64), len(set(users))


def vectors(picked: Picks, encoder: EncoderVersion) -> tuple[NDArray[np.float32], IntArray]:
    """Vectors of the first picks that have one, (V, D), and who picked them, (V,)."""
    stored = ItemVector.objects.filter(
        encoder=encoder, item__in=np.unique(picked.items[:MOST_VECTORS]).tolist()
    )
    found = {
        item: np.array(vector, dtype=np.float32)
        for item, vector in stored.values_list("item", "vector")
    }
    rows = [row for row, item in enumerate(picked.items[:MOST_VECTORS].tolist()) if item in found]
    if not rows:
        return np.zeros((0, encoder.dimensions), dtype=np.float32), np.zeros(0, dtype=np.int64)
    return np.stack([found[int(picked.items[row])] for row in rows]), picked.users[rows]


def scores(
    catalog: Catalog, bundle_id: str, begin: datetime, end: datetime
) -> tuple[NDArray[np.float64], int]:
    """Scores of the first places of slates that this bundle answered, no searches; how many slates.

    (S,) at most MOST_SLATES slates, DEPTH scores each.
    """
    with connection.cursor() as cursor:
        cursor.execute(SCORES_SQL, [DEPTH, catalog.pk, begin, end, bundle_id, MOST_SLATES])
        found = [row for (row,) in cursor.fetchall()]
    flat = [score for row in found for score in row]
    return np.array(flat, dtype=np.float64), len(found)
