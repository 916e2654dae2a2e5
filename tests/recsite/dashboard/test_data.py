"""The dashboard: the data doctor's page, and a file's way through the import pages."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from catalog.creation import create_catalog
from catalog.events import Event, log_interactions
from catalog.figures import DAYS
from catalog.importers import uploads
from catalog.models import AuditEntry, Catalog, Import, Item, User
from recsite.dashboard import doctor
from training.errors import RunCancelled
from training.handle import RunHandle
from training.import_run import import_or_undo
from training.leases import claim
from training.models import TrainingRun

THREE_BAD = "sku,name,cost\na,Tea,2\nb,Milk,dear\n,Egg,1\nc,Rice,-1\nd,Oats,3\n"


@pytest.fixture(autouse=True)
def folders(settings: Any, tmp_path: Path) -> Iterator[None]:
    settings.UPLOAD_DIR = tmp_path / "uploads"
    settings.IMPORT_DIR = tmp_path / "inbox"
    settings.IMPORT_REPORT_DIR = tmp_path / "reports"
    settings.RUN_DIR = tmp_path / "runs"
    settings.IMPORT_DIR.mkdir()
    doctor.forget()
    yield
    doctor.forget()


@pytest.fixture
def shop(db: None) -> Catalog:
    return create_catalog("shop", kind="product", name="Larder")


def page(name: str, *args: Any) -> str:
    return reverse(f"dashboard:{name}", args=["shop", *args])


def upload(staff: Client, name: str, content: bytes, kind: str = "items") -> Any:
    form = {"kind": kind, "file": SimpleUploadedFile(name, content)}
    return staff.post(page("imports"), form)


def carried_out(run: TrainingRun) -> TrainingRun:
    lease = claim(run.pk, "me")
    assert lease is not None
    with RunHandle(TrainingRun.objects.get(pk=run.pk), lease) as handle:
        import_or_undo(handle)
    return TrainingRun.objects.get(pk=run.pk)


class TestDoctor:
    def test_the_page_is_quick_and_the_findings_come_after_it(
        self, staff: Client, shop: Catalog, django_assert_max_num_queries: Any
    ) -> None:
        with django_assert_max_num_queries(4):
            text = staff.get(page("doctor")).content.decode()
        assert f'hx-get="{page("doctor-findings")}"' in text
        with django_assert_max_num_queries(18):
            text = staff.get(page("doctor-findings")).content.decode()
        assert "There are no items." in text
        assert "manage.py import_data shop --items FILE" in text
        assert f'href="{page("imports")}"' in text
        with django_assert_max_num_queries(4):  # within three minutes the same look
            assert "There are no items." in staff.get(f"{page('doctor')}?now=1").content.decode()

    def test_the_list_of_catalogs(self, staff: Client) -> None:
        data = reverse("dashboard:data")
        assert "create_catalog" in staff.get(data).content.decode()
        create_catalog("shop", kind="product", name="Larder")
        assert "Larder" in staff.get(data).content.decode()

    def test_volumes_are_drawn_by_day(self, staff: Client, shop: Catalog) -> None:
        shopper = User.objects.create_user("shopper")
        item = Item.objects.create(catalog=shop, external_id="a", title="Tea")
        log_interactions(shop, [Event(shopper.pk, item.pk, "view")] * 3)
        answer = staff.get(page("doctor-findings"))
        (chart,) = answer.context["charts"]
        assert (chart.title, chart.beside_name, len(chart.points)) == (
            "Interactions a day", "suspected", DAYS,
        )  # fmt: skip
        assert [dot.point.value for dot in chart.dots] == [3]  # of ninety days, the last
        text = answer.content.decode()
        assert '<td class="num text-right">3</td>' in text
        assert '<th scope="col">Level</th>' not in text  # counts are not judged


class TestImport:
    def test_from_the_file_to_its_undo(self, staff: Client, shop: Catalog) -> None:
        """Three bad rows are listed with their lines, and the good ones come and go."""
        Item.objects.create(catalog=shop, external_id="a", title="Old tea")
        chosen = upload(staff, "goods.csv", THREE_BAD.encode())
        assert chosen.status_code == 302
        looked = staff.get(chosen.url).content.decode()
        assert '<option value="item_id" selected>item_id (needed)' in looked
        assert "<span>Oats</span>" in looked
        columns = {"column-0": "item_id", "column-1": "title", "column-2": "price"}
        tried = staff.post(chosen.url, columns | {"do": "check"})
        text = tried.content.decode()
        assert "5 rows: 1 new, 1 changed, 0 unchanged, 3 bad" in text
        bad = [(row.line, row.field) for _, row in tried.context["outcome"].first_bad]
        assert bad == [(3, "price"), (4, "item_id"), (5, "price")]
        assert "is not a number" in text
        assert Item.objects.get().title == "Old tea"
        report: Any = staff.get(page("import-report", tried.context["outcome"].report.name))
        assert b"goods.csv,3,price,is not a number" in b"".join(report.streaming_content)

        started: Any = staff.post(chosen.url, columns | {"do": "import"})
        run = carried_out(TrainingRun.objects.get())
        assert started.url == reverse("dashboard:run", args=[run.pk])
        assert run.environment["report"].startswith("shop-")
        shown = staff.get(started.url).content.decode()
        assert "5 rows, 1 new, 1 changed, 3 bad" in shown
        assert "line 4: item_id is missing" in shown
        made = Import.objects.get()
        assert (made.who, made.run_id) == ("admin", run.pk)
        assert AuditEntry.objects.get(kind="import").who == "admin"
        listed = staff.get(page("imports")).content.decode()
        assert "goods.csv" in listed
        assert run.environment["report"] in listed

        again = staff.get(upload(staff, "more.csv", b"cost,name,sku\n1,Egg,e\n").url)
        assert "as they were the last time" in again.content.decode()

        asked = staff.get(page("import-undo", made.pk)).content.decode()
        assert "This cannot be undone" in asked
        assert staff.post(page("import-undo", made.pk)).status_code == 302
        assert Item.objects.get().title == "Old tea"
        assert "undone by admin" in staff.get(page("imports")).content.decode()
        assert staff.post(page("import-undo", made.pk)).status_code == 422

    def test_the_list_sorts_by_its_columns(self, staff: Client, shop: Catalog) -> None:
        for day, (name, who) in enumerate((("b.csv", "zoe"), ("a.csv", "ann"), ("c.csv", ""))):
            at = timezone.now() - timedelta(days=day)
            Import.objects.create(catalog=shop, name=name, who=who, made_at=at)

        def names(sort: str) -> list[str]:
            answer = staff.get(page("imports"), {"sort": sort} if sort else {})
            assert answer.content.decode().count('aria-sort="none"') == 2
            return [made.name[0] for made in answer.context["page"]]

        assert names("") == ["b", "a", "c"]  # newest first
        assert names("when") == ["c", "a", "b"]
        assert names("import") == ["a", "b", "c"]
        assert names("-by") == ["b", "a", "c"]
        assert names("nonsense") == ["b", "a", "c"]

    def test_large_ones_run_behind_the_page(
        self, staff: Client, shop: Catalog, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("recsite.dashboard.import_pages.AT_ONCE", 1)
        monkeypatch.setattr("recsite.dashboard.import_pages.ROWS_AT_ONCE", 0)
        address = upload(staff, "goods.csv", THREE_BAD.encode()).url
        columns = {"column-0": "item_id", "column-1": "title", "column-2": "leave-out"}
        staff.post(address, columns | {"do": "check"})
        run = carried_out(TrainingRun.objects.get())
        log = list(run.log_lines.order_by("pk").values_list("text", flat=True))
        assert log[0] == "items: 5 rows: 4 new, 0 changed, 0 unchanged, 1 bad"
        assert log[-1] == "Nothing was written: this was a dry run."
        assert not Item.objects.exists()
        TrainingRun.objects.all().delete()
        staff.post(address, columns | {"do": "import"})
        carried_out(TrainingRun.objects.get())
        assert Item.objects.count() == 4
        TrainingRun.objects.all().delete()
        staff.post(page("import-undo", Import.objects.get().pk))
        carried_out(TrainingRun.objects.get())
        assert not Item.objects.exists()

    def test_only_an_admin_repeats_an_undo(self, client: Client, shop: Catalog) -> None:
        client.force_login(User.objects.create_user("ada", is_staff=True, role="operator"))
        for parameters, status in (({"undo": 1}, 403), ({"source": "upload/a/b.csv"}, 302)):
            run = TrainingRun.objects.create(
                catalog=shop, kind="import", state="failed", parameters=parameters
            )
            again = client.post(reverse("dashboard:retry", args=[run.pk]))
            assert again.status_code == status

    def test_a_cancelled_one_leaves_nothing_and_a_finished_one_is_not_repeated(
        self, admin: User, shop: Catalog
    ) -> None:
        source = uploads.keep("a.csv", [b"item_id,title\na,Tea\n"])
        parameters = {"source": source, "kind": "items", "names": {}}
        run = TrainingRun.objects.create(catalog=shop, kind="import", parameters=parameters)
        lease = claim(run.pk, "me")
        assert lease is not None
        with RunHandle(TrainingRun.objects.get(pk=run.pk), lease) as handle:
            handle._stop = RunCancelled
            with pytest.raises(RunCancelled):
                import_or_undo(handle)
            assert not Item.objects.exists()
            assert not Import.objects.exists()
            handle._stop = None
            import_or_undo(handle)
            import_or_undo(handle)
        assert Import.objects.count() == 1
        assert run.log_lines.order_by("-pk")[0].text.startswith("Everything was written")

    def test_a_file_on_the_server(self, staff: Client, shop: Catalog, settings: Any) -> None:
        (settings.IMPORT_DIR / "day.jsonl").write_text('{"item_id": 1, "title": "Tea"}\n')
        assert "day.jsonl" in staff.get(page("imports")).content.decode()
        chosen: Any = staff.post(page("imports"), {"kind": "items", "path": "day.jsonl"})
        assert "Tea" in staff.get(chosen.url).content.decode()
        refused = staff.post(page("imports"), {"kind": "items", "path": "../secret.csv"})
        assert "Only files below" in refused.content.decode()

    @pytest.mark.parametrize(
        ("name", "content", "fault"),
        [
            ("a.csv", b"", "a.csv is empty"),
            ("a.xlsx", b"PK", "ends in none of .csv"),
            ("a.csv", b"x" * (1024 * 1024 + 1), "larger than 1 MB"),
            ("a.csv", "item_id,title\n1,Tée\n".encode("latin-1"), "a.csv is not UTF-8"),
            ("a.parquet", b"PAR1 and then nothing", "a.parquet cannot be read as Parquet"),
        ],
    )
    def test_says_what_is_wrong_with_a_file(
        self, staff: Client, shop: Catalog, settings: Any, name: str, content: bytes, fault: str
    ) -> None:
        settings.UPLOAD_MAX_MB = 1
        answer = upload(staff, name, content)
        if answer.status_code == 302:
            answer = staff.get(answer.url, follow=True)
        else:
            assert answer.status_code == 422
        assert fault in answer.content.decode()
        assert str(settings.UPLOAD_DIR) not in answer.content.decode()

    @pytest.mark.parametrize(
        ("columns", "fault"),
        [
            ({"column-1": "title"}, "No column is item_id; choose which one it is."),
            ({"column-0": "item_id", "column-1": "item_id"}, "Two columns are to be item_id"),
        ],
    )
    def test_says_what_is_wrong_with_the_columns(
        self, staff: Client, shop: Catalog, columns: dict[str, str], fault: str
    ) -> None:
        address = upload(staff, "goods.csv", THREE_BAD.encode()).url
        for do in ("check", "import"):
            answer = staff.post(address, columns | {"do": do})
            assert answer.status_code == 422
            assert fault in answer.content.decode()
        assert not TrainingRun.objects.exists()

    def test_addresses_that_lead_nowhere(self, staff: Client, shop: Catalog) -> None:
        for query in ("", "?kind=items", "?kind=items&source=folder/none.csv", "?kind=x&source=y"):
            assert staff.get(page("import-file") + query).status_code == 302
        assert staff.post(page("imports"), {"kind": "items"}).status_code == 422
        assert staff.get(page("import-report", "other-1.csv")).status_code == 404
        assert staff.get(page("import-undo", 99)).status_code == 404

    def test_the_list_has_few_queries(
        self, staff: Client, shop: Catalog, django_assert_max_num_queries: Any
    ) -> None:
        upload(staff, "goods.csv", THREE_BAD.encode())
        for _ in range(12):
            Import.objects.create(catalog=shop, name="a.csv", made_at="2026-01-01T00:00Z", files=[])
        with django_assert_max_num_queries(7):
            staff.get(page("imports"))
