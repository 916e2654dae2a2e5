"""Before an import: columns by other names, the first rows, a dry run, files of people."""

import json
import os
import time
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from django.core.management import CommandError, call_command

from catalog.errors import CatalogError
from catalog.importers import mapping, uploads
from catalog.importers.files import Origin, import_by_kind
from catalog.importers.preview import preview
from catalog.importers.rows import INTERACTIONS, ITEMS
from catalog.models import Catalog, Import, Interaction, Item, LoadState, User
from tests.catalog.importers.files import write

pytestmark = pytest.mark.django_db

THREE_BAD = "sku,name,cost\na,Tea,2\nb,Milk,dear\n,Egg,1\nc,Rice,-1\nd,Oats,3\n"
NAMES = {"sku": "item_id", "name": "title", "cost": "price"}


class TestMapping:
    @pytest.mark.parametrize(
        ("columns", "layout", "found"),
        [
            (["sku", "name", "cost", "note"], ITEMS, NAMES),
            (["item_id", "id", "title"], ITEMS, {}),
            (["itemId", "Product Name"], ITEMS, {"itemId": "item_id", "Product Name": "title"}),
            (
                ["customer_id", "sku", "time", "event", "qty"],
                INTERACTIONS,
                {
                    "customer_id": "user_id",
                    "sku": "item_id",
                    "time": "timestamp",
                    "event": "type",
                    "qty": "value",
                },
            ),
        ],
    )
    def test_guesses_by_name(self, columns: list[str], layout: Any, found: dict[str, str]) -> None:
        assert mapping.guess(columns, layout) == found

    def test_is_remembered_for_the_same_header(self, catalog: Catalog, folder: Path) -> None:
        columns = ["sku", "name", "cost"]
        assert mapping.remembered(catalog, "items", columns) is None
        path = write(folder, "items.csv", THREE_BAD)
        import_by_kind(catalog, {"items": path}, names={"items": NAMES | {"cost": ""}})
        again = mapping.remembered(catalog, "items", reversed(columns))
        assert again == NAMES | {"cost": ""}
        assert mapping.remembered(catalog, "users", columns) is None
        assert Item.objects.get(external_id="b").price is None  # the column was left out

    def test_every_format_takes_it(self, catalog: Catalog, folder: Path) -> None:
        row = {"sku": "p", "name": "Parquet", "cost": 1.5, "note": "n"}
        pq.write_table(pa.Table.from_pylist([row]), folder / "p.parquet")
        for path in (
            folder / "p.parquet",
            write(folder, "j.jsonl", json.dumps(row | {"sku": "j"})),
            write(folder, "c.csv", "sku,name,cost,note\nc,CSV,1.5,n\n"),
        ):
            import_by_kind(catalog, {"items": path}, names={"items": NAMES})
        items = Item.objects.order_by("external_id")
        assert [(item.external_id, str(item.price)) for item in items] == [
            ("c", "1.50"),
            ("j", "1.50"),
            ("p", "1.50"),
        ]
        assert all(item.attributes == {"note": "n"} for item in items)

    @pytest.mark.parametrize(
        ("names", "fault"),
        [
            ({"sku": "colour"}, "have no field 'colour'"),
            ({"sku": "item_id", "name": "item_id"}, "Two columns are to be item_id"),
            ({"nope": "item_id"}, "has no column nope"),
            ({"name": "title"}, "has no column item_id"),
        ],
    )
    def test_says_what_is_wrong(
        self, catalog: Catalog, folder: Path, names: dict[str, str], fault: str
    ) -> None:
        path = write(folder, "items.csv", THREE_BAD)
        with pytest.raises(CatalogError, match=fault):
            import_by_kind(catalog, {"items": path}, names={"items": names})
        assert not Import.objects.exists()


class TestDryRun:
    def test_says_which_rows_are_bad_and_writes_nothing(
        self, catalog: Catalog, folder: Path
    ) -> None:
        path = write(folder, "items.csv", THREE_BAD)
        Item.objects.create(catalog=catalog, external_id="a", title="Old tea")
        before = Catalog.objects.get().items_version
        outcome = import_by_kind(
            catalog, {"items": path}, names={"items": NAMES}, origin=Origin(is_dry=True)
        )
        assert str(outcome.summaries[0]) == ("items: 5 rows: 1 new, 1 changed, 0 unchanged, 3 bad")
        assert [(row.line, row.field, row.reason) for _, row in outcome.first_bad] == [
            (3, "price", "is not a number"),
            (4, "item_id", "is missing"),
            (5, "price", "is negative"),
        ]
        assert Item.objects.get().title == "Old tea"
        assert not Import.objects.exists()
        assert not LoadState.objects.exists()
        assert Catalog.objects.get().items_version == before

    def test_interactions_are_counted_as_the_import_counts_them(
        self, catalog: Catalog, folder: Path
    ) -> None:
        files = {
            "items": write(folder, "items.csv", "item_id,title\na,Tea\n"),
            "interactions": write(
                folder,
                "i.csv",
                "user_id,item_id,timestamp,type\nann,a,2019-05-01,click\nann,zz,2019-05-01,click\n"
                "ann,a,2019-05-01,click\n",
            ),
        }
        tried = import_by_kind(catalog, files, origin=Origin(is_dry=True))
        assert not Interaction.objects.exists()
        assert not User.objects.exists()
        done = import_by_kind(catalog, files)
        assert tried.summaries == done.summaries
        assert (done.summaries[1].added, done.bad) == (2, 1)

    def test_the_command(
        self, catalog: Catalog, folder: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        path = write(folder, "items.csv", THREE_BAD)
        names = [f"--map={column}={field}" for column, field in NAMES.items()]
        call_command("import_data", "corner", "--items", str(path), *names, "--dry-run")
        told = capsys.readouterr().out
        assert "items.csv, line 3: price is not a number" in told
        assert "Nothing was written" in told
        with pytest.raises(CommandError, match="not COLUMN=FIELD"):
            call_command("import_data", "corner", "--items", str(path), "--map=sku")
        with pytest.raises(CommandError, match="one file"):
            call_command("import_data", "corner", f"--items={path}", f"--users={path}", "--map=a=b")


class TestPreview:
    def test_shows_the_first_rows(self, folder: Path) -> None:
        found = preview(write(folder, "items.csv", "\ufeffsku, name\na,Tea\nb," + "x" * 500))
        assert found.columns == ["sku", "name"]
        assert found.rows[0] == ["a", "Tea"]
        assert len(found.rows[1][1]) < 130
        lines = write(folder, "i.jsonl", '{"a": 1}\nnonsense\n{"b": [1, 2]}\n')
        assert preview(lines).rows == [["1", ""], ["", "[1, 2]"]]
        pq.write_table(pa.table({"a": [1, None]}), folder / "p.parquet")
        assert preview(folder / "p.parquet").rows == [["1"], [""]]

    @pytest.mark.parametrize(
        ("name", "content", "fault"),
        [
            ("a.csv", b"", "is empty"),
            ("a.csv", "title\nTee für zwei\n".encode("latin-1"), "is not UTF-8 .byte 0xfc"),
            ("a.jsonl", b"[1]\n", "no JSON object"),
            ("a.parquet", b"PAR1", "cannot be read as Parquet"),
            ("a.xlsx", b"PK", "ends in none of .csv"),
        ],
    )
    def test_says_what_is_wrong(self, folder: Path, name: str, content: bytes, fault: str) -> None:
        path = folder / name
        path.write_bytes(content)
        with pytest.raises(CatalogError, match=fault):
            preview(path)


class TestUploads:
    @pytest.fixture(autouse=True)
    def folders(self, folder: Path, settings: Any) -> None:
        settings.UPLOAD_DIR = folder / "uploads"
        settings.IMPORT_DIR = folder / "inbox"

    def test_are_kept_and_found(self, folder: Path) -> None:
        source = uploads.keep("../../Größen 1.csv", [b"a,", b"b\n"])
        path = uploads.find(source)
        assert path.read_bytes() == b"a,b\n"
        assert path.is_relative_to(folder / "uploads")
        assert path.name == "Größen 1.csv"
        with pytest.raises(CatalogError, match="ends in none of"):
            uploads.keep("table.xlsx", [b""])

    def test_only_files_below_the_folders(self, folder: Path) -> None:
        inbox = folder / "inbox"
        inbox.mkdir()
        write(folder, "secret.csv", "x")
        write(inbox, "good.csv", "x")
        (inbox / "link.csv").symlink_to(folder / "secret.csv")
        assert uploads.find("folder/good.csv") == (inbox / "good.csv").resolve()
        for source in ("folder/../secret.csv", "folder/link.csv", f"folder/{folder}/secret.csv"):
            with pytest.raises(CatalogError, match="Only files below"):
                uploads.find(source)
        for source in (
            "",
            "folder/",
            "elsewhere/x",
            "folder/none.csv",
            "upload/a/b.csv",
            "folder/\0",
        ):
            with pytest.raises(CatalogError):
                uploads.find(source)
        assert uploads.in_folder() == ["good.csv", "link.csv"]

    def test_go_after_a_week(self) -> None:
        old = uploads.find(uploads.keep("a.csv", [b"a"]))
        new = uploads.find(uploads.keep("b.csv", [b"a"]))
        week_ago = time.time() - 8 * 24 * 3600
        os.utime(old.parent, (week_ago, week_ago))
        uploads.tidy()
        assert not old.exists()
        assert new.exists()
