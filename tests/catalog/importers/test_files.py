"""Formats, people, unreadable files, progress, the commands."""

import json
from datetime import UTC, datetime
from decimal import Decimal
from io import StringIO
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from django.conf import settings
from django.core.management import CommandError, call_command
from django.db import connection

from catalog.errors import CatalogError
from catalog.importers.files import import_files
from catalog.models import Catalog, Interaction, Item, LoadState, User
from tests.catalog.importers.files import bad_rows, write

pytestmark = pytest.mark.django_db


def test_json_lines(catalog: Catalog, folder: Path) -> None:
    lines = [
        {
            "item_id": 1,
            "title": "Tea",
            "price": 2.5,
            "available": False,
            "category": ["Food", "Hot"],
        },
        {"item_id": "2", "title": "Milk", "attributes": {"fat": 3.5}, "tags": ["a", "b"]},
        ["no", "object"],
        {"item_id": "3", "title": "Bad", "attributes": "text"},
        {"item_id": "4", "title": "Nul", "note": "\0"},
        {"item_id": "5", "title": "Half \ud800"},
    ]
    text = "\n".join(json.dumps(line) for line in lines) + "\n{broken\n\n"
    outcome = import_files(catalog, items_file=write(folder, "items.jsonl", text))
    assert [row[1] for row in bad_rows(outcome)] == ["3", "6", "7", "4", "5"]
    tea = Item.objects.get(external_id="1")
    assert (tea.price, tea.available, tea.category) == (Decimal("2.5"), False, "Food > Hot")
    assert Item.objects.get(external_id="2").attributes == {"fat": 3.5, "tags": ["a", "b"]}


def test_parquet(catalog: Catalog, folder: Path) -> None:
    moment = datetime(2024, 1, 1, 12, 30)  # noqa: DTZ001
    pq.write_table(
        pa.table(
            {
                "item_id": pa.array([1, 2], pa.int64()),
                "title": ["Tea", "Milk"],
                "price": [1.5, float("nan")],
                "published_at": pa.array([moment, None], pa.timestamp("ns")),
                "available": [True, None],
                "sizes": [[1, 2], None],
            }
        ),
        folder / "items.parquet",
    )
    pq.write_table(
        pa.table(
            {
                "user_id": pa.array([5], pa.int32()),
                "item_id": [1],
                "timestamp": pa.array([moment], pa.timestamp("us", tz="Europe/Berlin")),
                "type": ["purchase"],
                "value": [2.0],
            }
        ),
        folder / "actions.parquet",
    )
    outcome = import_files(
        catalog,
        items_file=folder / "items.parquet",
        interactions_file=folder / "actions.parquet",
    )
    assert outcome.report is None
    tea, milk = Item.objects.order_by("external_id")
    assert (tea.price, milk.price, milk.available) == (Decimal("1.5"), None, True)
    assert tea.published_at == moment.replace(tzinfo=UTC)
    assert tea.attributes == {"sizes": [1, 2]}
    assert Interaction.objects.get().timestamp == moment.replace(tzinfo=UTC)


def test_people_gain_attributes_and_lose_none(catalog: Catalog, folder: Path) -> None:
    import_files(catalog, users_file=write(folder, "a.csv", "user_id,age,town\nu,30,Rome\n"))
    import_files(
        catalog, users_file=write(folder, "b.csv", 'user_id,attributes\nu,"{""age"": 31}"\n')
    )
    person = User.objects.get(external_id="u")
    assert person.attributes == {"age": 31, "town": "Rome"}
    assert person.username == "~u"
    assert not person.has_usable_password()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", b"", "is empty"),
        ("a.csv", b"title\nTea\n", "has no column item_id"),
        ("a.csv", b"item_id,item_id\n1,2\n", "more than once"),
        ("a.csv", "item_id,title\n1,Käse\n".encode("latin-1"), "is not UTF-8"),
        ("a.csv", "item_id,title\n1,Tea\n".encode("utf-16"), "is not UTF-8"),
        ("a.parquet", b"PAR1 not really", "cannot be read as Parquet"),
        ("a.xlsx", b"", "ends in none of"),
    ],
)
def test_an_unreadable_file_is_one_line_and_nothing_is_written(
    catalog: Catalog, folder: Path, name: str, content: bytes, message: str
) -> None:
    good = write(folder, "good.csv", "user_id,age\nu,30\n")
    (folder / name).write_bytes(content)
    with pytest.raises(CatalogError, match=message):
        import_files(catalog, items_file=folder / name, users_file=good)
    assert not User.objects.exists()
    assert not Item.objects.exists()
    assert not LoadState.objects.exists()
    assert (
        not list(settings.IMPORT_REPORT_DIR.glob("*"))
        if settings.IMPORT_REPORT_DIR.exists()
        else True
    )


def test_an_encoding_fault_far_down_leaves_nothing_half_written(
    catalog: Catalog, folder: Path
) -> None:
    items = write(folder, "items.csv", "item_id,title\n1,Tea\n")
    rows = b"".join(b"u,1,2024-01-01,click\n" for _ in range(30_000))
    (folder / "a.csv").write_bytes(b"user_id,item_id,timestamp,type\n" + rows + b"\xff\n")
    with pytest.raises(CatalogError, match="0xff"):
        import_files(catalog, items_file=items, interactions_file=folder / "a.csv")
    assert not Item.objects.exists()


def test_progress_is_told_and_kept(catalog: Catalog, items: list[Item], folder: Path) -> None:
    rows = "".join(f"u,i0,{1_700_000_000 + number},click\n" for number in range(45_000))
    path = write(folder, "a.csv", "user_id,item_id,timestamp,type\n" + rows)
    told: list[tuple[str, int]] = []
    import_files(
        catalog, interactions_file=path, say=lambda stage, done: told.append((stage, done))
    )
    assert told[:3] == [
        ("read interactions", 20_000),
        ("read interactions", 40_000),
        ("read interactions", 45_000),
    ]
    load = LoadState.objects.get()
    assert (load.stage, load.done, load.total) == ("import interactions", 45_000, 45_000)
    assert load.finished_at is not None


def test_the_commands(folder: Path) -> None:
    out = StringIO()
    call_command("create_catalog", "films", "--kind", "product", "--language", "de", stdout=out)
    films = Catalog.objects.get(slug="films")
    assert (films.language, films.repeat_consumption) == ("de", False)
    path = write(folder, "items.csv", "item_id,title\n1,Metropolis\n2,\n")
    call_command("import_data", "films", "--items", str(path), stdout=out)
    assert "items: 2 rows: 1 new, 0 changed, 0 unchanged, 1 bad" in out.getvalue()
    assert "1 bad rows are listed in" in out.getvalue()
    path = write(
        folder, "p.csv", "item_id,kind,starts_at,ends_at\n1,mailer,2024-05-06,2024-05-13\n"
    )
    call_command("import_data", "films", "--offers", str(path), stdout=out)
    assert "offers: 1 rows: 1 new, 0 changed, 0 unchanged, 0 bad" in out.getvalue()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["create_catalog", "No Slug", "--kind", "product"], "cannot name a catalog"),
        (["create_catalog", "corner", "--kind", "product"], "already"),
        (["create_catalog", "x", "--kind", "product", "--language", "!"], "no language code"),
        (["import_data", "corner"], "Name at least one file"),
        (["import_data", "nowhere", "--items", "x.csv"], "There is no catalog 'nowhere'"),
        (["import_data", "corner", "--items", "/nowhere.csv"], "There is no file"),
        (["import_data", "corner", "--items", "/tmp"], "There is no file"),
    ],
)
@pytest.mark.usefixtures("catalog")
def test_a_wrong_command_says_so_in_one_line(arguments: list[str], message: str) -> None:
    with pytest.raises(CommandError, match=message) as caught:
        call_command(*arguments)
    assert "\n" not in str(caught.value)


@pytest.mark.django_db(transaction=True)
def test_a_database_that_goes_away_is_one_line_and_nothing_is_written(
    catalog: Catalog, folder: Path
) -> None:
    path = write(folder, "items.csv", "item_id,title\n1,Tea\n2,\n")

    def kill(stage: str, rows: int) -> None:
        if stage == "write items":
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_terminate_backend(pg_backend_pid())")

    with pytest.raises(CatalogError, match="The database gave up") as caught:
        import_files(catalog, items_file=path, say=kill)
    assert caught.value.retry
    assert "\n" not in str(caught.value)
    connection.close()
    assert not Item.objects.exists()
    assert not list(settings.IMPORT_REPORT_DIR.iterdir())
