"""The only writer of interactions and impressions. Everything here may be sent twice.

Idempotency. An interaction carries a UUID made by the client. The table is partitioned by time, so
the database's own unique key is (event_id, timestamp); when the server sets the time, a repeated
event would slip past that key. So each write first locks its event ids (advisory locks, which end
with the transaction) and leaves out those that were stored within the last `REPLAY_DAYS`.

Bots. Somebody who does more than `SUSPICIOUS_PER_MINUTE` things within a minute, purchases not
counted (a checkout records a whole basket at once), is suspected: what goes beyond is kept, flagged
`is_suspected`, and left out of counts and training (`Interaction.objects.counted()`).
"""

import math
import time
import uuid
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db import OperationalError, connection, transaction
from django.utils import timezone
from psycopg.errors import LockNotAvailable

from catalog.models import Catalog, Interaction, InteractionType, Item, SlateLog, User

REPLAY_DAYS = 40  # how long a repeated event id is recognised whatever its time
CLOCK_SKEW = timedelta(minutes=5)  # how far a client's clock may run ahead
EARLIEST = datetime(1990, 1, 1, tzinfo=UTC)
SUSPICIOUS_PER_MINUTE = 60  # interactions of one person in one catalog
ROWS_A_TRANSACTION = 500  # one advisory lock each; the server's lock table holds some thousands
MONTHS_LOCK_TIMEOUT = "200ms"  # less than PostgreSQL's deadlock_timeout of a second
MONTHS_TIMEOUT = 120.0  # seconds; somebody else's import may hold the locks for as long
LAST_POSITION = 32767  # smallint
LONGEST_NUMBER = 2**63 - 1  # bigint


@dataclass(frozen=True)
class Event:
    """One interaction, as a page or a program reports it."""

    user_id: int
    item_id: int
    type: str
    timestamp: datetime | None = None  # None: the server's clock; naive: UTC
    value: float | None = None  # quantity, rating, or seconds of reading
    event_id: uuid.UUID | None = None  # None: cannot be repeated safely
    slate_id: uuid.UUID | None = None
    position: int | None = None  # in the slate, 0 = first
    is_simulated: bool = False


@dataclass(frozen=True)
class Refusal:
    """Why one event was not stored."""

    index: int  # in the sequence that was handed in
    field: str
    reason: str


@dataclass(frozen=True)
class LogResult:
    """What became of a batch; the three parts add up to its length."""

    accepted: int
    duplicates: int
    refused: list[Refusal]


@dataclass(frozen=True)
class _Row:
    """An event that passed every check."""

    event: Event
    event_id: uuid.UUID
    timestamp: datetime


def log_interactions(catalog: Catalog, events: Sequence[Event]) -> LogResult:
    """Store what people did; a bad event is refused alone, an event seen before is left out.

    A batch of more than `ROWS_A_TRANSACTION` events is stored in several transactions. If one of
    them fails, the call raises and may simply be repeated.

    Returns
    -------
    LogResult
        Counts, and each refusal with the field and the reason.
    """
    now = timezone.now()
    rows, refused = _check(catalog, events, now)
    unique = list({row.event_id: row for row in reversed(rows)}.values())[::-1]
    ensure_months([row.timestamp for row in unique])
    accepted = 0
    for start in range(0, len(unique), ROWS_A_TRANSACTION):
        accepted += _store(catalog, unique[start : start + ROWS_A_TRANSACTION], now)
    return LogResult(accepted, len(rows) - accepted, refused)


def withdraw(catalog: Catalog, user_id: int, item_id: int, type: str) -> int:
    """Undo: take back what a person said of an item (a like, a "less like this").

    Returns
    -------
    int
        How many interactions went.
    """
    said = Interaction.objects.filter(catalog=catalog, user_id=user_id, item_id=item_id, type=type)
    return said.delete()[0]


def log_slate(row: SlateLog) -> None:
    """Store what was shown and why."""
    row.save(force_insert=True)


def log_impressions(slate_id: uuid.UUID, user_id: int | None, positions: Iterable[int]) -> bool:
    """Mark positions of a slate as really seen. One UPDATE, so concurrent batches add up.

    Only the slate's own person can do it. A slate that was shown to a visitor who had no row yet
    becomes that of the first person who reports on it: its id is a random UUID that nobody else
    knows. Positions that the slate doesn't have are ignored.

    Returns
    -------
    bool
        Whether the slate is known and this person's; False means that nothing was stored.
    """
    seen = sorted({position for position in positions if 0 <= position <= LAST_POSITION})
    with connection.cursor() as cursor:
        cursor.execute(
            """
            UPDATE catalog_slatelog SET
                user_id = COALESCE(user_id, %(user)s),
                seen_positions = ARRAY(
                    SELECT DISTINCT place
                    FROM unnest(seen_positions || %(seen)s::smallint[]) AS place
                    WHERE place < cardinality(item_ids)
                    ORDER BY place
                )
            WHERE id = %(slate)s
              AND (user_id IS NULL OR user_id = %(user)s)
            """,
            {"slate": slate_id, "user": user_id, "seen": seen},
        )
        return bool(cursor.rowcount)


def ensure_months(moments: Iterable[datetime]) -> None:
    """Create the partitions that these moments need, and next month's.

    Next month's is made ahead because adding a partition locks the whole table for an instant: so
    no visitor's click waits for it at midnight. Call it before the transaction that writes.

    A new partition needs locks on catalogs, users and items too, in an order that no writer of them
    knows of. So it waits for a lock for less than `deadlock_timeout` and then starts again.
    """
    ahead = timezone.now() + timedelta(days=31)
    months = {
        moment.astimezone(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
        for moment in (*moments, ahead)
    }
    deadline = time.monotonic() + MONTHS_TIMEOUT
    while missing := _missing_months(sorted(months)):
        try:
            with transaction.atomic(), connection.cursor() as cursor:
                cursor.execute("SET LOCAL lock_timeout = %s", [MONTHS_LOCK_TIMEOUT])
                cursor.execute(
                    "SELECT catalog_ensure_interaction_month(moment)"
                    " FROM unnest(%s::timestamptz[]) AS moment",
                    [missing],
                )
        except OperationalError as error:
            if not isinstance(error.__cause__, LockNotAvailable) or time.monotonic() > deadline:
                raise
            time.sleep(0.1)


def _missing_months(months: list[datetime]) -> list[datetime]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT moment FROM unnest(%s::timestamptz[]) AS moment WHERE to_regclass("
            "'catalog_interaction_' || to_char(moment AT TIME ZONE 'UTC', 'YYYY_MM')) IS NULL",
            [months],
        )
        return [moment for (moment,) in cursor.fetchall()]


def _check(
    catalog: Catalog, events: Sequence[Event], now: datetime
) -> tuple[list[_Row], list[Refusal]]:
    """Split a batch into rows to store and refusals; two queries whatever its size."""
    item_ids = {event.item_id for event in events if abs(event.item_id) <= LONGEST_NUMBER}
    user_ids = {event.user_id for event in events if abs(event.user_id) <= LONGEST_NUMBER}
    items = set(Item.objects.filter(catalog=catalog, pk__in=item_ids).values_list("pk", flat=True))
    users = set(User.objects.filter(pk__in=user_ids).values_list("pk", flat=True))
    types = set(catalog.event_weights) & set(InteractionType.values)
    rows: list[_Row] = []
    refused: list[Refusal] = []
    for index, event in enumerate(events):
        timestamp = _aware(event.timestamp) or now
        fault = next(_faults(event, timestamp, now, types, items, users), None)
        if fault:
            refused.append(Refusal(index, *fault))
        else:
            rows.append(_Row(event, event.event_id or uuid.uuid4(), timestamp))
    return rows, refused


def _faults(
    event: Event,
    timestamp: datetime,
    now: datetime,
    types: set[str],
    items: set[int],
    users: set[int],
) -> Iterator[tuple[str, str]]:
    """What is wrong with one event: (field, reason) each."""
    if event.type not in types:
        yield "type", f"unknown type '{event.type}'; this catalog counts {', '.join(sorted(types))}"
    if timestamp > now + CLOCK_SKEW:
        yield "timestamp", "is more than 5 minutes in the future"
    if timestamp < EARLIEST:
        yield "timestamp", "is before 1990"
    if event.item_id not in items:
        yield "item_id", "no such item in this catalog"
    if event.user_id not in users:
        yield "user_id", "no such user"
    if event.value is not None and not math.isfinite(event.value):
        yield "value", "is not a finite number"
    if event.position is not None and not 0 <= event.position <= LAST_POSITION:
        yield "position", f"is not between 0 and {LAST_POSITION}"


def _aware(moment: datetime | None) -> datetime | None:
    """The moment with a time zone; a naive one is UTC."""
    if moment is not None and timezone.is_naive(moment):
        return moment.replace(tzinfo=UTC)
    return moment


def _store(catalog: Catalog, rows: Sequence[_Row], now: datetime) -> int:
    """Write rows whose event id is new; returns how many were."""
    with transaction.atomic(), connection.cursor() as cursor:
        event_ids = sorted(row.event_id for row in rows)
        cursor.execute(
            """
            SELECT pg_advisory_xact_lock(hashtextextended(event_id::text, 1))
            FROM (SELECT event_id FROM unnest(%s::uuid[]) AS event_id ORDER BY 1) AS in_order
            """,
            [event_ids],
        )
        cursor.execute(
            """
            SELECT event_id FROM catalog_interaction
            WHERE event_id = ANY(%s) AND "timestamp" >= %s AND "timestamp" < %s
            """,
            [event_ids, now - timedelta(days=REPLAY_DAYS), now + timedelta(days=1)],
        )
        stored = {event_id for (event_id,) in cursor.fetchall()}
        fresh = [row for row in rows if row.event_id not in stored]
        return _insert(catalog, fresh, _suspected(catalog, fresh, now)) if fresh else 0


def _suspected(catalog: Catalog, rows: Sequence[_Row], now: datetime) -> list[bool]:
    """Which of these rows come too fast after each other for a person."""
    minute_ago = now - timedelta(minutes=1)
    live = [
        row.timestamp > minute_ago and row.event.type != InteractionType.PURCHASE for row in rows
    ]
    users = {row.event.user_id for row, is_live in zip(rows, live, strict=True) if is_live}
    count = _recent(catalog, users, minute_ago) if users else Counter()
    suspected = []
    for row, is_live in zip(rows, live, strict=True):
        count[row.event.user_id] += is_live
        suspected.append(is_live and count[row.event.user_id] > SUSPICIOUS_PER_MINUTE)
    return suspected


def _recent(catalog: Catalog, user_ids: set[int], since: datetime) -> Counter[int]:
    """How much each of these people has done since then, purchases not counted."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT user_id, count(*) FROM catalog_interaction
            WHERE user_id = ANY(%s) AND catalog_id = %s AND type <> 'purchase'
              AND "timestamp" > %s AND "timestamp" < %s
            GROUP BY user_id
            """,
            [sorted(user_ids), catalog.pk, since, since + timedelta(days=1)],
        )
        return Counter(dict(cursor.fetchall()))


def _insert(catalog: Catalog, rows: Sequence[_Row], suspected: Sequence[bool]) -> int:
    """One INSERT of a column each; returns how many rows were new."""
    columns: list[list[Any]] = [
        [row.event_id for row in rows],
        [row.event.user_id for row in rows],
        [row.event.item_id for row in rows],
        [row.event.type for row in rows],
        [row.timestamp for row in rows],
        [row.event.value for row in rows],
        [row.event.slate_id for row in rows],
        [row.event.position for row in rows],
        [row.event.is_simulated for row in rows],
        list(suspected),
    ]
    with connection.cursor() as cursor:
        cursor.execute(
            """
            INSERT INTO catalog_interaction (
                catalog_id, event_id, user_id, item_id, type, "timestamp", value, slate_id,
                position, is_simulated, is_suspected
            )
            SELECT %s, * FROM unnest(
                %s::uuid[], %s::bigint[], %s::bigint[], %s::text[], %s::timestamptz[],
                %s::float8[], %s::uuid[], %s::smallint[], %s::boolean[], %s::boolean[]
            )
            ON CONFLICT DO NOTHING
            """,
            [catalog.pk, *columns],
        )
        return int(cursor.rowcount)
