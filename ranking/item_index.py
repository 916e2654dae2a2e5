"""The items of one catalog in memory, in columns; a row number stands for an item everywhere."""

import json
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import psycopg
from django.db import connection
from numpy.typing import NDArray

from catalog.models import Catalog, EncoderVersion
from ranking.offers import Offers
from ranking.types import FloatArray, IntArray

ITEMS_SQL = """
SELECT item.id, item.category,
       coalesce(item.attributes->>'manufacturer', item.attributes->>'brand', ''),
       item.price::float8, extract(epoch FROM item.published_at)::float8, item.available,
       item.text_digest
FROM catalog_item item WHERE item.catalog_id = %s ORDER BY item.id
"""
OFFERS_SQL = """
SELECT item_id, extract(epoch FROM starts_at)::float8, extract(epoch FROM ends_at)::float8
FROM catalog_offer WHERE catalog_id = %s
"""
ATTRIBUTE_SQL = """
SELECT id, (attributes->%s)::text FROM catalog_item
WHERE catalog_id = %s AND attributes->%s IS NOT NULL ORDER BY id
"""
VECTORS_SQL = """
SELECT DISTINCT ON (vector.text_digest) vector.text_digest, vector.vector
FROM catalog_itemvector vector JOIN catalog_item item ON item.id = vector.item_id
WHERE item.catalog_id = %s AND vector.encoder_id = %s
ORDER BY vector.text_digest
"""

MOST_COLUMNS = 32  # attributes that are kept in memory, each 8 bytes an item

Column = tuple[tuple[Any, ...], IntArray]  # distinct values; (N,) each item's code, −1 = none


COMMON_OF = 100  # dimensions for each direction that is taken away, as in the paper
LEAST_TEXTS = 50  # to know what they have in common


@dataclass(frozen=True)
class Common:
    """What the texts of a catalog have in common: their mean, and the directions they vary most in.

    Without it they are told apart better by an encoder that learned nothing of this catalog (Mu &
    Viswanath 2018, "All-but-the-Top", arXiv:1702.01417).
    """

    mean: FloatArray  # (D,)
    directions: FloatArray  # (K, D) orthonormal
    lengths: FloatArray  # (U,) of what is left of each text; infinite where there is no vector

    @classmethod
    def of(cls, texts: FloatArray) -> "Common | None":
        """Of these vectors, zeros where there is none; None if they are too few. (U, D)"""
        seen = texts.any(axis=1)
        if seen.sum() < LEAST_TEXTS:
            return None
        mean = texts[seen].mean(axis=0)
        spread = (texts.T @ texts) / seen.sum() - np.outer(mean, mean)  # (D, D)
        count = max(texts.shape[1] // COMMON_OF, 1)
        directions = np.linalg.eigh(spread)[1][:, -count:].T.astype(np.float32)  # (K, D)
        whole = ((texts - mean) ** 2).sum(axis=1)  # (U,)
        along = (((texts - mean) @ directions.T) ** 2).sum(axis=1)  # (U,)
        lengths = np.sqrt(np.maximum(whole - along, 1e-12))
        return cls(mean, directions, np.where(seen, lengths, np.inf).astype(np.float32))

    def without(self, vectors: FloatArray) -> FloatArray:
        """What is left of these vectors, unit length. (R, D)"""
        rest = vectors - self.mean
        rest = rest - (rest @ self.directions.T) @ self.directions
        return np.asarray(rest / np.maximum(np.linalg.norm(rest, axis=1, keepdims=True), 1e-9))


@dataclass(frozen=True)
class ItemIndex:
    """Columns run in parallel; codes are dense integers, −1 where the item has none.

    Items with the same text share one vector: `text_vectors[text_codes[row]]` is the item's.
    """

    ids: IntArray  # (N,) database ids, ascending
    text_codes: IntArray  # (N,) rows of text_vectors
    text_vectors: FloatArray  # (U, D) unit length; zeros where the encoder has not come by yet
    categories: IntArray  # (N,) codes of the whole category path
    departments: IntArray  # (N,) codes of its first part
    brands: IntArray  # (N,) codes of the brand
    prices: FloatArray  # (N,) NaN where there is none
    published: NDArray[np.float64]  # (N,) seconds since the epoch, NaN where unknown
    available: NDArray[np.bool_]  # (N,)
    category_names: tuple[str, ...] = ()  # by category code
    offers: Offers = field(default_factory=Offers.none)
    encoder: EncoderVersion | None = None  # whose vectors these are
    catalog_id: int | None = None
    # attributes that a filter has named, by name, in the order of their loading
    columns: dict[str, Column] = field(default_factory=dict, repr=False)
    has_vector: NDArray[np.bool_] = field(init=False, repr=False)  # (N,)

    def __post_init__(self) -> None:
        seen = np.asarray(self.text_vectors.any(axis=1))
        object.__setattr__(self, "has_vector", seen[self.text_codes])

    def __len__(self) -> int:
        return len(self.ids)

    def vectors(self, rows: IntArray) -> FloatArray:
        """Language-model vectors of these rows. (len(rows), D)"""
        return self.text_vectors[self.text_codes[rows]]

    @cached_property
    def common(self) -> Common | None:
        """What the texts have in common."""
        return Common.of(self.text_vectors)

    def rows_of(self, ids: IntArray) -> IntArray:
        """Rows of these database ids; −1 for an id that is not here."""
        if len(self.ids) == 0:
            return np.full(len(ids), -1, dtype=np.int64)
        rows = np.minimum(np.searchsorted(self.ids, ids), len(self.ids) - 1)
        return np.where(self.ids[rows] == ids, rows, -1)

    def in_category(self, path: str) -> NDArray[np.bool_]:
        """Which items are in this category or below it. (N,)"""
        inside = [name == path or name.startswith(f"{path} > ") for name in self.category_names]
        return np.append(np.array(inside, dtype=bool), False)[self.categories]

    def attribute(self, name: str) -> Column:
        """An attribute of all items; read from the database when it is asked for the first time."""
        found = self.columns.get(name)
        if found is None:
            with connection.cursor() as cursor:
                cursor.execute(ATTRIBUTE_SQL, [name, self.catalog_id, name])
                rows = cursor.fetchall()
            ids, texts = zip(*rows, strict=True) if rows else ((), ())
            distinct, codes = np.unique(np.array(texts, dtype=object), return_inverse=True)
            places = self.rows_of(np.array(ids, dtype=np.int64))
            column = np.full(len(self), -1, dtype=np.int64)
            column[places[places >= 0]] = codes[places >= 0]
            found = tuple(json.loads(text) for text in distinct), column
            while len(self.columns) >= MOST_COLUMNS:
                self.columns.pop(next(iter(self.columns)), None)
            self.columns[name] = found
        return found

    @classmethod
    def load(cls, catalog: Catalog, encoder: EncoderVersion | None) -> "ItemIndex":
        """Read a catalog's items and their vectors from the database."""
        with connection.cursor() as cursor:
            cursor.execute(ITEMS_SQL, [catalog.pk])
            rows = cursor.fetchall()
            cursor.execute(OFFERS_SQL, [catalog.pk])
            offers = np.array(cursor.fetchall(), dtype=np.float64).reshape(-1, 3)
        columns: list[tuple[Any, ...]] = list(zip(*rows, strict=True)) or [()] * 7
        ids, paths, brands, prices, published, available, digests = columns
        category_names, categories = _codes(paths)
        _, departments = _codes([path.split(" > ")[0] for path in paths])
        texts, text_codes = np.unique(np.array(digests, dtype="U32"), return_inverse=True)
        index = np.array(ids, dtype=np.int64)
        return cls(
            ids=index,
            text_codes=text_codes.astype(np.int64),
            text_vectors=_text_vectors(catalog, encoder, texts),
            categories=categories,
            departments=departments,
            brands=_codes(brands)[1],
            prices=np.array(prices, dtype=np.float32),
            published=np.array(published, dtype=np.float64),
            available=np.array(available, dtype=bool),
            category_names=category_names,
            offers=Offers.of(np.searchsorted(index, offers[:, 0].astype(np.int64)), *offers.T[1:]),
            encoder=encoder,
            catalog_id=catalog.pk,
        )


def _codes(values: Any) -> tuple[tuple[str, ...], IntArray]:
    """Distinct values and each value's code; '' gets −1."""
    names, codes = np.unique(np.array(values, dtype=object).astype(str), return_inverse=True)
    if len(names) and names[0] == "":
        return tuple(map(str, names[1:])), codes.astype(np.int64) - 1
    return tuple(map(str, names)), codes.astype(np.int64)


def _text_vectors(
    catalog: Catalog, encoder: EncoderVersion | None, texts: NDArray[Any]
) -> FloatArray:
    """Vectors of these text digests, zeros where there is none. (U, D)

    halfvec's binary form: two bytes D, two bytes unused, D big-endian float16.
    """
    vectors = np.zeros((len(texts), encoder.dimensions if encoder else 1), dtype=np.float32)
    if encoder is None:
        return vectors
    connection.ensure_connection()
    assert connection.connection is not None
    # Django's own cursor binds on the client, which knows no binary results
    with psycopg.Cursor(connection.connection) as cursor:
        cursor.execute(VECTORS_SQL, [catalog.pk, encoder.pk], binary=True)
        while batch := cursor.fetchmany(10_000):
            found = np.searchsorted(texts, np.array([digest for digest, _ in batch], dtype="U32"))
            found = np.minimum(found, len(texts) - 1)
            current = texts[found] == np.array([digest for digest, _ in batch], dtype="U32")
            halves = np.frombuffer(b"".join(bytes(vector)[4:] for _, vector in batch), ">f2")
            vectors[found[current]] = halves.reshape(len(batch), -1)[current].astype(np.float32)
    return vectors
