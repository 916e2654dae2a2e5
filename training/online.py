"""How good slates are where they are served: how many are clicked, and where in them."""

from dataclasses import dataclass
from datetime import UTC, datetime
from math import sqrt
from typing import Any

import numpy as np
from django.db import connection
from numpy.typing import NDArray

from catalog.models import InteractionType
from ranking.types import IntArray

Z = 1.959964  # of a 95 % interval
MOST_CLICKED = 5_000  # slates, at most, that a mean is taken over

SHOWN_SQL = """
SELECT slate.catalog_id, date_trunc(%(unit)s, slate.created_at, 'UTC') AS moment, count(*),
       count(*) FILTER (
           WHERE cardinality(slate.seen_positions) > 0 OR clicked.slate_id IS NOT NULL
       ),
       count(clicked.slate_id), sum(cardinality(slate.seen_positions)),
       count(*) FILTER (WHERE slate.surface <> 'api')
FROM catalog_slatelog slate LEFT JOIN (
    SELECT DISTINCT slate_id FROM catalog_interaction
    WHERE catalog_id = ANY(%(catalogs)s) AND "timestamp" >= %(begin)s AND slate_id IS NOT NULL
      AND type <> %(hide)s AND NOT is_suspected
) AS clicked ON clicked.slate_id = slate.id
WHERE slate.catalog_id = ANY(%(catalogs)s)
  AND slate.created_at >= %(begin)s AND slate.created_at < %(end)s
GROUP BY 1, 2
"""
CLICKED_SQL = """
SELECT min(user_id), array_agg(DISTINCT position::int) FROM catalog_interaction
WHERE catalog_id = %(catalog)s AND "timestamp" >= %(begin)s AND "timestamp" < %(end)s
  AND slate_id IS NOT NULL AND position IS NOT NULL AND type <> %(hide)s AND NOT is_suspected
GROUP BY slate_id ORDER BY slate_id LIMIT %(most)s
"""


@dataclass(frozen=True)
class Share:
    """So many of so many."""

    hits: int
    of: int

    @property
    def value(self) -> float | None:
        """The share; None of nothing."""
        return self.hits / self.of if self.of else None

    @property
    def interval(self) -> tuple[float, float] | None:
        """Its 95 % interval (Wilson 1927); None of nothing.

        (p + z²/2n ± z √(p(1 − p)/n + z²/4n²)) / (1 + z²/n): unlike p ± z·s it holds for few cases
        and for shares near 0 (Brown, Cai & DasGupta 2001).
        """
        if not self.of:
            return None
        p, n = self.hits / self.of, self.of
        middle = p + Z * Z / (2 * n)
        half = Z * sqrt(p * (1 - p) / n + Z * Z / (4 * n * n))
        scale = 1 + Z * Z / n
        return max((middle - half) / scale, 0.0), min((middle + half) / scale, 1.0)

    @property
    def low(self) -> float | None:
        """The lower end of the interval."""
        return self.interval[0] if self.interval else None

    @property
    def high(self) -> float | None:
        """The upper end of the interval."""
        return self.interval[1] if self.interval else None

    def fell_from(self, earlier: "Share") -> bool:
        """Whether it is lower than an earlier one beyond what both intervals allow."""
        return bool(self.interval and earlier.interval and self.interval[1] < earlier.interval[0])


@dataclass(frozen=True)
class Shown:
    """The slates of a time."""

    slates: int = 0
    seen: int = 0  # slates that had an item in view, or were clicked
    clicked: int = 0  # slates from which something was picked
    impressions: int = 0  # items in view
    on_pages: int = 0  # slates that our own pages showed, which report what is in view

    def __add__(self, other: "Shown") -> "Shown":
        return Shown(
            self.slates + other.slates,
            self.seen + other.seen,
            self.clicked + other.clicked,
            self.impressions + other.impressions,
            self.on_pages + other.on_pages,
        )

    @property
    def ctr(self) -> Share:
        """How many of the slates in view were clicked."""
        return Share(self.clicked, self.seen)


def shown_by(
    unit: str, catalogs: list[int], begin: datetime, end: datetime
) -> dict[tuple[int, datetime], Shown]:
    """(catalog id, start of the hour or day in UTC) → what was shown in it, in one query.

    What was clicked is counted where the slate was shown, by clicks from `begin` on.
    """
    values: dict[str, Any] = {
        "unit": unit,
        "catalogs": catalogs,
        "begin": begin,
        "end": end,
        "hide": InteractionType.HIDE,
    }
    with connection.cursor() as cursor:
        cursor.execute(SHOWN_SQL, values)
        return {
            (catalog, moment.astimezone(UTC)): Shown(*counts)
            for catalog, moment, *counts in cursor.fetchall()
        }


def clicked_places(
    catalog: int, begin: datetime, end: datetime
) -> tuple[NDArray[np.int64], IntArray]:
    """Places that were picked on each clicked slate, (R, T) padded with −1, and who did it, (R,).

    At most MOST_CLICKED slates, drawn by their random ids.
    """
    values: dict[str, Any] = {
        "catalog": catalog,
        "begin": begin,
        "end": end,
        "hide": InteractionType.HIDE,
        "most": MOST_CLICKED,
    }
    with connection.cursor() as cursor:
        cursor.execute(CLICKED_SQL, values)
        rows = cursor.fetchall()
    ranks = np.full((len(rows), max((len(places) for _, places in rows), default=1)), -1)
    for row, (_, places) in enumerate(rows):
        ranks[row, : len(places)] = places
    return ranks, np.array([user for user, _ in rows], dtype=np.int64)
