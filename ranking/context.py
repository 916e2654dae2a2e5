"""② Who asks, and what they did a moment ago."""

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from django.db import connection

from catalog.models import Catalog, InteractionType
from ranking.item_index import ItemIndex
from ranking.traits import NO_TRAITS, Traits, values_of
from ranking.types import FloatArray, IntArray, Query, UserContext, no_traits

HISTORY_LIMIT = 2_000  # interactions, the newest; training reads no further back either
TYPE_CODES = {name: code for code, name in enumerate(InteractionType.values)}
HISTORY_SQL = """
SELECT item_id, type, extract(epoch FROM "timestamp")::float8 FROM catalog_interaction
WHERE user_id = %s AND catalog_id = %s AND NOT is_suspected AND "timestamp" <= to_timestamp(%s)
ORDER BY "timestamp" DESC, id DESC LIMIT %s
"""
ATTRIBUTES_SQL = "SELECT attributes::text FROM catalog_user WHERE id = %s"
ELSEWHERE_LIMIT = 10  # picks there, the newest; as many as the source `similar` looks at
ELSEWHERE_SQL = """
SELECT vector.vector::text FROM catalog_interaction done
JOIN catalog_catalog catalog ON catalog.id = done.catalog_id
JOIN catalog_itemvector vector ON vector.item_id = done.item_id
WHERE done.user_id = %s AND done.catalog_id = ANY(%s) AND vector.encoder_id = %s
  AND NOT done.is_suspected AND done."timestamp" <= to_timestamp(%s)
  AND (catalog.event_weights ->> done.type)::float8 > 0
ORDER BY done."timestamp" DESC, done.id DESC LIMIT %s
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


@dataclass(frozen=True)
class Lenders:
    """The catalogs that one may learn from, and whose vectors it understands."""

    catalog_ids: tuple[int, ...]
    encoder_id: int  # never another one's: the vectors of two encoders do not mix


def read_context(
    query: Query,
    catalog: Catalog,
    items: ItemIndex,
    lenders: Lenders | None = None,
    traits: Traits = NO_TRAITS,
) -> UserContext:
    """The person's history, read fresh: it includes what they did a second ago.

    With `lenders`, who picked nothing here brings along what they picked there.
    """
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
    elsewhere = None
    if lenders is not None and query.user_id is not None and not (weights[here] > 0).any():
        elsewhere = _read_elsewhere(query.user_id, lenders, now)
    return UserContext(
        query.user_id,
        rows[here],
        codes[here],
        np.array(times, dtype=np.float64)[here],
        weights[here],
        now,
        elsewhere,
        no_traits() if here.any() else _read_traits(query.user_id, catalog, traits),
    )


def _read_traits(user_id: int | None, catalog: Catalog, traits: Traits) -> IntArray:
    """The rows of the person's traits; not asked for where the catalog learned from none. (T,)"""
    if user_id is None or not traits.pairs:
        return no_traits()
    with connection.cursor() as cursor:
        cursor.execute(ATTRIBUTES_SQL, [user_id])
        found = cursor.fetchone()
    attributes = json.loads(found[0]) if found else {}
    return traits.rows_of(set(values_of(attributes, catalog.ignored_attributes)))


def _read_elsewhere(user_id: int, lenders: Lenders, now: float) -> FloatArray | None:
    """Texts of what somebody picked in these catalogs; None where nothing is encoded. (K, D)"""
    ids = list(lenders.catalog_ids)
    with connection.cursor() as cursor:
        cursor.execute(ELSEWHERE_SQL, [user_id, ids, lenders.encoder_id, now, ELSEWHERE_LIMIT])
        texts = [json.loads(text) for (text,) in cursor.fetchall()[::-1]]
    return np.array(texts, dtype=np.float32) if texts else None
