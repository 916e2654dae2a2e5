"""② Who asks, and what they did a moment ago."""

import time
from collections.abc import Sequence

import numpy as np
from django.db import connection

from catalog.models import Catalog, InteractionType
from ranking.item_index import ItemIndex
from ranking.types import Query, UserContext

HISTORY_LIMIT = 2_000  # interactions, the newest; training reads no further back either
TYPE_CODES = {name: code for code, name in enumerate(InteractionType.values)}
HISTORY_SQL = """
SELECT item_id, type, extract(epoch FROM "timestamp")::float8 FROM catalog_interaction
WHERE user_id = %s AND catalog_id = %s AND NOT is_suspected AND "timestamp" <= to_timestamp(%s)
ORDER BY "timestamp" DESC, id DESC LIMIT %s
"""


def context_of_items(ids: Sequence[int], catalog: Catalog, items: ItemIndex) -> UserContext:
    """Somebody unknown who has just picked these items (database ids), one after the other."""
    rows = items.rows_of(np.array(ids, dtype=np.int64))
    rows = rows[rows >= 0]
    kind = max(catalog.event_weights, key=lambda name: catalog.event_weights[name])
    weight = catalog.event_weights[kind]
    now = time.time()
    return UserContext(
        None,
        rows,
        np.full(len(rows), TYPE_CODES[kind], dtype=np.int8),
        now - np.arange(len(rows), 0, -1, dtype=np.float64),
        np.full(len(rows), weight, dtype=np.float32),
        now,
    )


def read_context(query: Query, catalog: Catalog, items: ItemIndex) -> UserContext:
    """The person's history, read fresh: it includes what they did a second ago."""
    now = query.now.timestamp() if query.now else time.time()
    found: list[tuple[int, str, float]] = []
    if query.user_id is not None:
        with connection.cursor() as cursor:
            cursor.execute(HISTORY_SQL, [query.user_id, catalog.pk, now, HISTORY_LIMIT])
            found = cursor.fetchall()[::-1]
    ids, types, times = zip(*found, strict=True) if found else ((), (), ())
    rows = items.rows_of(np.array(ids, dtype=np.int64))
    weights = np.array([catalog.event_weights.get(name, 0.0) for name in types], dtype=np.float32)
    codes = np.array([TYPE_CODES[name] for name in types], dtype=np.int8)
    here = rows >= 0
    return UserContext(
        query.user_id,
        rows[here],
        codes[here],
        np.array(times, dtype=np.float64)[here],
        weights[here],
        now,
    )
