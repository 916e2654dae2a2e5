import csv
import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from io import StringIO
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from django.conf import settings
from django.core.management import CommandError, call_command
from django.db import connection
from django.utils import timezone
from pytest_django import Settings

from catalog.creation import create_catalog
from catalog.errors import CatalogError
from catalog.importers.files import Outcome, Summary, import_files
from catalog.models import Catalog, Interaction, Item, LoadState, Offer, User

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, settings: Settings) -> Path:
    settings.IMPORT_REPORT_DIR = tmp_path / "reports"
    return tmp_path


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def bad_rows(outcome: Outcome) -> list[tuple[str, ...]]:
    """File, line, field and reason of each row in the report."""
    assert outcome.report is not None
    with outcome.report.open(newline="") as file:
        return [tuple(row) for row in csv.reader(file)][1:]


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
