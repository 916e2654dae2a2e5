"""The dashboard: overview and buttons."""

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
from recsite.dashboard.activity import activity_of
from tests.recsite.dashboard.pages import AWAY, registered
from training import registry
from training.models import RunLogLine, TrainingRun


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
        assert "The last train run of Larder failed: Too few visits." in text
        assert reverse("dashboard:run", args=[failed.pk]) in text
        assert "1 item of Larder without a vector." in text
        assert "Larder has no model yet" in text

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
        with django_assert_max_num_queries(22):
            staff.get("/dashboard/")

    def test_traffic_is_counted_by_utc_day_and_without_suspects(self, shop: Catalog) -> None:
        item = Item.objects.create(catalog=shop, external_id="1", title="Oat milk")
        user = User.objects.create(username="u")
        now = timezone.now()
        shown = {"item_ids": [item.pk], "scores": [1], "propensities": [1], "sources": ["x"]}
        slates = [
            SlateLog.objects.create(
                catalog=shop, user=user, surface="api", seen_positions=seen, **shown
            )
            for seen in ([0], [0], [])
        ]
        ensure_months([now, now - timedelta(days=40)])
        rows: list[dict[str, Any]] = [
            {"timestamp": now, "slate_id": slates[0].pk},
            {"timestamp": now, "slate_id": slates[0].pk},  # one slate, clicked twice
            {"timestamp": now - timedelta(days=3)},
            {"timestamp": now - timedelta(days=40)},
            {"timestamp": now, "is_suspected": True},
        ]
        for row in rows:
            Interaction.objects.create(catalog=shop, user=user, item=item, type="click", **row)
        traffic = activity_of([shop])[shop.pk]
        assert traffic.interactions == 2
        assert (traffic.slates, traffic.slates_seen, traffic.slates_clicked) == (3, 2, 1)
        assert traffic.click_rate == 0.5
        assert sum(bar.count for bar in traffic.interaction_bars) == 3
        assert [bar.count for bar in traffic.interaction_bars][-4::3] == [1, 2]


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
