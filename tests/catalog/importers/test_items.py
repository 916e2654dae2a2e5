"""Imported items."""

from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from django.conf import settings

from catalog.importers.files import Outcome, Summary, import_files
from catalog.models import Catalog, Interaction, Item
from tests.catalog.importers.files import bad_rows, write

pytestmark = pytest.mark.django_db


def test_an_item_with_every_column(catalog: Catalog, folder: Path) -> None:
    path = write(
        folder,
        "items.csv",
        "item_id,title,body,category,price,image,published_at,available,attributes,colour\n"
        '7,"A ""big"", red\nball",Bounces,Toys>Balls,9.999,/ball.png,2024-05-01 12:00:00+02:00,'
        'no,"{""size"": 3}",red\n',
    )
    outcome = import_files(catalog, items_file=path)
    assert outcome.summaries == [Summary("items", 1, 1, 0, 0)]
    item = Item.objects.get()
    assert (item.external_id, item.title, item.body) == ("7", 'A "big", red\nball', "Bounces")
    assert (item.category, item.price, item.image) == (
        "Toys > Balls",
        Decimal("10.00"),
        "/ball.png",
    )
    assert item.published_at == datetime(2024, 5, 1, 10, tzinfo=UTC)
    assert not item.available
    assert item.attributes == {"size": 3, "colour": "red"}


def test_a_byte_order_mark_and_windows_line_ends(catalog: Catalog, folder: Path) -> None:
    path = folder / "items.csv"
    path.write_bytes("item_id,title\r\n1,Käse\r\n\r\n2,Brot\r\n".encode("utf-8-sig"))
    assert import_files(catalog, items_file=path).summaries[0].added == 2
    assert Item.objects.get(external_id="1").title == "Käse"


def test_bad_items_are_listed_and_the_good_ones_kept(catalog: Catalog, folder: Path) -> None:
    rows = [
        "ok,Fine,1.5,2024-01-01,true,{}",
        ",No id,1,,,",
        "a,,1,,,",
        "b,Dear,12 dollars,,,",
        "c,Cheap,-1,,,",
        "d,Undated,1,yesterday,,",
        "e,Maybe,1,,perhaps,",
        "f,List,1,,,[1]",
        "g,Too,many,cells,here,now,really",
        'h,"Half a quote" of it,1,,,',
        f"{'x' * 201},Long,1,,,",
        "i,Not a number,NaN,,,",
        "j,Impossible,1,2024-02-30,,",
        "k,Far,1,9999999999999,,",
        "l,Twice,1,,,",
        "l,Again,2,,YES,",
        "m,Nul\0,1,,,",
    ]
    path = write(
        folder,
        "items.csv",
        "item_id,title,price,published_at,available,attributes\n" + "\n".join(rows) + "\n",
    )
    outcome = import_files(catalog, items_file=path)
    assert [(line, field) for _, line, field, _ in bad_rows(outcome)] == [
        ("10", ""),
        ("11", ""),
        ("18", ""),
        ("3", "item_id"),
        ("4", "title"),
        ("5", "price"),
        ("6", "price"),
        ("7", "published_at"),
        ("8", "available"),
        ("9", "attributes"),
        ("12", "item_id"),
        ("13", "price"),
        ("14", "published_at"),
        ("16", "item_id"),
    ]
    assert set(Item.objects.values_list("external_id", flat=True)) == {"ok", "k", "l"}
    twice = Item.objects.get(external_id="l")
    assert (twice.title, twice.price, twice.available) == ("Again", Decimal(2), True)
    assert outcome.summaries == [Summary("items", 17, 3, 0, 14)]


def test_a_second_run_changes_nothing(catalog: Catalog, folder: Path) -> None:
    items = write(folder, "items.csv", "item_id,title,price,x\n1,Tea,1.999,a\n2,Milk,,\n")
    users = write(folder, "users.jsonl", '{"user_id": "u", "age": 30}\n')
    actions = write(
        folder,
        "actions.csv",
        "user_id,item_id,timestamp,type,value\n"
        "u,1,2024-01-01T10:00:00Z,purchase,2\nu,1,2024-01-01T10:00:00Z,purchase,2\nv,2,1704103200,view,\n",
    )

    def run() -> Outcome:
        return import_files(catalog, items_file=items, users_file=users, interactions_file=actions)

    first = run()
    assert [summary.added for summary in first.summaries] == [2, 1, 3]
    assert first.report is None
    catalog.refresh_from_db()
    before = list(Item.objects.order_by("pk").values()), list(Interaction.objects.values())
    version = catalog.items_version
    assert version == 1
    second = run()
    assert [(s.added, s.changed, s.bad) for s in second.summaries] == [(0, 0, 0)] * 3
    assert [summary.unchanged for summary in second.summaries] == [2, 1, 3]
    assert (
        list(Item.objects.order_by("pk").values()),
        list(Interaction.objects.values()),
    ) == before
    catalog.refresh_from_db()
    assert catalog.items_version == version
    assert not list(settings.IMPORT_REPORT_DIR.iterdir())


def test_a_changed_item_is_changed_and_absent_columns_are_left_alone(
    catalog: Catalog, folder: Path
) -> None:
    import_files(
        catalog,
        items_file=write(
            folder, "a.csv", "item_id,title,price,available,brand\n1,Tea,3,no,X\n2,Milk,1,,Y\n"
        ),
    )
    kept = Item.objects.get(external_id="2").updated_at
    outcome = import_files(
        catalog, items_file=write(folder, "b.csv", "item_id,price\n1,4\n2,1\n9,5\n")
    )
    assert outcome.summaries == [Summary("items", 3, 0, 1, 1)]
    assert bad_rows(outcome) == [("b.csv", "4", "title", "is missing")]
    tea = Item.objects.get(external_id="1")
    assert (tea.title, tea.price, tea.available) == ("Tea", Decimal(4), False)
    assert tea.attributes == {"brand": "X"}
    assert Item.objects.get(external_id="2").updated_at == kept
