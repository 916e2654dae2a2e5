"""Drift: what has moved is seen, what has not is left alone, and who waits for it is told."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from celery import current_app
from django.core.management import CommandError, call_command
from django.utils import timezone

from catalog.models import Catalog, EncoderVersion, ItemVector
from ranking.bundle import meta_of
from tests.training.drifting import DAY, go_live, shop_for, show, stall, weeks_ago
from training import drift, tasks
from training.errors import TrainingFault
from training.models import DriftReport, Promotion, TrainingRun
from training.online import Share
from training.schedules import save_schedule

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("own_folders", "empty_cache")]


@pytest.fixture(autouse=True)
def no_broker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(current_app, "send_task", lambda *args, **options: None)


@pytest.fixture
def learned(tmp_path: Path) -> Catalog:
    """A month of half fruit, half tools, which a live bundle learned from."""
    catalog = stall()
    shop_for(catalog, weeks_ago(6), 14, tools=0.5)
    go_live(catalog, tmp_path, weeks_ago(6.5), weeks_ago(2))
    return catalog


def measured(catalog: Catalog) -> dict[str, Any]:
    (report,) = drift.measure_days(catalog)
    return dict(DriftReport.objects.get(pk=report.pk).measures)


def level_of(measures: dict[str, Any]) -> dict[str, str]:
    return {name: one["level"] for name, one in measures.items()}


class TestInput:
    def test_what_has_not_moved_is_steady(self, learned: Catalog) -> None:
        shop_for(learned, timezone.now() - 6 * DAY, 6, tools=0.5)
        found = measured(learned)
        for name in ("categories", "prices", "vectors"):
            assert found[name]["level"] == "steady", (name, found[name])
            assert found[name]["value"] < 0.1
        assert found["categories"]["reference"] == 1680
        assert found["categories"]["new"] == 720

    def test_what_has_moved_is_an_alert_and_says_how(self, learned: Catalog) -> None:
        shop_for(learned, timezone.now() - 6 * DAY, 6, tools=0.95)
        found = measured(learned)
        for name in ("categories", "prices", "vectors"):
            assert found[name]["level"] == "alert", found[name]
        report = DriftReport.objects.get()
        assert report.level == "alert"
        names = ("categories", "prices", "histories")
        assert report.score == max(found[name]["value"] for name in names)
        label, then, now = found["categories"]["parts"][0]
        assert label in ("Fruit", "Tools")
        assert abs(then - 0.5) < 0.05
        assert abs(abs(now - 0.5) - 0.45) < 0.05
        assert found["vectors"]["cosine"] < 0.95

    def test_new_people_have_other_histories(self, learned: Catalog) -> None:
        shop_for(learned, timezone.now() - 2 * DAY, 2, tools=0.5, people="stranger")
        found = measured(learned)["histories"]
        assert found["level"] == "alert"
        assert found["parts"][0][0] in ("none", "1 to 4", "5 to 19", "20 to 99")

    def test_what_the_model_learned_from_is_not_new(self, learned: Catalog, tmp_path: Path) -> None:
        shop_for(learned, timezone.now() - 6 * DAY, 6, tools=0.95)
        go_live(learned, tmp_path, weeks_ago(6.5), timezone.now() - timedelta(minutes=1))
        found = measured(learned)
        assert found["categories"]["level"] == "unknown"
        assert "since the model learned; it takes 100" in found["categories"]["note"]

    def test_a_few_people_are_no_drift(self, learned: Catalog) -> None:
        """One person with a thousand picks moves the shares far, and chance explains it."""
        shop_for(learned, timezone.now() - 6 * DAY, 6, tools=1.0)
        one = learned.interaction_set.order_by("-timestamp").values_list("user", flat=True)[0]
        learned.interaction_set.filter(timestamp__gte=weeks_ago(1)).update(user=one)
        found = measured(learned)["categories"]
        assert found["value"] > 0.25
        assert found["value"] < found["chance"]
        assert (found["level"], DriftReport.objects.get().score) == ("steady", 0.0)

    def test_without_vectors_prices_or_encoder_it_says_so(self, learned: Catalog) -> None:
        shop_for(learned, timezone.now() - 6 * DAY, 6, tools=0.5)
        learned.items.update(price=None)
        ItemVector.objects.all().delete()
        found = measured(learned)
        assert "have a price" in found["prices"]["note"]
        assert "with a vector" in found["vectors"]["note"]
        EncoderVersion.objects.all().delete()
        assert "not registered" in measured(learned)["vectors"]["note"]


class TestScoresAndQuality:
    @pytest.fixture
    def live(self, learned: Catalog) -> Catalog:
        Promotion.objects.update(at=weeks_ago(2))
        show(learned, weeks_ago(2) + DAY, 150, 0)
        return learned

    @pytest.mark.parametrize(("shift", "level"), [(0.0, "steady"), (1.5, "alert")])
    def test_scores(self, live: Catalog, shift: float, level: str) -> None:
        show(live, timezone.now() - timedelta(minutes=5), 150, 0, score=shift)
        assert measured(live)["scores"]["level"] == level

    def test_a_model_that_is_new_has_no_scores_to_compare(self, learned: Catalog) -> None:
        assert "live for less than 3 days" in measured(learned)["scores"]["note"]

    def test_quality_that_fell(self, live: Catalog) -> None:
        show(live, timezone.now() - 3 * DAY, 200, 100, place=0)
        now = timezone.now() - timedelta(seconds=1)
        show(live, now, 200, 40, place=8)
        found = measured(live)
        ctr, ndcg = found["ctr"], found["ndcg"]
        assert (ctr["value"], ctr["before"], ctr["level"]) == (0.2, 0.5, "alert")
        assert ctr["low"] < 0.2 < ctr["high"]
        assert (ndcg["before"], ndcg["offline"], ndcg["level"]) == (1.0, 0.2, "alert")
        assert ndcg["value"] == pytest.approx(0.30103)  # 1 / log2(10)

    def test_a_small_fall_is_watched(self, live: Catalog) -> None:
        show(live, timezone.now() - 3 * DAY, 1000, 500)
        show(live, timezone.now() - timedelta(seconds=1), 1000, 430)
        found = measured(live)["ctr"]
        assert (found["value"], found["level"]) == (0.43, "watch")

    def test_quality_that_holds(self, live: Catalog) -> None:
        for moment in (timezone.now() - 3 * DAY, timezone.now() - timedelta(seconds=1)):
            show(live, moment, 200, 100, place=1)
        assert {level_of(measured(live))[name] for name in ("ctr", "ndcg")} == {"steady"}

    def test_wilson_by_hand(self) -> None:
        # n = 10, p = 0.5, z² = 3.8415: (0.5 + 0.19207 ± 1.95996 √(0.025 + 0.0096037)) / 1.38415
        low, high = Share(5, 10).interval or (0, 0)
        assert (round(low, 4), round(high, 4)) == (0.2366, 0.7634)
        assert Share(0, 10).low == 0.0
        assert (Share(0, 0).value, Share(0, 0).interval) == (None, None)
        assert not Share(0, 0).fell_from(Share(5, 10))


class TestStored:
    def test_one_row_a_day_measured_again_in_its_place(self, learned: Catalog) -> None:
        drift.measure_days(learned, 3)
        drift.measure_days(learned, 3)
        today = timezone.now().date()
        days = DriftReport.objects.order_by("day").values_list("day", flat=True)
        assert list(days) == [today - 2 * DAY, today - DAY, today]

    def test_nightly_it_is_yesterday_of_each_catalog_with_a_model(self, learned: Catalog) -> None:
        Catalog.objects.create(slug="new", name="New", item_kind="article")
        lost = Catalog.objects.create(slug="lost", name="L", item_kind="article", live_bundle="x")
        tasks.measure_drift()
        report = DriftReport.objects.get()
        assert (report.catalog, report.day) == (learned, timezone.now().date() - DAY)
        assert not lost.drift_reports.exists()

    def test_without_a_model_there_is_nothing_to_compare_with(self) -> None:
        catalog = Catalog.objects.create(slug="new", name="New", item_kind="article")
        with pytest.raises(TrainingFault, match=r"No model of New is live.*manage\.py train new"):
            drift.measure_days(catalog)

    def test_a_bundle_that_does_not_say_what_it_learned_from(
        self, learned: Catalog, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        meta = meta_of(learned.live_bundle)
        meta.parameters.clear()
        monkeypatch.setattr(drift, "meta_of", lambda bundle_id: meta)
        with pytest.raises(TrainingFault, match="does not say of what time it learned"):
            drift.measure_days(learned)

    def test_a_schedule_hears_of_it(self, learned: Catalog) -> None:
        schedule = save_schedule(learned, "train", "drift", {"drift": 50.0})
        shop_for(learned, timezone.now() - 6 * DAY, 6, tools=0.95)
        drift.measure_days(learned)
        assert not TrainingRun.objects.exists()
        save_schedule(learned, "train", "drift", {"drift": 0.25}, schedule)
        drift.measure_days(learned)
        TrainingRun.objects.update(state="failed")
        drift.measure_days(learned)
        assert TrainingRun.objects.get().schedule == schedule  # one a day

    def test_no_traffic_at_all(self, learned: Catalog) -> None:
        assert set(level_of(measured(learned)).values()) == {"unknown"}
        assert DriftReport.objects.get().level == "unknown"

    def test_queries_do_not_grow_with_the_traffic(
        self, learned: Catalog, django_assert_max_num_queries: Any
    ) -> None:
        shop_for(learned, timezone.now() - 6 * DAY, 6, tools=0.5)
        with django_assert_max_num_queries(32):
            drift.measure_days(learned)


class TestCommand:
    def test_prints_and_writes(
        self, learned: Catalog, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        shop_for(learned, timezone.now() - 6 * DAY, 6, tools=0.95)
        file = tmp_path / "drift.json"
        call_command("drift", "stall", days=2, json=file)
        out = capsys.readouterr().out
        assert f"{timezone.now().date()} alert, score " in out
        assert "alert; of 1,680 and" in out
        (_, today) = json.loads(file.read_text())
        assert today["day"] == str(datetime.now(UTC).date())
        assert today["measures"]["categories"]["level"] == "alert"

    @pytest.mark.parametrize(
        ("arguments", "fault"),
        [
            (["nix"], "There is no catalog 'nix'"),
            (["stall", "--days", "0"], "1 to 60"),
            (["stall", "--json", "/nowhere/at/all"], "cannot be written"),
        ],
    )
    def test_says_what_is_wrong(self, learned: Catalog, arguments: list[str], fault: str) -> None:
        with pytest.raises(CommandError, match=fault):
            call_command("drift", *arguments)
