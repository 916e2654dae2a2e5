"""The dashboard: overview and buttons."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from celery import current_app
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from kombu.exceptions import OperationalError as BrokerAway

from catalog.events import ensure_months
from catalog.models import Catalog, Interaction, Item, SlateLog, User
from ranking.bundle import bundle_path
from recsite import health
from recsite.dashboard import answers
from recsite.dashboard.activity import Activity, activity_of
from recsite.dashboard.attention_traffic import of_disk, of_traffic
from recsite.dashboard.disk import Room
from recsite.fresh import Fresh
from tests.recsite.dashboard.pages import AWAY, registered
from training import registry, schedules
from training.models import DriftReport, RunLogLine, TrainingRun
from training.online import Share, Shown


class TestOverview:
    def test_empty_it_names_the_next_step(self, staff: Client) -> None:
        text = staff.get("/dashboard/").content.decode()
        assert "There is no catalog yet" in text
        assert "manage.py load_demo shop" in text

    def test_a_catalog_without_items_needs_attention(self, staff: Client, shop: Catalog) -> None:
        text = staff.get("/dashboard/").content.decode()
        assert "Larder holds no items." in text
        assert "manage.py import_data shop --items FILE" in text

    def test_what_lacks_is_said_with_its_cure(self, staff: Client, shop: Catalog) -> None:
        Item.objects.create(catalog=shop, external_id="1", title="Oat milk")
        failed = TrainingRun.objects.create(
            catalog=shop, kind="train", state="failed", error="Too few visits."
        )
        text = staff.get("/dashboard/").content.decode()
        assert 'The last train run of Larder failed: <span lang="en">Too few visits.</span>' in text
        assert reverse("dashboard:run", args=[failed.pk]) in text
        assert "1 item of Larder without a vector." in text
        assert "Larder has no model yet" in text

    def test_a_run_that_goes_on_counts_before_a_later_one_that_is_over(self, shop: Catalog) -> None:
        queued, cancelled = (
            TrainingRun.objects.create(catalog=shop, kind="train", state=state, seed=1)
            for state in ("queued", "cancelled")
        )
        assert cancelled.created_at > queued.created_at
        assert list(TrainingRun.objects.newest_of_each_kind()) == [queued]

    def test_without_a_broker_it_says_what_waits(
        self, staff: Client, shop: Catalog, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(health.backstage, "parts", lambda: AWAY)
        TrainingRun.objects.create(catalog=shop, kind="train")
        text = staff.get("/dashboard/").content.decode()
        assert "refused. Start it, or correct CELERY_BROKER_URL. 1 run waits." in text
        assert "celery -A" not in text  # a worker would not bring the broker back
        assert "a run is a row in PostgreSQL" in text

    def test_a_lost_bundle_is_noticed(self, staff: Client, shop: Catalog, tmp_path: Path) -> None:
        Item.objects.create(catalog=shop, external_id="1", title="Oat milk")
        version = registered(shop, tmp_path, 0.1)
        registry.promote(version, None, "first")
        bundle_path(version.bundle_id).rename(tmp_path / "elsewhere")
        assert "has lost its files" in staff.get("/dashboard/").content.decode()

    def test_a_model_that_was_rolled_back_waits_for_no_decision(
        self, staff: Client, shop: Catalog, tmp_path: Path
    ) -> None:
        Item.objects.create(catalog=shop, external_id="1", title="Oat milk")
        first, second = registered(shop, tmp_path, 0.1), registered(shop, tmp_path, 0.11)
        registry.promote(first, None, "first")
        waits = "waits for a decision"
        assert waits in staff.get("/dashboard/").content.decode()
        registry.promote(second, None, "better")
        registry.roll_back(shop, None, "It was not.")
        assert waits not in staff.get("/dashboard/").content.decode()

    def test_a_bounded_number_of_queries(
        self, staff: Client, tmp_path: Path, django_assert_max_num_queries: Any
    ) -> None:
        for number in range(6):
            catalog = Catalog.objects.create(slug=f"c{number}", name="C", item_kind="product")
            Item.objects.create(catalog=catalog, external_id="1", title="Oat milk")
            TrainingRun.objects.create(catalog=catalog, kind="train")
            registered(catalog, tmp_path, 0.1)
        with django_assert_max_num_queries(25):
            staff.get("/dashboard/")

    def test_traffic_is_counted_by_hour_and_without_suspects(self, shop: Catalog) -> None:
        item = Item.objects.create(catalog=shop, external_id="1", title="Oat milk")
        people = [User.objects.create(username=name) for name in "uvw"]
        now = timezone.now()
        slates = [slate(shop, [item], seen) for seen in ([0], [0], [])]
        yesterday = slate(shop, [item], [0])
        SlateLog.objects.filter(pk=yesterday.pk).update(created_at=now - timedelta(hours=30))
        ensure_months([now, now - timedelta(hours=30), now - timedelta(days=40)])
        rows: list[dict[str, Any]] = [
            {"timestamp": now, "slate_id": slates[0].pk},
            {"timestamp": now, "slate_id": slates[0].pk},  # one slate, clicked twice
            {"timestamp": now, "user": people[1], "type": "purchase"},
            {"timestamp": now - timedelta(hours=30), "slate_id": yesterday.pk},
            {"timestamp": now - timedelta(days=40)},
            {"timestamp": now, "is_suspected": True, "user": people[2], "slate_id": slates[1].pk},
        ]
        usual = {"catalog": shop, "item": item, "user": people[0], "type": "click"}
        for row in rows:
            Interaction.objects.create(**(usual | row))
        traffic = activity_of([shop])[shop.pk]
        assert traffic.interactions == 3
        assert traffic.shown == Shown(slates=3, seen=2, clicked=1, impressions=2)
        assert traffic.before.ctr == Share(1, 1)
        assert (traffic.converted, traffic.goal) == (Share(1, 2), "Bought something")
        assert [bar.count for bar in traffic.interaction_bars if bar.count] == [1, 3]
        assert [bar.count for bar in traffic.impression_bars if bar.count] == [1, 2]
        assert len(traffic.interaction_bars) == 48


def slate(
    catalog: Catalog, items: list[Item], seen: list[int], ms: float | None = None
) -> SlateLog:
    stages = [{"name": "sources", "milliseconds": ms}, {"name": "ranker", "milliseconds": 2.0}]
    return SlateLog.objects.create(
        catalog=catalog,
        surface="api",
        item_ids=[item.pk for item in items],
        scores=[0.0] * len(items),
        propensities=[1.0] * len(items),
        sources=["x"] * len(items),
        seen_positions=seen,
        trace={} if ms is None else {"stages": stages},
    )


class TestAnswers:
    def test_percentiles_are_of_what_was_timed_lately(self, staff: Client, shop: Catalog) -> None:
        for ms in range(1, 102):
            slate(shop, [], [], float(ms))
        slate(shop, [], [])  # a fixed list
        old = slate(shop, [], [], 9999.0)
        SlateLog.objects.filter(pk=old.pk).update(created_at=timezone.now() - timedelta(days=2))
        speed = answers.look_at_speed()[shop.pk]
        assert speed == answers.Speed(101, 53.0, 98.0, 102.0)
        assert [(one.name, one.p50) for one in answers.stages_of(shop)] == [
            ("sources", 51.0), ("ranker", 2.0),
        ]  # fmt: skip

    def test_stages_are_a_page_and_a_fragment(self, staff: Client, shop: Catalog) -> None:
        page = reverse("dashboard:latency", args=["shop"])
        assert "No slate was answered" in staff.get(page).content.decode()
        slate(shop, [], [], 20.0)
        text = staff.get(page).content.decode()
        assert "Where the time goes" in text
        assert "Sources" in text
        part = staff.get(page, headers={"HX-Request": "true"}).content.decode()
        assert "<html" not in part
        assert 'id="latency-shop"' in part

    def test_coverage_is_of_what_is_available(self, staff: Client, shop: Catalog) -> None:
        items = [
            Item.objects.create(catalog=shop, external_id=str(number), title="x")
            for number in range(4)
        ]
        gone = Item.objects.create(catalog=shop, external_id="gone", title="x", available=False)
        slate(shop, [items[0], items[1], gone], [0, 2])
        slate(shop, [items[1], items[0]], [])
        old = slate(shop, items, [0, 1, 2, 3])
        SlateLog.objects.filter(pk=old.pk).update(created_at=timezone.now() - timedelta(days=8))
        coverage = answers.look_at_coverage()[shop.pk]
        assert coverage == answers.Coverage(shown=2, seen=1, available=4, slates=2)
        assert not coverage.is_bounded
        assert answers.Coverage(2, 1, 4, answers.MOST_SHOWN).is_bounded
        text = staff.get("/dashboard/").content.decode()
        assert "50.0 %" in text
        assert "seen 25.0 %, of 4 available" in text

    def test_a_catalog_that_came_after_the_last_look(
        self, staff: Client, shop: Catalog, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(Fresh, "begin", lambda look, work: None)
        monkeypatch.setattr(answers.coverage, "now", dict)
        response = staff.get("/dashboard/")
        assert response.status_code == 200
        assert "Shown, 7 days" in response.content.decode()

    def test_of_an_empty_catalog(self, shop: Catalog) -> None:
        assert answers.look_at_speed() == {}
        coverage = answers.look_at_coverage()[shop.pk]
        assert coverage.shown_share is None


class TestConcerns:
    """Each line and the page that its link leads to."""

    def activity(self, now: Shown, before: Shown) -> Activity:
        return Activity(0, now, before, Share(0, 0), "", [], [])

    def test_clicks_that_fell(self, shop: Catalog) -> None:
        now, before = Shown(300, 300, 30, 900), Shown(300, 300, 90, 900)
        (concern,) = of_traffic(shop, self.activity(now, before), None)
        assert "10.0% of 300 in view, 30.0% of 300 the day before" in concern.text
        assert concern.url == reverse("dashboard:drift", args=["shop"])
        assert of_traffic(shop, self.activity(before, now), None) == []

    def test_slow_answers(self, shop: Catalog) -> None:
        quiet = self.activity(Shown(), Shown())
        (concern,) = of_traffic(shop, quiet, answers.Speed(100, 50.0, 400.0, 500.0))
        assert "longer than 400 ms, and 300 ms is the bound" in concern.text
        assert concern.url == reverse("dashboard:latency", args=["shop"])
        assert of_traffic(shop, quiet, answers.Speed(5, 50.0, 400.0, 500.0)) == []

    def test_impressions_that_stay_away(self, shop: Catalog) -> None:
        """Programs report none; our own pages do."""
        for slates, expected in ((Shown(60, on_pages=60), 1), (Shown(60), 0)):
            assert len(of_traffic(shop, self.activity(slates, Shown()), None)) == expected

    def test_red_findings_of_the_data_doctor(
        self, staff: Client, shop: Catalog, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(Fresh, "begin", lambda look, work: work())
        assert "Data of Larder" not in staff.get("/dashboard/").content.decode()  # it is empty
        Item.objects.create(catalog=shop, external_id="1", title="Oat milk")
        text = staff.get("/dashboard/").content.decode()
        assert "Nobody has done anything yet, so there is nothing to learn from." in text
        assert f'href="{reverse("dashboard:imports", args=[shop.slug])}">Imports</a>' in text
        assert "manage.py import_data shop --interactions FILE" in text

    def test_the_overview_waits_for_no_look(
        self, staff: Client, shop: Catalog, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        Item.objects.create(catalog=shop, external_id="1", title="Oat milk")
        begun: list[Callable[[], None]] = []
        monkeypatch.setattr(Fresh, "begin", lambda look, work: begun.append(work))
        for _ in range(2):
            assert "Data of Larder" not in staff.get("/dashboard/").content.decode()
        (work,) = begun  # one look, however many ask
        work()
        assert "Data of Larder, looked at" in staff.get("/dashboard/").content.decode()
        assert len(begun) == 1

    def test_a_full_disk(self) -> None:
        (concern,) = of_disk(Room(100 * 1024**3, 1024**3))
        assert "1.0\xa0GB of 100.0\xa0GB are free" in concern.text
        assert concern.url == reverse("dashboard:services")
        assert of_disk(Room(100, 50)) == []

    def test_schedules_that_nobody_looks_at(
        self, staff: Client, shop: Catalog, empty_cache: None
    ) -> None:
        line = "Nobody looks at the schedules"
        assert line not in staff.get("/dashboard/").content.decode()
        schedules.save_schedule(shop, "train", "timetable", {"hour": 2})
        assert line in staff.get("/dashboard/").content.decode()
        schedules.run_due()
        assert line not in staff.get("/dashboard/").content.decode()

    def test_drift(self, staff: Client, shop: Catalog) -> None:
        Item.objects.create(catalog=shop, external_id="1", title="Oat milk")
        today = timezone.now().date()
        report = DriftReport.objects.create(
            catalog=shop, day=today, level="alert", measures={"prices": {"level": "alert"}}
        )
        line = "Larder has drifted from what its model learned: prices of what is picked."
        text = staff.get("/dashboard/").content.decode()
        assert line in text
        assert f"{reverse('dashboard:drift', args=['shop'])}?day={today}" in text
        DriftReport.objects.filter(pk=report.pk).update(day=today - timedelta(days=4))
        assert line not in staff.get("/dashboard/").content.decode()

    def test_a_gate_that_blocks(self, staff: Client, shop: Catalog, tmp_path: Path) -> None:
        Item.objects.create(catalog=shop, external_id="1", title="Oat milk")
        registry.promote(registered(shop, tmp_path, 0.2), None, "first")
        registered(shop, tmp_path, 0.1)
        text = staff.get("/dashboard/").content.decode()
        assert "The gate blocks a newer model of Larder: ndcg@10 is 0.1000" in text

    def test_a_run_of_a_schedule_says_so(self, staff: Client, shop: Catalog) -> None:
        Item.objects.create(catalog=shop, external_id="1", title="Oat milk")
        schedule = schedules.save_schedule(shop, "train", "timetable", {"hour": 2})
        TrainingRun.objects.create(
            catalog=shop, kind="train", state="failed", error="Too few.", schedule=schedule
        )
        text = staff.get("/dashboard/").content.decode()
        assert 'started by its schedule, failed: <span lang="en">Too few.</span>' in text


class TestButtons:
    def test_train_now_queues_one_run(self, staff: Client, shop: Catalog, admin: User) -> None:
        answer = staff.post(reverse("dashboard:train", args=["shop"]))
        run = TrainingRun.objects.get()
        assert answer["Location"] == reverse("dashboard:run", args=[run.pk])
        assert (run.kind, run.state, run.created_by) == ("train", "queued", admin)
        staff.post(reverse("dashboard:train", args=["shop"]))
        assert TrainingRun.objects.count() == 1

    def test_refresh_embeddings(self, staff: Client, shop: Catalog) -> None:
        staff.post(reverse("dashboard:refresh", args=["shop"]))
        assert TrainingRun.objects.get().kind == "encode"

    @pytest.mark.django_db(transaction=True)
    def test_without_a_broker_the_button_still_works(
        self, client: Client, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def away(*args: Any, **options: Any) -> None:
            raise BrokerAway("refused")

        monkeypatch.setattr(current_app, "send_task", away)
        monkeypatch.setattr(health.backstage, "parts", lambda: AWAY)
        Catalog.objects.create(slug="shop", name="Larder", item_kind="product")
        client.force_login(User.objects.create_user("admin", is_staff=True, role="admin"))
        answer = client.post(reverse("dashboard:train", args=["shop"]), follow=True)
        assert "It waits. The broker cannot be reached: refused." in answer.content.decode()

    def test_cancel_and_retry(self, staff: Client, shop: Catalog) -> None:
        run = TrainingRun.objects.create(catalog=shop, kind="train", parameters={"epochs": 2})
        staff.post(reverse("dashboard:cancel", args=[run.pk]))
        run.refresh_from_db()
        assert run.state == "cancelled"
        assert RunLogLine.objects.get().text == "admin asked to cancel this run."
        answer = staff.post(reverse("dashboard:retry", args=[run.pk]))
        again = TrainingRun.objects.get(retry_of=run)
        assert again.parameters == {"epochs": 2}
        assert answer["Location"] == reverse("dashboard:run", args=[again.pk])
        second = staff.post(reverse("dashboard:retry", args=[run.pk]))  # a double click
        assert second["Location"] == answer["Location"]
