import math
import threading
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from catalog.creation import create_catalog
from catalog.events import (
    SUSPICIOUS_PER_MINUTE,
    Event,
    LogResult,
    ensure_months,
    log_impressions,
    log_interactions,
    log_slate,
)
from catalog.models import Catalog, Interaction, Item, SlateLog, User


def click(user: User, item: Item, **fields: object) -> Event:
    return Event(user.pk, item.pk, "click", **fields)  # type: ignore[arg-type]


def test_everything_of_an_event_is_stored(catalog: Catalog, items: list[Item], user: User) -> None:
    moment = datetime(2024, 2, 29, 23, 59, 59, 123456, tzinfo=UTC)
    event = Event(
        user_id=user.pk,
        item_id=items[0].pk,
        type="rate",
        timestamp=moment,
        value=4.5,
        event_id=uuid.uuid4(),
        slate_id=uuid.uuid4(),
        position=3,
        is_simulated=True,
    )
    assert log_interactions(catalog, [event]) == LogResult(1, 0, [])
    row = Interaction.objects.get()
    assert (row.user, row.item, row.catalog, row.type) == (user, items[0], catalog, "rate")
    assert (row.timestamp, row.value, row.event_id) == (moment, 4.5, event.event_id)
    assert (row.slate_id, row.position) == (event.slate_id, 3)
    assert row.is_simulated
    assert not row.is_suspected


def test_a_missing_time_is_the_servers_and_a_naive_one_is_utc(
    catalog: Catalog, items: list[Item], user: User
) -> None:
    before = timezone.now()
    log_interactions(catalog, [click(user, items[0])])
    assert before <= Interaction.objects.get().timestamp <= timezone.now()
    naive = datetime(2024, 1, 1, 12, 0)  # noqa: DTZ001
    log_interactions(catalog, [click(user, items[1], timestamp=naive)])
    assert Interaction.objects.get(item=items[1]).timestamp == datetime(2024, 1, 1, 12, tzinfo=UTC)


def test_bad_events_are_refused_one_by_one(catalog: Catalog, items: list[Item], user: User) -> None:
    other = create_catalog("other", kind="product")
    foreign = Item.objects.create(catalog=other, external_id="i0", title="Elsewhere")
    soon, now = timezone.now() + timedelta(minutes=6), timezone.now()
    events = [
        click(user, items[0]),
        Event(user.pk, items[0].pk, "stare"),
        Event(user.pk, items[0].pk, "read"),  # an article's type, that no product counts
        click(user, items[0], timestamp=soon),
        click(user, items[0], timestamp=datetime(1989, 12, 31, tzinfo=UTC)),
        click(user, foreign),
        Event(user.pk, 2**80, "click"),
        Event(10**9, items[0].pk, "click"),
        click(user, items[0], value=math.nan),
        click(user, items[0], position=-1),
        click(user, items[0], position=40_000),
        click(user, items[1], timestamp=now + timedelta(minutes=4)),
    ]
    result = log_interactions(catalog, events)
    assert result.accepted == 2
    assert [(refusal.index, refusal.field) for refusal in result.refused] == [
        (1, "type"),
        (2, "type"),
        (3, "timestamp"),
        (4, "timestamp"),
        (5, "item_id"),
        (6, "item_id"),
        (7, "user_id"),
        (8, "value"),
        (9, "position"),
        (10, "position"),
    ]
    assert Interaction.objects.count() == 2


def test_an_event_sent_again_is_a_duplicate_even_when_the_server_sets_the_time(
    catalog: Catalog, items: list[Item], user: User
) -> None:
    event = click(user, items[0], event_id=uuid.uuid4())
    assert log_interactions(catalog, [event, event]) == LogResult(1, 1, [])
    assert log_interactions(catalog, [event]) == LogResult(0, 1, [])
    old = click(user, items[0], event_id=uuid.uuid4(), timestamp=datetime(2020, 5, 5, tzinfo=UTC))
    assert log_interactions(catalog, [old]).accepted == 1
    assert log_interactions(catalog, [old]) == LogResult(0, 1, [])


@pytest.mark.django_db(transaction=True)
def test_an_event_sent_by_many_at_once_is_stored_once(
    catalog: Catalog, items: list[Item], user: User
) -> None:
    events = [click(user, items[0], event_id=uuid.uuid4()) for _ in range(20)]
    results: list[LogResult] = []

    def send(batch: list[Event]) -> None:
        try:
            results.append(log_interactions(catalog, batch))
        finally:
            connection.close()

    threads = [
        threading.Thread(target=send, args=(events if number % 2 else events[::-1],))
        for number in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 6
    assert sum(result.accepted for result in results) == 20
    assert sum(result.duplicates for result in results) == 100
    assert Interaction.objects.count() == 20


def test_who_is_too_fast_for_a_person_is_suspected_and_not_counted(
    catalog: Catalog, items: list[Item], user: User
) -> None:
    events = [click(user, items[number % 5]) for number in range(SUSPICIOUS_PER_MINUTE)]
    log_interactions(catalog, events)
    assert not Interaction.objects.filter(is_suspected=True).exists()
    other = User.objects.create(username="bob")
    log_interactions(catalog, [click(user, items[0]), click(other, items[0])])
    assert Interaction.objects.get(is_suspected=True).user == user
    assert Interaction.objects.counted().count() == SUSPICIOUS_PER_MINUTE + 1


def test_a_full_basket_is_not_suspected(catalog: Catalog, items: list[Item], user: User) -> None:
    basket = [Event(user.pk, items[0].pk, "purchase") for _ in range(SUSPICIOUS_PER_MINUTE * 2)]
    assert log_interactions(catalog, basket).accepted == len(basket)
    assert not Interaction.objects.filter(is_suspected=True).exists()


def test_a_large_batch_takes_a_bounded_number_of_queries(
    catalog: Catalog, items: list[Item], user: User
) -> None:
    moment = datetime(2024, 3, 1, tzinfo=UTC)
    events = [
        click(user, items[0], timestamp=moment + timedelta(seconds=number)) for number in range(500)
    ]
    ensure_months([moment])
    with CaptureQueriesContext(connection) as queries:
        assert log_interactions(catalog, events).accepted == 500
    assert len(queries) <= 8  # items, users, months, savepoint, lock, replay, insert, release
    assert log_interactions(catalog, []) == LogResult(0, 0, [])


def _plan(sql: str, parameters: list[Any]) -> str:
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
        cursor.execute(f"EXPLAIN {sql}", parameters)
        return "\n".join(line for (line,) in cursor.fetchall())


def test_a_history_is_read_through_its_index(
    catalog: Catalog, items: list[Item], user: User
) -> None:
    log_interactions(catalog, [click(user, items[0])])
    query = Interaction.objects.history_of(user.pk, catalog.pk)[:50]
    sql, parameters = query.query.sql_with_params()
    plan = _plan(sql, list(parameters))
    assert "user_id_catalog_id_timestamp_idx" in plan
    assert "Seq Scan" not in plan


def test_a_replay_is_looked_for_in_the_last_months_only(
    catalog: Catalog, items: list[Item], user: User
) -> None:
    ensure_months([datetime(2015, month, 1, tzinfo=UTC) for month in range(1, 13)])
    with CaptureQueriesContext(connection) as queries:
        log_interactions(catalog, [click(user, items[0], event_id=uuid.uuid4())])
    (sql,) = [query["sql"] for query in queries if "event_id = ANY" in query["sql"]]
    plan = _plan(sql.replace("%", "%%"), [])
    assert "event_id_timestamp" in plan
    assert "catalog_interaction_2015" not in plan


def test_months_are_made_once_and_next_month_too(db: None) -> None:
    moment = datetime(2011, 7, 31, 23, 59, tzinfo=UTC)
    ensure_months([moment, moment])
    ensure_months([moment])
    ahead = (timezone.now() + timedelta(days=31)).strftime("%Y_%m")
    with connection.cursor() as cursor:
        for month in ("2011_07", ahead):
            cursor.execute("SELECT to_regclass(%s)", [f"catalog_interaction_{month}"])
            assert cursor.fetchone() != (None,), month


@pytest.fixture
def slate(catalog: Catalog, items: list[Item], user: User) -> SlateLog:
    row = SlateLog(
        catalog=catalog,
        user=user,
        surface="shop-home",
        item_ids=[item.pk for item in items],
        scores=[1.0] * 5,
        propensities=[1.0] * 5,
        sources=["popular"] * 5,
    )
    log_slate(row)
    return row


def test_impressions_add_up(slate: SlateLog, user: User) -> None:
    assert log_impressions(slate.pk, user.pk, [2, 0])
    assert log_impressions(slate.pk, user.pk, [2, 1])
    slate.refresh_from_db()
    assert slate.seen_positions == [0, 1, 2]


def test_positions_that_the_slate_does_not_have_are_ignored(slate: SlateLog, user: User) -> None:
    assert log_impressions(slate.pk, user.pk, [4, 5, -1, 10**9])
    slate.refresh_from_db()
    assert slate.seen_positions == [4]


def test_nobody_reports_on_anothers_slate(slate: SlateLog) -> None:
    stranger = User.objects.create(username="eve")
    assert not log_impressions(slate.pk, stranger.pk, [0])
    assert not log_impressions(slate.pk, None, [0])
    assert not log_impressions(uuid.uuid4(), stranger.pk, [0])
    slate.refresh_from_db()
    assert slate.seen_positions == []


def test_a_first_slate_becomes_that_of_the_guest_who_reports_on_it(
    slate: SlateLog, user: User
) -> None:
    SlateLog.objects.update(user=None)
    assert log_impressions(slate.pk, user.pk, [0])
    stranger = User.objects.create(username="eve")
    assert not log_impressions(slate.pk, stranger.pk, [1])
    slate.refresh_from_db()
    assert slate.user == user
    assert slate.seen_positions == [0]


@pytest.mark.django_db(transaction=True)
def test_impressions_of_many_batches_at_once_all_count(
    catalog: Catalog, items: list[Item], user: User
) -> None:
    row = SlateLog.objects.create(
        catalog=catalog,
        user=user,
        surface="shop-home",
        item_ids=[items[0].pk] * 40,
        scores=[1.0] * 40,
        propensities=[1.0] * 40,
        sources=["popular"] * 40,
    )

    def send(position: int) -> None:
        try:
            log_impressions(row.pk, user.pk, [position])
        finally:
            connection.close()

    threads = [threading.Thread(target=send, args=(position,)) for position in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    row.refresh_from_db()
    assert row.seen_positions == list(range(10))
