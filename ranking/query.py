"""③ Text → candidates: full text, spelling forgiven, and meaning, fused by rank."""

import numpy as np
from django.db import connection, transaction

from catalog.models import Catalog, EncoderVersion
from catalog.words import query_words
from ranking.item_index import ItemIndex
from ranking.rankers.fusion import RANK_OFFSET
from ranking.types import FloatArray, IntArray

FOUND_AT_MOST = 200  # of each kind
NEAR_ENOUGH = 0.35  # cosine from which a text counts as found by meaning
LEXICAL_SQL = """
SELECT id, rank() OVER (ORDER BY ts_rank_cd(search, query, 1) DESC) - 1, count(*) OVER ()
FROM catalog_item, websearch_to_tsquery('english', %s) query
WHERE catalog_id = %s AND available AND search @@ query
ORDER BY 2, id LIMIT %s
"""
CHINESE_SQL = """
SELECT id, rank() OVER (ORDER BY ts_rank_cd(words, query, 1) DESC) - 1, count(*) OVER ()
FROM catalog_item, plainto_tsquery('simple', %s) query
WHERE catalog_id = %s AND available AND words @@ query
ORDER BY 2, id LIMIT %s
"""
# Share of the query's trigrams that a title must hold: “chease” has .57 of cheese's.
SPELT_ALIKE_SQL = "SELECT set_config('pg_trgm.word_similarity_threshold', '0.5', true)"
SPELLING_SQL = """
SELECT id, rank() OVER (ORDER BY word_similarity(%s, title) DESC) - 1, count(*) OVER ()
FROM catalog_item WHERE catalog_id = %s AND available AND %s <%% title
ORDER BY 2, id LIMIT %s
"""
MEANING_SQL = """
SELECT vector.item_id, 1 - (vector.vector::halfvec({dimensions:d}) <=> %s::halfvec({dimensions:d}))
FROM catalog_itemvector vector JOIN catalog_item item ON item.id = vector.item_id
WHERE vector.encoder_id = {encoder:d} AND item.catalog_id = %s AND item.available
ORDER BY vector.vector::halfvec({dimensions:d}) <=> %s::halfvec({dimensions:d}) LIMIT %s
"""


def find(
    text: str,
    catalog: Catalog,
    items: ItemIndex,
    encoder: EncoderVersion | None,
    wanted: FloatArray | None,
) -> tuple[IntArray, FloatArray, int]:
    """Items that match: rows, relevance in 0 … 1 (best 1), and how many hold the words.

    Words come first; if no item holds them, spelling is forgiven; meaning is always added.
    """
    lexical, total = _words(text, catalog)
    meaning = _meaning(catalog, encoder, wanted)
    relevance: dict[int, float] = {}
    for found, weight in ((lexical, 1.0), (meaning, 0.8)):
        for item_id, rank in found:
            relevance[item_id] = relevance.get(item_id, 0.0) + weight / (RANK_OFFSET + rank)
    ids = np.array(list(relevance), dtype=np.int64)
    rows = items.rows_of(ids)
    values = np.array(list(relevance.values()), dtype=np.float32)[rows >= 0]
    return rows[rows >= 0], values / max(float(values.max(initial=0.0)), 1e-9), max(total, len(ids))


def _words(text: str, catalog: Catalog) -> tuple[list[tuple[int, int]], int]:
    """Ids and ranks by full text, or by similar spelling if that finds none; and how many match.

    Items that match equally well share a rank, so that the person's taste orders them.
    """
    with connection.cursor() as cursor:
        if catalog.is_chinese:
            cursor.execute(CHINESE_SQL, [query_words(text), catalog.pk, FOUND_AT_MOST])
        else:
            cursor.execute(LEXICAL_SQL, [text, catalog.pk, FOUND_AT_MOST])
        found = cursor.fetchall()
        if not found:
            with transaction.atomic():  # as long as the threshold is to hold
                cursor.execute(SPELT_ALIKE_SQL)
                cursor.execute(SPELLING_SQL, [text, catalog.pk, text, FOUND_AT_MOST])
                found = cursor.fetchall()
    return [row[:2] for row in found], found[0][2] if found else 0


def _meaning(
    catalog: Catalog, encoder: EncoderVersion | None, wanted: FloatArray | None
) -> list[tuple[int, int]]:
    """Ids and ranks by cosine of vectors, through the HNSW index of this encoder version."""
    if encoder is None or wanted is None:
        return []
    sql = MEANING_SQL.format(dimensions=encoder.dimensions, encoder=encoder.pk)
    vector = str(wanted.tolist())
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT set_config('hnsw.ef_search', '200', false), "
            "set_config('hnsw.iterative_scan', 'relaxed_order', false)"
        )
        cursor.execute(sql, [vector, catalog.pk, vector, FOUND_AT_MOST])
        found = [item_id for item_id, likeness in cursor.fetchall() if likeness >= NEAR_ENOUGH]
    return [(item_id, rank) for rank, item_id in enumerate(found)]
