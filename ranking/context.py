"""② Who asks, and what they did a moment ago."""

import time

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
