"""What a catalog's data looks like: counts that say whether it is fit to learn from.

Every look is bounded: days are counted over the last `DAYS`, single rows are looked at among the
newest `NEWEST`, histories over a sample of people. In all it takes seven queries.
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

from django.db import connection
from django.utils import timezone

from catalog.models import Catalog

DAYS = 90  # that volumes are counted over
NEWEST = 200_000  # items or interactions that single rows are looked at among
PEOPLE_SAMPLE = 5_000  # people whose histories are counted
BUCKETS = (0, 1, 5, 20)  # history lengths from these on
REPEAT_SECONDS = 5.0  # the same person, item and type again within it: a double click, a bad sender
MANY_A_DAY = 500  # interactions of one person, purchases not counted: hardly a person
CLOCK_SKEW = timedelta(minutes=5)
LIVE = timedelta(days=28)  # data whose last interaction is older has come to an end
PLAUSIBLE_FROM = datetime(2000, 1, 1, tzinfo=UTC)

ITEMS = """
WITH newest AS (
    SELECT body, category, price, image, available, published_at, text_digest
    FROM catalog_item WHERE catalog_id = %(catalog)s ORDER BY id DESC LIMIT %(newest)s
), copies AS (
    SELECT count(*) AS items, count(DISTINCT text_digest) AS texts FROM newest
)
SELECT (SELECT count(*) FROM catalog_item WHERE catalog_id = %(catalog)s), count(*),
    count(*) FILTER (WHERE body = ''), count(*) FILTER (WHERE image = ''),
    count(*) FILTER (WHERE category = ''), count(*) FILTER (WHERE price IS NULL),
    count(*) FILTER (WHERE NOT available), count(*) FILTER (WHERE published_at > now()),
    (SELECT items - texts FROM copies)
FROM newest
"""
SPAN = """
SELECT count(*), min("timestamp"), max("timestamp"),
    count(*) FILTER (WHERE "timestamp" > now() + %(skew)s),
    count(*) FILTER (WHERE "timestamp" < %(plausible)s)
FROM catalog_interaction WHERE catalog_id = %(catalog)s
"""
BY_DAY = """
SELECT ("timestamp" AT TIME ZONE 'UTC')::date, count(*), count(*) FILTER (WHERE is_suspected),
    count(*) FILTER (WHERE slate_id IS NOT NULL), count(*) FILTER (
        WHERE slate_id IS NOT NULL
        AND NOT EXISTS (SELECT FROM catalog_slatelog WHERE id = slate_id)
    )
FROM catalog_interaction
WHERE catalog_id = %(catalog)s AND "timestamp" >= %(since)s AND "timestamp" < %(until)s
GROUP BY 1
"""
SLATES_BY_DAY = """
WITH answered AS MATERIALIZED (
    SELECT DISTINCT slate_id FROM catalog_interaction
    WHERE catalog_id = %(catalog)s AND "timestamp" >= %(since)s AND slate_id IS NOT NULL
)
SELECT (created_at AT TIME ZONE 'UTC')::date, count(*), sum(cardinality(seen_positions)),
    count(*) FILTER (WHERE seen_positions = '{}' AND slate_id IS NULL),
    count(*) FILTER (WHERE seen_positions <> '{}' AND slate_id IS NULL),
    count(*) FILTER (WHERE seen_positions = '{}' AND slate_id IS NOT NULL)
FROM catalog_slatelog LEFT JOIN answered ON slate_id = id
WHERE catalog_id = %(catalog)s AND created_at >= %(since)s AND created_at < %(until)s
GROUP BY 1
"""
HISTORIES = """
WITH people AS MATERIALIZED (
    SELECT id FROM catalog_user TABLESAMPLE BERNOULLI (%(share)s) REPEATABLE (1)
    WHERE NOT is_staff LIMIT %(people)s
), histories AS (
    SELECT (
        SELECT count(*) FROM (
            SELECT FROM catalog_interaction
            WHERE user_id = people.id AND catalog_id = %(catalog)s AND NOT is_suspected
            LIMIT %(longest)s
        ) AS found
    ) AS length FROM people
)
SELECT width_bucket(length, %(buckets)s::bigint[]), count(*) FROM histories GROUP BY 1
"""
ROWS = """
WITH newest AS MATERIALIZED (
    SELECT user_id, item_id, type, "timestamp" AS moment
    FROM catalog_interaction WHERE catalog_id = %(catalog)s AND "timestamp" < %(until)s
    ORDER BY "timestamp" DESC LIMIT %(newest)s
), gaps AS (
    SELECT moment - lag(moment) OVER (
        PARTITION BY user_id, item_id, type ORDER BY moment
    ) AS gap FROM newest WHERE type <> 'purchase'
), busy AS (
    SELECT user_id, count(*) AS most FROM newest WHERE type <> 'purchase'
    GROUP BY user_id, (moment AT TIME ZONE 'UTC')::date HAVING count(*) > %(many)s
)
SELECT (SELECT count(*) FROM newest),
    (SELECT count(*) FROM gaps WHERE gap < make_interval(secs => %(seconds)s)),
    (SELECT count(*) FROM newest JOIN catalog_item ON catalog_item.id = item_id
     WHERE moment < published_at),
    (SELECT count(DISTINCT user_id) FROM busy), (SELECT coalesce(max(most), 0) FROM busy)
"""
PEOPLE = "SELECT greatest(reltuples, 0) FROM pg_class WHERE oid = 'catalog_user'::regclass"


@dataclass(frozen=True)
class ItemFigures:
    """Items; the shares are of the newest ones."""

    items: int  # all of them
    looked_at: int
    no_text: int  # nothing but a title
    no_picture: int
    no_category: int
    no_price: int
    unavailable: int
    not_yet_published: int
    copies: int  # more than the first of those whose title, category and text are the same


@dataclass(frozen=True)
class Day:
    """One day, UTC."""

    day: date
    interactions: int = 0
    suspected: int = 0
    of_slates: int = 0  # interactions that name a slate
    of_unknown_slates: int = 0  # that name one which is not there
    slates: int = 0
    impressions: int = 0  # positions that were in view
    slates_ignored: int = 0  # neither in view nor picked from: never seen, or nobody reported it
    slates_unpicked: int = 0  # in view, and nothing was picked
    slates_unreported: int = 0  # picked from, though never reported to be in view


@dataclass(frozen=True)
class RowFigures:
    """The newest interactions, row by row."""

    looked_at: int
    repeated: int
    before_publication: int
    busy_people: int  # did more than MANY_A_DAY things in a day
    most_a_day: int


@dataclass(frozen=True)
class Figures:
    """All that was counted."""

    items: ItemFigures
    interactions: int
    first: datetime | None
    last: datetime | None
    in_future: int
    implausibly_old: int
    days: list[Day]  # oldest first; no day is left out
    histories: dict[int, int]  # shortest length of a bucket → people of the sample
    rows: RowFigures


def figures_of(catalog: Catalog) -> Figures:
    """Count everything, in seven queries."""
    now = timezone.now()
    items = ItemFigures(*_row(ITEMS, catalog=catalog.pk, newest=NEWEST))
    total, first, last, in_future, old = _row(
        SPAN, catalog=catalog.pk, skew=CLOCK_SKEW, plausible=PLAUSIBLE_FROM
    )
    until = now + CLOCK_SKEW
    rows = _row(
        ROWS,
        catalog=catalog.pk,
        until=until,
        newest=NEWEST,
        many=MANY_A_DAY,
        seconds=REPEAT_SECONDS,
    )
    return Figures(
        items=items,
        interactions=total,
        first=first,
        last=last,
        in_future=in_future,
        implausibly_old=old,
        days=_days(catalog, _last_day(last, now), until),
        histories=_histories(catalog),
        rows=RowFigures(*rows),
    )


def _last_day(last: datetime | None, now: datetime) -> date:
    """Today, so that a stop shows; of data that ended long ago, its last day."""
    ended = last is not None and now - last > LIVE
    return (last if last and ended else now).astimezone(UTC).date()


def _days(catalog: Catalog, end: date, until: datetime) -> list[Day]:
    """The days up to this one, or up to the last one on which slates were shown."""
    since = end - timedelta(days=DAYS - 1)
    span = {
        "catalog": catalog.pk,
        "since": datetime.combine(since, datetime.min.time(), tzinfo=UTC),
        "until": until,
    }
    did = {row[0]: row[1:] for row in _rows(BY_DAY, **span)}
    shown = {row[0]: row[1:] for row in _rows(SLATES_BY_DAY, **span)}
    end = max([end, *shown])
    days = [end - timedelta(days=back) for back in range(DAYS - 1, -1, -1)]
    return [Day(day, *did.get(day, (0,) * 4), *shown.get(day, (0,) * 5)) for day in days]


def _histories(catalog: Catalog) -> dict[int, int]:
    """How many people of a sample have how long a history here."""
    (people,) = _row(PEOPLE)
    found = dict(
        _rows(
            HISTORIES,
            catalog=catalog.pk,
            share=min(100.0, 120 * PEOPLE_SAMPLE / max(people, 1)),
            people=PEOPLE_SAMPLE,
            longest=BUCKETS[-1],
            buckets=list(BUCKETS),
        )
    )
    return {low: found.get(place, 0) for place, low in enumerate(BUCKETS, start=1)}


def _row(sql: str, **values: Any) -> tuple[Any, ...]:
    return _rows(sql, **values)[0]


def _rows(sql: str, **values: Any) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql, values)
        found: list[tuple[Any, ...]] = cursor.fetchall()
    return found
