"""How fast slates are answered, and how much of the catalog they show: bounded and cached."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.db import connection
from django.utils import timezone

from catalog.models import Catalog
from recsite.fresh import Fresh

RECENT = timedelta(hours=24)
MOST_TIMED = 1_000  # newest slates of each catalog whose times are read
SPEED_FRESH_FOR = 15.0  # seconds
SPEED_BOUND = 300.0  # ms at the 95th percentile; above it the overview says so
LEAST_TIMED = 20  # slates; fewer say nothing of a 95th percentile
WEEK = timedelta(days=7)
MOST_SHOWN = 5_000  # newest slates of each catalog whose items are counted
COVERAGE_FRESH_FOR = 300.0  # seconds

# The times of each slate's stages; a fixed list, such as newest first, has none.
SPEED_SQL = """
SELECT chosen.id, count(total.ms),
       percentile_cont(ARRAY[0.5, 0.95, 0.99]) WITHIN GROUP (ORDER BY total.ms)
FROM unnest(%(catalogs)s::bigint[]) AS chosen(id)
CROSS JOIN LATERAL (
    SELECT trace FROM catalog_slatelog
    WHERE catalog_id = chosen.id AND created_at >= %(since)s
    ORDER BY created_at DESC LIMIT %(most)s
) AS recent
CROSS JOIN LATERAL (
    SELECT sum((stage->>'milliseconds')::float8) AS ms
    FROM jsonb_array_elements(recent.trace->'stages') AS stage
) AS total
WHERE total.ms IS NOT NULL
GROUP BY chosen.id
"""
STAGES_SQL = """
SELECT stage->>'name', count(*),
       percentile_cont(ARRAY[0.5, 0.95, 0.99])
           WITHIN GROUP (ORDER BY (stage->>'milliseconds')::float8)
FROM (
    SELECT trace FROM catalog_slatelog
    WHERE catalog_id = %(catalog)s AND created_at >= %(since)s
    ORDER BY created_at DESC LIMIT %(most)s
) AS recent
CROSS JOIN LATERAL jsonb_array_elements(recent.trace->'stages') WITH ORDINALITY AS one(stage, place)
GROUP BY 1 ORDER BY min(place), 1
"""
COVERAGE_SQL = """
WITH recent AS (
    SELECT chosen.id AS catalog_id, slate.item_ids, slate.seen_positions
    FROM unnest(%(catalogs)s::bigint[]) AS chosen(id)
    CROSS JOIN LATERAL (
        SELECT item_ids, seen_positions FROM catalog_slatelog
        WHERE catalog_id = chosen.id AND created_at >= %(since)s
        ORDER BY created_at DESC LIMIT %(most)s
    ) AS slate
), shown AS (
    SELECT catalog_id, item_id, bool_or(place - 1 = ANY(seen_positions)) AS seen
    FROM recent CROSS JOIN LATERAL unnest(item_ids) WITH ORDINALITY AS one(item_id, place)
    GROUP BY catalog_id, item_id
), counted AS (
    SELECT shown.catalog_id, count(*) AS shown, count(*) FILTER (WHERE shown.seen) AS seen
    FROM shown JOIN catalog_item item ON item.id = shown.item_id AND item.available
    GROUP BY shown.catalog_id
)
SELECT chosen.id, coalesce(counted.shown, 0), coalesce(counted.seen, 0),
       (SELECT count(*) FROM catalog_item WHERE catalog_id = chosen.id AND available),
       (SELECT count(*) FROM recent WHERE recent.catalog_id = chosen.id)
FROM unnest(%(catalogs)s::bigint[]) AS chosen(id)
LEFT JOIN counted ON counted.catalog_id = chosen.id
"""


@dataclass(frozen=True)
class Speed:
    """Times of answers, in ms."""

    slates: int
    p50: float
    p95: float
    p99: float
    name: str = ""  # of a stage; '' = all of them together

    @property
    def is_slow(self) -> bool:
        """Whether it is above the bound, as far as so few slates can say."""
        return self.slates >= LEAST_TIMED and self.p95 > SPEED_BOUND


@dataclass(frozen=True)
class Coverage:
    """How much of what is available was shown in a week."""

    shown: int  # items
    seen: int  # items that were really in view
    available: int
    slates: int  # that were looked at

    @property
    def shown_share(self) -> float | None:
        """The share that was shown; None of nothing."""
        return self.shown / self.available if self.available else None

    @property
    def seen_share(self) -> float | None:
        """The share that was in view; None of nothing."""
        return self.seen / self.available if self.available else None

    @property
    def is_bounded(self) -> bool:
        """Whether more may have been shown by slates that were not looked at."""
        return self.slates >= MOST_SHOWN and self.shown < self.available


def look_at_speed() -> dict[int, Speed]:
    """Catalog id → times of its newest slates of the last 24 hours; one query."""
    values: dict[str, Any] = {
        "catalogs": _ids(),
        "since": timezone.now() - RECENT,
        "most": MOST_TIMED,
    }
    with connection.cursor() as cursor:
        cursor.execute(SPEED_SQL, values)
        return {catalog: Speed(slates, *times) for catalog, slates, times in cursor.fetchall()}


def stages_of(catalog: Catalog) -> list[Speed]:
    """The times of each stage, in the order in which they run."""
    values: dict[str, Any] = {
        "catalog": catalog.pk,
        "since": timezone.now() - RECENT,
        "most": MOST_TIMED,
    }
    with connection.cursor() as cursor:
        cursor.execute(STAGES_SQL, values)
        return [
            Speed(slates, p50, p95, p99, name)
            for name, slates, (p50, p95, p99) in cursor.fetchall()
        ]


def look_at_coverage() -> dict[int, Coverage]:
    """Catalog id → how much of it the newest slates of the last seven days show; one query."""
    values: dict[str, Any] = {
        "catalogs": _ids(),
        "since": timezone.now() - WEEK,
        "most": MOST_SHOWN,
    }
    with connection.cursor() as cursor:
        cursor.execute(COVERAGE_SQL, values)
        return {catalog: Coverage(*counts) for catalog, *counts in cursor.fetchall()}


def _ids() -> list[int]:
    return list(Catalog.objects.values_list("pk", flat=True))


speed = Fresh(look_at_speed, SPEED_FRESH_FOR, 4 * SPEED_FRESH_FOR)
coverage = Fresh(look_at_coverage, COVERAGE_FRESH_FOR, 4 * COVERAGE_FRESH_FOR)
