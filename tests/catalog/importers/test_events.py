"""Imported interactions and offers."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from django.utils import timezone

from catalog.creation import create_catalog
from catalog.importers.files import Summary, import_files
from catalog.models import Catalog, Interaction, Item, Offer, User
from tests.catalog.importers.files import bad_rows, write

pytestmark = pytest.mark.django_db


def test_bad_interactions_are_listed_and_unknown_people_made(
    catalog: Catalog, items: list[Item], folder: Path
) -> None:
    future = (timezone.now() + timedelta(minutes=10)).isoformat()
    path = write(
        folder,
        "actions.csv",
        "user_id,item_id,timestamp,type,value,extra\n"
        "u,i0,2024-01-01 08:00,click,,x\n"
        "u,i9,2024-01-01,click,,\n"
        "u,i0,2024-01-01,stare,,\n"
        "u,i0,2024-01-01,read,,\n"
        f"u,i0,{future},click,,\n"
        "u,i0,1989-12-31,click,,\n"
        "u,i0,soon,click,,\n"
        "u,i0,,click,,\n"
        "u,i0,2024-01-01,rate,many,\n"
        ",i0,2024-01-01,click,,\n"
        "v,i9,2024-01-01,click,,\n"
        "w,i1,1704096000123,rate,4.5,\n",
    )
    outcome = import_files(catalog, interactions_file=path)
    assert [row[1:3] for row in bad_rows(outcome)] == [
        ("3", "item_id"),
        ("4", "type"),
        ("5", "type"),
        ("6", "timestamp"),
        ("7", "timestamp"),
        ("8", "timestamp"),
        ("9", "timestamp"),
        ("10", "value"),
        ("11", "user_id"),
        ("12", "item_id"),
    ]
    assert set(User.objects.values_list("external_id", flat=True)) == {"u", "w"}
    first = Interaction.objects.get(user__external_id="u")
    assert first.timestamp == datetime(2024, 1, 1, 8, tzinfo=UTC)
    rated = Interaction.objects.get(user__external_id="w")
    assert rated.timestamp == datetime(2024, 1, 1, 8, 0, 0, 123000, tzinfo=UTC)
    assert rated.value == 4.5


def test_bad_offers_are_listed_and_the_good_ones_kept(
    catalog: Catalog, items: list[Item], folder: Path
) -> None:
    other = create_catalog("other", kind="product")
    Item.objects.create(catalog=other, external_id="elsewhere", title="Elsewhere")
    rows = [
        "i0,mailer,2024-05-06,2024-05-13,x",
        "i0, Mailer ,2024-05-13T00:00+02:00,1716163200,",  # in seconds, 2024-05-20
        "i1,end-of-aisle_2,2024-05-06,9999-12-31,",
        ",mailer,2024-05-06,2024-05-13,",
        "i9,mailer,2024-05-06,2024-05-13,",
        "elsewhere,mailer,2024-05-06,2024-05-13,",
        "i1,,2024-05-06,2024-05-13,",
        "i1,in store,2024-05-06,2024-05-13,",
        f"i1,{'x' * 33},2024-05-06,2024-05-13,",
        "i1,mailer,,2024-05-13,",
        "i1,mailer,Monday,2024-05-13,",
        "i1,mailer,1989-12-31,2024-05-13,",
        "i1,mailer,2024-05-06,,",
        "i1,mailer,2024-05-06,2024-02-30,",
        "i1,mailer,2024-05-06,2024-05-06,",
        "i1,mailer,2024-05-06,2024-05-05,",
        "i1,mailer,2024-05-06,9999-12-31 23:00-12:00,",
        "i2,mailer,2024-05-06,2024-05-07,",
        "i2,mailer,2024-05-06T00:00Z,2024-05-13,",
        "i2,display,2024-05-06,2024-05-13,",
        "i3,mailer,2024-05-06",
    ]
    header = "item_id,kind,starts_at,ends_at,note"
    path = write(folder, "p.csv", "\n".join([header, *rows]) + "\n")
    outcome = import_files(catalog, offers_file=path)
    assert [row[1:3] for row in bad_rows(outcome)] == [
        ("22", ""),
        ("5", "item_id"),
        ("6", "item_id"),
        ("7", "item_id"),
        ("8", "kind"),
        ("9", "kind"),
        ("10", "kind"),
        ("11", "starts_at"),
        ("12", "starts_at"),
        ("13", "starts_at"),
        ("14", "ends_at"),
        ("15", "ends_at"),
        ("16", "ends_at"),
        ("17", "ends_at"),
        ("18", "ends_at"),
        ("19", "item_id"),
    ]
    assert ("p.csv", "16", "ends_at", "is not after starts_at") in bad_rows(outcome)
    assert outcome.summaries == [Summary("offers", 21, 5, 0, 16)]
    may = datetime(2024, 5, 1, tzinfo=UTC)
    stored = Offer.objects.filter(catalog=catalog).order_by("item", "kind", "starts_at")
    assert list(stored.values_list("item__external_id", "kind", "starts_at", "ends_at")) == [
        ("i0", "mailer", may.replace(day=6), may.replace(day=13)),
        ("i0", "mailer", datetime(2024, 5, 12, 22, tzinfo=UTC), may.replace(day=20)),
        ("i1", "end-of-aisle_2", may.replace(day=6), datetime(9999, 12, 31, tzinfo=UTC)),
        ("i2", "display", may.replace(day=6), may.replace(day=13)),
        ("i2", "mailer", may.replace(day=6), may.replace(day=13)),
    ]


def test_offers_come_with_their_items_and_a_second_run_changes_nothing(
    catalog: Catalog, folder: Path
) -> None:
    items = write(folder, "items.csv", "item_id,title\n1,Tea\n2,Milk\n")
    path = folder / "promotions.parquet"

    def run(days: int) -> list[Summary]:
        start = datetime(2024, 5, 6, 8)  # noqa: DTZ001
        times = pa.timestamp("ms")
        columns = {
            "item_id": pa.array([1, 2], pa.int64()),
            "kind": ["mailer", "display"],
            "starts_at": pa.array([start, start], times),
            "ends_at": pa.array([start + timedelta(7), start + timedelta(days)], times),
        }
        pq.write_table(pa.table(columns), path)
        return import_files(catalog, items_file=items, offers_file=path).summaries

    def version() -> int:
        return Catalog.objects.get(pk=catalog.pk).items_version

    assert run(7)[1] == Summary("offers", 2, 2, 0, 0)
    before, told = list(Offer.objects.values()), version()
    again = run(7)[1]
    assert (again, again.unchanged) == (Summary("offers", 2, 0, 0, 0), 2)
    assert (list(Offer.objects.values()), version()) == (before, told)
    assert run(8)[1] == Summary("offers", 2, 0, 1, 0)
    assert version() == told + 1
    ends = Offer.objects.values_list("ends_at", flat=True).order_by("item__external_id")
    assert list(ends) == [
        datetime(2024, 5, 13, 8, tzinfo=UTC),
        datetime(2024, 5, 14, 8, tzinfo=UTC),
    ]


def test_the_same_files_in_two_catalogs_are_two_histories(
    catalog: Catalog, items: list[Item], folder: Path
) -> None:
    other = create_catalog("other", kind="product")
    Item.objects.create(catalog=other, external_id="i0", title="Elsewhere")
    path = write(folder, "a.csv", "user_id,item_id,timestamp,type\nu,i0,2024-01-01,click\n")
    for shop in (catalog, other):
        assert import_files(shop, interactions_file=path).summaries[0].added == 1
    assert Interaction.objects.count() == 2
