"""What a run will cost: from earlier ones, or from measured rates."""

from datetime import timedelta

import pytest
from django.utils import timezone

from catalog.events import ensure_months
from catalog.models import Catalog, Interaction, Item, User
from training import cost
from training.cost import GIB, Size, estimate, peak_memory, size_of, usual_seconds
from training.models import TrainingRun


@pytest.fixture
def shop(db: None) -> Catalog:
    return Catalog.objects.create(slug="shop", name="Larder", item_kind="product")


def succeeded(shop: Catalog, seconds: float, **environment: str) -> None:
    now = timezone.now()
    TrainingRun.objects.create(
        catalog=shop,
        kind="train",
        state="succeeded",
        started_at=now - timedelta(seconds=seconds),
        ended_at=now,
        environment=environment,
    )


class TestSize:
    def test_few_are_counted_without_the_suspected(self, shop: Catalog) -> None:
        item = Item.objects.create(catalog=shop, external_id="a", title="A")
        user = User.objects.create_user("ann")
        ensure_months([timezone.now()])
        for suspected in (False, False, True):
            Interaction.objects.create(
                catalog=shop,
                user=user,
                item=item,
                type="click",
                timestamp=timezone.now(),
                is_suspected=suspected,
            )
        assert size_of(shop, with_vectors=True) == Size(1, 2, 1)
        assert size_of(shop).facts() == {"catalog items": "1", "catalog interactions": "2"}

    def test_many_are_guessed(self, shop: Catalog, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(cost, "COUNTED", 0)
        assert size_of(shop).interactions >= 0


class TestUsual:
    def test_the_shop_takes_as_long_as_it_was_measured(self) -> None:
        assert usual_seconds("train", Size(15_000, 445_366), {}) == pytest.approx(819, rel=0.05)
        assert usual_seconds("train", Size(92_331, 1_464_471), {}) == pytest.approx(2040, rel=0.05)

    def test_follows_steps_batch_and_way(self) -> None:
        size = Size(0, 0)
        few = usual_seconds("finetune", size, {"way": "lora", "steps": 300})
        assert few == pytest.approx(13 * 60, rel=0.02)
        twice = usual_seconds("finetune", size, {"way": "lora", "steps": 300, "batch": 64})
        assert twice == pytest.approx(2 * 13 * 60, rel=0.02)
        assert usual_seconds("finetune", size, {"way": "projection"}) < 100
        assert usual_seconds("pretrain", size, {}) == pytest.approx(9 * 60, rel=0.02)

    def test_an_evaluation_that_fits_takes_longer(self) -> None:
        size = Size(100, 200_000)
        assert usual_seconds("evaluate", size, {}) < 60
        assert usual_seconds("evaluate", size, {"fresh": True}) > 300
        assert usual_seconds("evaluate", size, {"split": "leave-last-out"}) > 300


class TestEstimate:
    def test_without_earlier_runs(self, shop: Catalog) -> None:
        found = estimate(shop, "train", {})
        assert (found.runs, found.gibibytes) == (0, 1.0)
        assert found.low < found.seconds < found.high
        assert not found.is_too_much

    def test_is_the_median_scaled_to_what_is_there_now(
        self, shop: Catalog, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        now = Size(10_000, 400_000)
        monkeypatch.setattr(cost, "size_of", lambda catalog, **more: now)
        half = {"catalog items": "10000", "catalog interactions": "100000"}
        for seconds in (100, 200, 900):
            succeeded(shop, seconds, **half, **{"peak memory MB": f"{seconds}"})
        ratio = usual_seconds("train", now, {}) / usual_seconds("train", Size(10_000, 100_000), {})
        found = estimate(shop, "train", {})
        assert found.runs == 3
        assert found.seconds == pytest.approx(200 * ratio, rel=0.01)
        assert found.memory == 900 * 1024**2

    def test_an_evaluation_without_a_live_model_fits_one(self, shop: Catalog) -> None:
        plain = estimate(shop, "evaluate", {})
        assert plain.seconds == estimate(shop, "evaluate", {"fresh": True}).seconds

    def test_runs_of_others_do_not_count(self, shop: Catalog) -> None:
        TrainingRun.objects.create(catalog=shop, kind="train", state="failed")
        news = Catalog.objects.create(slug="news", name="Paper", item_kind="article")
        succeeded(news, 100)
        assert estimate(shop, "train", {}).runs == 0


def test_this_process_holds_something() -> None:
    assert 0.01 * GIB < peak_memory() < 100 * GIB
