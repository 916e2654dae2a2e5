"""The dashboard: drift by day, and measuring now."""

import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from kombu.exceptions import OperationalError as BrokerAway

from catalog.models import Catalog
from recsite.dashboard.drift_page import WAIT
from tests.training.drifting import go_live, shop_for, show, stall, weeks_ago
from training import drift, tasks
from training.models import DriftReport

pytestmark = pytest.mark.usefixtures("empty_cache")

DAY = timedelta(days=1)
PAGE = "/dashboard/drift/stall/"


@pytest.fixture
def drifted(tmp_path: Path) -> Catalog:
    """A stall that was measured on two days, with a new taste and slates."""
    catalog = stall()
    shop_for(catalog, weeks_ago(6), 7, tools=0.5)
    go_live(catalog, tmp_path, weeks_ago(6.5), weeks_ago(2))
    shop_for(catalog, timezone.now() - 3 * DAY, 3, tools=0.95)
    show(catalog, timezone.now() - 2 * DAY, 60, 30)
    show(catalog, timezone.now() - DAY, 60, 30)
    drift.measure_days(catalog, 3)
    return catalog


class TestPage:
    def test_it_says_what_moved(self, staff: Client, drifted: Catalog) -> None:
        text = staff.get(PAGE).content.decode()
        assert "Categories of what is picked" in text
        assert "Tools" in text
        assert "→" in text
        assert "No webhook is set" in text
        assert 'id="chart-categories"' in text
        assert 'id="chart-ctr"' in text
        assert 'id="chart-scores"' not in text  # of no day
        assert "As a table" in text

    def test_another_day(self, staff: Client, drifted: Catalog) -> None:
        yesterday = timezone.now().date() - DAY
        answer = staff.get(f"{PAGE}?day={yesterday}")
        assert answer.context["report"].day == yesterday
        assert "Nothing was measured on" in staff.get(f"{PAGE}?day=2020-01-01").content.decode()
        for nonsense in ("2026-13-45", "x"):
            assert staff.get(f"{PAGE}?day={nonsense}").context["report"] is not None

    def test_what_became_of_the_alert(self, staff: Client, drifted: Catalog, settings: Any) -> None:
        settings.ALERT_WEBHOOK_URL = "http://127.0.0.1:9/"
        assert "told within five minutes" in staff.get(PAGE).content.decode()
        DriftReport.objects.update(send_fault="The webhook answered 500.")
        assert (
            "The webhook answered 500.</span> It is tried again" in staff.get(PAGE).content.decode()
        )
        DriftReport.objects.update(sent_at=timezone.now())
        assert "The webhook was told just now" in staff.get(PAGE).content.decode()

    def test_queries_do_not_grow_with_days(
        self, staff: Client, drifted: Catalog, django_assert_max_num_queries: Any
    ) -> None:
        told = DriftReport.objects.filter(measures__prices__level="alert").first()
        assert told is not None
        DriftReport.objects.bulk_create(
            DriftReport(
                catalog=drifted,
                day=told.day - DAY * (number + 5),
                bundle_id="x",
                level="watch",
                measures=told.measures,
            )
            for number in range(50)
        )
        with django_assert_max_num_queries(6):
            staff.get(PAGE)

    def test_empty_states_name_the_next_step(self, staff: Client, shop: Catalog) -> None:
        page = reverse("dashboard:drift", args=["shop"])
        assert "manage.py train shop" in staff.get(page).content.decode()
        Catalog.objects.update(live_bundle="shop-x")
        assert "manage.py drift shop --days 14" in staff.get(page).content.decode()
        assert staff.get("/dashboard/drift/nix/").status_code == 404

    def test_all_catalogs(self, staff: Client, shop: Catalog) -> None:
        page = reverse("dashboard:drifts")
        assert "no live model" in staff.get(page).content.decode()
        DriftReport.objects.create(catalog=shop, day=timezone.now().date(), level="watch")
        assert "Watch" in staff.get(page).content.decode()
        shop.delete()
        assert "There is no catalog yet" in staff.get(page).content.decode()


class TestMeasureNow:
    def test_a_worker_measures_and_the_page_waits(
        self, staff: Client, shop: Catalog, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        asked: list[int] = []
        monkeypatch.setattr(tasks.measure_drift, "delay", asked.append)
        Catalog.objects.update(live_bundle="shop-x")
        answer = staff.post(reverse("dashboard:drift-measure", args=["shop"]), follow=True)
        assert asked == [shop.pk]
        assert "A worker measures" in answer.content.decode()
        now = reverse("dashboard:drift-now", args=["shop"])
        moment = int(time.time())
        part = staff.get(now, {"asked": moment})
        marked = {"asked": moment, "mark": part.context["mark"]}
        assert staff.get(now, marked).status_code == 204  # nothing new to show
        assert 'hx-trigger="every 2s"' in part.content.decode()
        DriftReport.objects.create(catalog=shop, day=timezone.now().date(), level="steady")
        page = reverse("dashboard:drift", args=["shop"])
        assert staff.get(now, {"asked": moment})["HX-Redirect"] == page
        assert "A worker measures" not in staff.get(page, {"asked": moment}).content.decode()

    def test_it_stops_asking(self, staff: Client, shop: Catalog) -> None:
        now = reverse("dashboard:drift-now", args=["shop"])
        part = staff.get(now, {"asked": int(time.time() - WAIT - 1)}).content.decode()
        assert "hx-get" not in part
        assert "No worker has measured since you asked" in part
        for nonsense in ("", "x", "9" * 30, "²"):
            assert staff.get(now, {"asked": nonsense}).status_code == 200

    def test_without_a_broker_or_a_model_it_says_so(
        self, staff: Client, shop: Catalog, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        address = reverse("dashboard:drift-measure", args=["shop"])
        assert "No model is live" in staff.post(address, follow=True).content.decode()
        Catalog.objects.update(live_bundle="shop-x")

        def away(catalog_id: int) -> None:
            raise BrokerAway("refused")

        monkeypatch.setattr(tasks.measure_drift, "delay", away)
        assert "The broker cannot be reached (refused)" in (
            staff.post(address, follow=True).content.decode()
        )
