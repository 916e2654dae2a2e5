"""The gate: each check can be red, and says why."""

import json
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from catalog.models import Catalog
from ranking.bundle import bundle_path
from tests.training.bundles import Maker
from training import registry, schedules
from training.errors import TrainingFault
from training.gate import Figure, figure, gate
from training.gate_limits import LIMITS, limits_of, set_limits
from training.models import ModelVersion

pytestmark = pytest.mark.usefixtures("own_bundles")


class TestGate:
    def names(self, version: ModelVersion) -> dict[str, bool | None]:
        version.catalog.refresh_from_db()
        return {
            check.name: check.ok for check in gate(version, registry.live_version(version.catalog))
        }

    def test_the_first_model_is_green(self, shop: Catalog, make: Maker) -> None:
        checks = self.names(make(shop))
        assert set(checks.values()) == {True}
        assert list(checks)[:3] == ["files", "quality", "coverage"]

    def test_worse_beyond_the_interval_is_red(self, shop: Catalog, make: Maker) -> None:
        registry.promote(make(shop, ndcg=0.2), None, "first")
        assert self.names(make(shop, ndcg=0.195))["quality"]  # its interval reaches .205
        worse = make(shop, ndcg=0.15)
        assert not self.names(worse)["quality"]
        with pytest.raises(TrainingFault, match=r"0\.1500, the live one's 0\.2000"):
            registry.promote(worse, None, "I like it")
        registry.promote(worse, None, "I like it", force=True)
        shop.refresh_from_db()
        assert shop.live_bundle == worse.bundle_id

    def test_half_the_coverage_is_red(self, shop: Catalog, make: Maker) -> None:
        registry.promote(make(shop, coverage=0.6), None, "first")
        assert self.names(make(shop, coverage=0.3))["coverage"]
        assert not self.names(make(shop, coverage=0.29))["coverage"]

    def test_lost_files_are_red(self, shop: Catalog, make: Maker) -> None:
        version = make(shop)
        (bundle_path(version.bundle_id) / "a.safetensors").unlink()
        assert not self.names(version)["files"]


class TestGrey:
    """What was not measured stops no person, and whatever promotes by itself."""

    @pytest.fixture
    def grey(self, shop: Catalog, make: Maker) -> ModelVersion:
        """Not measured: calibration, gap, rare items, latency."""
        registry.promote(make(shop), None, "first")
        return make(shop)

    def test_a_person_may_promote_it(self, grey: ModelVersion) -> None:
        assert None in {check.ok for check in gate(grey, registry.live_version(grey.catalog))}
        registry.promote(grey, None, "I have looked")

    def test_nothing_promotes_it_by_itself(self, grey: ModelVersion) -> None:
        schedule = schedules.save_schedule(grey.catalog, "train", "timetable", {"hour": 2})
        schedules.allow_promotion(grey.catalog, True)
        told = schedules.promote_if_allowed(grey, schedule)
        assert "Not measured: calibration: It was not measured for both models." in told
        assert not ModelVersion.objects.get(pk=grey.pk).is_live

    def test_it_is_green_where_nobody_asks_for_it(self, grey: ModelVersion) -> None:
        off = {name: str(limit.off) for name, limit in LIMITS.items()}
        set_limits(grey.catalog, off)
        checks = gate(grey, registry.live_version(grey.catalog))
        assert {check.name for check in checks if check.ok is None} == set()
        gap = next(check for check in checks if check.name == "fairness gap")
        assert gap.reason == "Not asked for: its limit lets every model pass."

    def test_nor_is_it_red_there(self, grey: ModelVersion) -> None:
        live = registry.live_version(grey.catalog)
        assert live is not None
        slow = {"ms": 900.0, "champion_ms": 1.0, "people": 20, "asked": 20, "faults": []}
        grey.metrics["rehearsal"] = {"champion": live.bundle_id, **slow}
        grey.save()
        assert checks_of(grey)["latency"][0] is False
        set_limits(grey.catalog, {"latency_ratio": str(LIMITS["latency_ratio"].off)})
        told = "Not asked for: its limit lets every model pass."
        assert checks_of(grey)["latency"] == (True, told)

    def test_a_live_model_without_figures_makes_grey_not_green(
        self, grey: ModelVersion, shop: Catalog
    ) -> None:
        ModelVersion.objects.exclude(pk=grey.pk).update(metrics={})
        checks = checks_of(grey)
        assert checks["quality"] == (None, "No ndcg@10 of the live model was measured.")
        assert checks["coverage"][0] is None

    def test_a_first_model_that_nobody_has_tried_does_not_go_live_by_itself(
        self, shop: Catalog, make: Maker
    ) -> None:
        version = make(shop)
        ModelVersion.objects.filter(pk=version.pk).update(
            metrics={**version.metrics, "rehearsal": None}
        )
        version.refresh_from_db()
        with pytest.raises(TrainingFault, match="smoke queries: Nobody has asked it anything yet"):
            registry.promote_if_first(version)


def checks_of(version: ModelVersion) -> dict[str, tuple[bool | None, str]]:
    version.catalog.refresh_from_db()
    found = gate(version, registry.live_version(version.catalog), check_files=False)
    return {check.name: (check.ok, check.reason) for check in found}


def figures(**values: float) -> dict[str, Any]:
    """Metrics of a pipeline; names with _ for @."""
    return {"ndcg@10": 0.2} | {f"{name}@10": {"value": value} for name, value in values.items()}


class TestAgainstTheLiveOne:
    @pytest.fixture
    def live(self, shop: Catalog, make: Maker) -> ModelVersion:
        version = make(
            shop,
            pipeline=figures(calibration=0.4, rare_exposure=0.2),
            segments={
                "history 1 to 4": {"requests": 40, "ndcg@10": 0.1},
                "history 100 up": {"requests": 40, "ndcg@10": 0.15},
            },
        )
        registry.promote(version, None, "first")
        shop.refresh_from_db()
        return version

    def test_on_the_same_requests_the_mean_difference_decides(
        self, live: ModelVersion, shop: Catalog, make: Maker
    ) -> None:
        def against(bundle_id: str, value: float) -> tuple[bool | None, str]:
            difference = {"value": value, "low": value - 0.01, "high": value + 0.01}
            paired = {"bundle": bundle_id, "metrics": {"ndcg@10": difference}}
            return checks_of(make(shop, ndcg=0.2, paired=paired))["quality"]

        assert against(live.bundle_id, -0.003)[0]  # 2 % of .203 are allowed
        ok, reason = against(live.bundle_id, -0.005)
        assert not ok
        assert "-0.0050 [-0.0150, +0.0050]; −0.0041 is allowed" in reason
        assert against("another", -0.005) == (
            True,
            "ndcg@10 is 0.2000, the live one's 0.2000, measured on different requests.",
        )

    def test_calibration_and_rare_items(
        self, live: ModelVersion, shop: Catalog, make: Maker
    ) -> None:
        same = checks_of(make(shop, pipeline=figures(calibration=0.5, rare_exposure=0.1)))
        assert same["calibration"][0]
        assert same["rare items"][0]
        worse = checks_of(make(shop, pipeline=figures(calibration=0.51, rare_exposure=0.09)))
        assert worse["calibration"] == (
            False,
            "Lists stray by 0.510 nats from the mix of a history, the live one's by 0.400: "
            "too far.",
        )
        assert worse["rare items"][0] is False
        unknown = checks_of(make(shop))
        assert unknown["calibration"][0] is None
        assert unknown["rare items"][0] is None

    def test_the_gap_between_long_and_short_histories(
        self, live: ModelVersion, shop: Catalog, make: Maker
    ) -> None:
        def with_gap(gap: float, requests: int = 40) -> bool | None:
            segments = {
                "no history": {"requests": requests, "ndcg@10": 0.1},
                "history 20 to 99": {"requests": requests, "ndcg@10": 0.1 + gap},
            }
            return checks_of(make(shop, segments=segments))["fairness gap"][0]

        assert with_gap(0.069)
        assert with_gap(0.071) is False
        assert with_gap(-0.071) is False  # the other way round is a gap as well
        assert with_gap(0.5, requests=29) is None

    def test_latency_counts_beside_the_model_that_is_live(
        self, live: ModelVersion, shop: Catalog, make: Maker
    ) -> None:
        def timed(ms: float, champion: str) -> bool | None:
            rehearsal = {"champion": champion, "people": 20, "ms": ms, "champion_ms": 10.0}
            rehearsal |= {"faults": [], "asked": 3}
            return checks_of(make(shop, rehearsal=rehearsal))["latency"][0]

        assert timed(15.0, live.bundle_id)
        assert timed(15.1, live.bundle_id) is False
        assert timed(15.1, "another") is None

    def test_smoke_queries(self, live: ModelVersion, shop: Catalog, make: Maker) -> None:
        faults = ["A guest got an empty answer."]
        rehearsal = {"champion": "", "faults": faults, "asked": 3}
        version = make(shop, ndcg=0.2, rehearsal=rehearsal)
        assert checks_of(version)["smoke queries"] == (False, faults[0])
        stored = [one.name for one in gate(version, None, check_files=False) if one.is_stored]
        assert stored == ["smoke queries"]  # a page says that this one is in English
        with pytest.raises(TrainingFault, match="The gate is red: A guest got an empty answer"):
            registry.promote(version, None, "It will do.")
        assert checks_of(make(shop, rehearsal=None))["smoke queries"][0] is None

    def test_a_catalog_may_ask_for_more(
        self, live: ModelVersion, shop: Catalog, make: Maker
    ) -> None:
        set_limits(shop, {"calibration_rise": "0.1"})
        version = make(shop, pipeline=figures(calibration=0.45))
        assert checks_of(version)["calibration"][0] is False


class TestLimits:
    def test_what_equals_the_usual_is_not_kept(self, shop: Catalog) -> None:
        set_limits(shop, {"quality_margin": "0.05", "rare_share": "0.5"})
        assert shop.gate_limits == {"quality_margin": 0.05}
        set_limits(shop, {"quality_margin": ""})
        shop.refresh_from_db()
        assert shop.gate_limits == {}
        assert limits_of(shop) == {name: limit.default for name, limit in LIMITS.items()}

    @pytest.mark.parametrize("text", ["x", "-1", "1.1", "nan", "inf"])
    def test_nonsense_changes_nothing(self, shop: Catalog, text: str) -> None:
        with pytest.raises(TrainingFault, match="quality_margin is a number from 0 to 1, not"):
            set_limits(shop, {"quality_margin": text})
        with pytest.raises(TrainingFault, match="no limit 'x'"):
            set_limits(shop, {"x": "1"})
        shop.refresh_from_db()
        assert shop.gate_limits == {}


class TestCommand:
    def test_it_tells_and_sets_limits(self, shop: Catalog, capsys: Any) -> None:
        call_command("gate", "shop", "--set", "latency_ratio=2")
        assert "latency_ratio = 2 " in capsys.readouterr().out
        with pytest.raises(CommandError, match="is not NAME=VALUE"):
            call_command("gate", "shop", "--set", "latency_ratio")

    def test_a_bundle_that_cannot_be_loaded_is_red(
        self, shop: Catalog, make: Maker, capsys: Any
    ) -> None:
        version = make(shop)
        with pytest.raises(CommandError, match="The gate is red"):
            call_command("gate", "shop", version.bundle_id)
        assert "RED          smoke queries: It cannot be loaded" in capsys.readouterr().out
        with pytest.raises(CommandError, match="The gate is red"):
            call_command("promote", version.bundle_id, reason="r")


def test_figures_are_read_in_either_shape() -> None:
    metrics = json.loads('{"pipeline": {"a": 0.5, "b": {"value": 0.1, "low": 0, "high": 0.2}}}')
    assert figure(metrics, "a") == Figure(0.5)
    assert figure(metrics, "b") == Figure(0.1, 0, 0.2)
    assert figure(metrics, "c") is None
    assert figure({}, "a") is None
