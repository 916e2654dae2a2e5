"""Challengers: named, rolled out by shares, compared, stopped."""

import math
import uuid
from datetime import timedelta
from typing import Any

import numpy as np
import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from catalog.events import Event, log_interactions, log_slate
from catalog.models import EVENT_WEIGHTS, Catalog, Item, SlateLog, User
from tests.training.bundles import Maker
from training import registry, rollout
from training.errors import TrainingFault
from training.models import ModelVersion, Promotion
from training.rollout import Arm, peeking_half_width, roll_out
from training.tasks import watch_rollouts

pytestmark = pytest.mark.usefixtures("own_bundles")


@pytest.fixture
def live(shop: Catalog, make: Maker) -> ModelVersion:
    version = make(shop)
    registry.promote(version, None, "first")
    shop.refresh_from_db()
    return version


@pytest.fixture
def other(shop: Catalog, live: ModelVersion, make: Maker) -> ModelVersion:
    return make(shop, ndcg=0.11)


def row_of(catalog: Catalog) -> tuple[str, int, str]:
    catalog.refresh_from_db()
    return catalog.challenger_bundle, catalog.challenger_share, catalog.challenger_fault


class TestSteps:
    def test_named_rolled_out_and_promoted(
        self, shop: Catalog, live: ModelVersion, other: ModelVersion, admin: User
    ) -> None:
        rollout.name_challenger(other)
        assert row_of(shop) == (other.bundle_id, 0, "")
        steps = [0]
        while steps[-1] < rollout.ALL:
            steps.append(rollout.next_share(steps[-1]))
            roll_out(other, steps[-1], admin, f"to {steps[-1]}")
        assert steps == [0, 1, 5, 10, 25, 50, 100]
        assert row_of(shop) == ("", 0, "")
        assert shop.live_bundle == other.bundle_id
        shares = Promotion.objects.order_by("pk").values_list("kind", "share")
        assert list(shares)[1:] == [*(("roll-out", step) for step in steps[1:6]), ("promote", 100)]

    def test_a_roll_back_after_it_goes_to_what_was_live_before(
        self, shop: Catalog, live: ModelVersion, other: ModelVersion
    ) -> None:
        roll_out(other, 5, None, "try")
        roll_out(other, 100, None, "good")
        registry.roll_back(shop, None, "no")
        shop.refresh_from_db()
        assert shop.live_bundle == live.bundle_id

    def test_a_roll_back_ends_a_roll_out(
        self, shop: Catalog, live: ModelVersion, other: ModelVersion
    ) -> None:
        roll_out(other, 5, None, "try")
        registry.roll_back(shop, None, "all of it")
        assert row_of(shop) == (other.bundle_id, 0, "")
        assert shop.live_bundle == ""

    def test_one_at_a_time(
        self, shop: Catalog, live: ModelVersion, other: ModelVersion, make: Maker
    ) -> None:
        third = make(shop)
        roll_out(other, 5, None, "try")
        for again in (
            lambda: roll_out(third, 5, None, "me too"),
            lambda: rollout.name_challenger(third),
            lambda: registry.promote(third, None, "me too"),
        ):
            with pytest.raises(TrainingFault, match="is being rolled out"):
                again()
        with pytest.raises(TrainingFault, match="answers 5 % of the people already"):
            roll_out(other, 5, None, "again")
        rollout.stop(shop, None, "enough")
        assert row_of(shop) == (other.bundle_id, 0, "")
        rollout.name_challenger(third)
        assert row_of(shop)[0] == third.bundle_id

    @pytest.mark.parametrize("share", [-1, 0, 101])
    def test_a_share_is_one_to_a_hundred(self, other: ModelVersion, share: int) -> None:
        with pytest.raises(TrainingFault, match="1 to 100 percent"):
            roll_out(other, share, None, "r")

    def test_reason_gate_and_a_live_model_are_asked_for(
        self, shop: Catalog, live: ModelVersion, other: ModelVersion, make: Maker
    ) -> None:
        with pytest.raises(TrainingFault, match="Say why"):
            roll_out(other, 5, None, " ")
        with pytest.raises(TrainingFault, match="live already"):
            roll_out(live, 5, None, "r")
        worse = make(shop, ndcg=0.01)
        with pytest.raises(TrainingFault, match="The gate is red"):
            roll_out(worse, 5, None, "r")
        roll_out(worse, 5, None, "r", force=True)
        assert row_of(shop)[:2] == (worse.bundle_id, 5)
        registry.roll_back(shop, None, "r")
        with pytest.raises(TrainingFault, match="promote one first"):
            rollout.name_challenger(other)

    def test_pruning_keeps_the_challenger(
        self, shop: Catalog, other: ModelVersion, make: Maker, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        rollout.name_challenger(other)
        make(shop), make(shop)
        monkeypatch.setattr(registry, "KEEP_BUNDLES", 1)
        assert other.bundle_id not in registry.prune(shop)


def test_what_serving_let_go_of_is_written_down_once(
    shop: Catalog, live: ModelVersion, other: ModelVersion
) -> None:
    roll_out(other, 5, None, "try")
    shop.refresh_from_db()
    shop.withdraw_challenger("another", "not this one")
    assert row_of(shop)[1] == 5
    shop.withdraw_challenger(other.bundle_id, "An answer of it failed.")
    assert row_of(shop) == (other.bundle_id, 0, "An answer of it failed.")
    watch_rollouts()
    watch_rollouts()
    stopped = Promotion.objects.filter(kind="stop")
    assert [change.reason for change in stopped] == ["By itself: An answer of it failed."]
    roll_out(other, 5, None, "It is mended.")
    assert row_of(shop) == (other.bundle_id, 5, "")


class TestArms:
    @pytest.fixture
    def shown(self, shop: Catalog, live: ModelVersion, other: ModelVersion) -> None:
        """Two people each; of four seen slates of the live one two are picked from, of the other's
        three one; what nobody saw, and what nobody known saw, does not count."""
        shop.event_weights = EVENT_WEIGHTS["product"]
        shop.save()
        roll_out(other, 5, None, "try")
        item = Item.objects.create(catalog=shop, external_id="1", title="Milk")
        people = [User.objects.create(username=name) for name in "abcd"]
        slates = [
            (people[0], live, True, "click"),
            (people[0], live, True, "hide"),
            (people[1], live, True, None),
            (people[1], live, False, "purchase"),  # picked from, so it was seen
            (people[1], live, False, None),
            (people[2], other, True, "click"),
            (people[2], other, True, None),
            (people[3], other, True, None),
            (None, live, True, None),
        ]
        for person, version, seen, kind in slates:
            row = SlateLog(
                id=uuid.uuid4(),
                catalog=shop,
                user=person,
                surface="home",
                bundle_id=version.bundle_id,
                item_ids=[item.pk],
                scores=[1.0],
                propensities=[1.0],
                sources=["popular"],
                seen_positions=[0] if seen else [],
            )
            log_slate(row)
            if kind and person:
                event = Event(person.pk, item.pk, kind, slate_id=row.pk, position=0)
                assert log_interactions(shop, [event]).accepted == 1
        shop.refresh_from_db()

    def test_what_people_picked_by_bundle(self, shop: Catalog, shown: None) -> None:
        found = rollout.progress(shop)
        assert found is not None
        assert (found.live.people, found.live.slates, found.live.clicked) == (2, 4, 2)
        assert (found.challenger.people, found.challenger.slates) == (2, 3)
        assert found.challenger.rate == pytest.approx(1 / 3)
        # Σ (c − R s)² = (1 − 2/3)² + (1/3)², n/(n − 1) = 2, S = 3
        assert found.challenger.variance == pytest.approx(2 * (2 / 9) / 9)
        assert not found.is_worse  # far too few people

    def test_only_the_present_step_counts(self, shop: Catalog, shown: None) -> None:
        later = timezone.now() + timedelta(minutes=1)
        Promotion.objects.filter(kind="roll-out").update(at=later)
        found = rollout.progress(shop)
        assert found is not None
        assert found.live == found.challenger == rollout.NOBODY
        assert math.isinf(found.half_width)

    def test_what_is_clearly_worse_is_stopped(
        self, shop: Catalog, shown: None, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        arms = {"live": Arm(2000, 8000, 800, 1e-5), "challenger": Arm(500, 2000, 100, 2.5e-5)}
        found = rollout.Progress(timezone.now(), **arms)
        monkeypatch.setattr(rollout, "progress", lambda catalog: found)
        change = rollout.watch(shop)
        assert change is not None
        assert "5.00% of its slates and from 10.00% of the live one's" in change.reason
        assert row_of(shop)[1] == 0

    def test_nothing_goes_on(self, shop: Catalog) -> None:
        assert rollout.progress(shop) is None
        assert rollout.watch(shop) is None
        with pytest.raises(TrainingFault, match="No model of shop is being rolled out"):
            rollout.stop(shop, None, "r")


def test_the_interval_holds_however_often_one_looks() -> None:
    """Of 300 A/A comparisons that are looked at after each ten people, a classic interval would
    stop a third; this one stops fewer than its 5 %, and still sees a real difference."""
    draw = np.random.default_rng(1)

    def ever_worse(lead: float, z: float | None) -> float:
        values = draw.normal(lead, 1.0, (300, 2_000))
        stopped = np.zeros(300, dtype=bool)
        for people in range(200, 2_001, 10):
            seen = values[:, :people]
            variance = float(seen.var()) / people
            half = peeking_half_width(variance, people) if z is None else z * variance**0.5
            stopped |= seen.mean(axis=1) + half < 0
        return float(stopped.mean())

    assert ever_worse(0.0, 1.96) > 0.08
    assert ever_worse(0.0, None) < 0.03
    assert ever_worse(-0.15, None) > 0.95
    assert math.isinf(peeking_half_width(1.0, 0))


class TestCommand:
    def test_a_whole_roll_out(
        self, shop: Catalog, live: ModelVersion, other: ModelVersion, capsys: Any
    ) -> None:
        call_command("rollout", "shop", other.bundle_id, share=0)
        assert f"challenger: {other.bundle_id}, 0 % of the people" in capsys.readouterr().out
        call_command("rollout", "shop", share=5, reason="try")
        call_command("rollout", "shop", next=True, reason="more")
        assert row_of(shop)[:2] == (other.bundle_id, 10)
        assert "live: 0 of 0 slates of 0 people picked from" in capsys.readouterr().out
        call_command("rollout", "shop", stop=True, reason="enough")
        assert row_of(shop)[:2] == (other.bundle_id, 0)

    def test_what_makes_no_sense_is_one_line(
        self, shop: Catalog, live: ModelVersion, other: ModelVersion
    ) -> None:
        with pytest.raises(CommandError, match="has no challenger: say which bundle"):
            call_command("rollout", "shop", next=True, reason="r")
        with pytest.raises(CommandError, match="Say --share N, --next or --stop"):
            call_command("rollout", "shop", other.bundle_id)
        with pytest.raises(CommandError, match="No model of shop is being rolled out"):
            call_command("rollout", "shop", stop=True, reason="r")
        Catalog.objects.create(slug="news", name="N", item_kind="article")
        with pytest.raises(CommandError, match="is a model of shop"):
            call_command("rollout", "news", other.bundle_id, share=5, reason="r")
