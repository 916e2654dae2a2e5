"""Catalogs that nobody thought of: a clear sentence, or a sensible result."""

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from catalog.events import Event, log_interactions
from catalog.models import EVENT_WEIGHTS, Catalog, Item, User
from catalog.people import users_by_external_id
from training.errors import TrainingFault
from training.evaluation import evaluate_catalog
from training.fit import Limits
from training.fit_ranker import RankerLimits
from training.handle import RunHandle
from training.leases import finish
from training.models import RunState, TrainingRun
from training.report import table
from training.runs import create_claimed

pytestmark = [
    pytest.mark.slow,
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("own_folders"),
]
START = datetime(2024, 5, 1, tzinfo=UTC)
QUICK = Limits(epochs=1, ranker=RankerLimits(rounds=5, network_epochs=1))


def catalog_of(
    people: int, items: int, each: int, step: timedelta, title: str = "Thing {}", **settings: Any
) -> Catalog:
    """People who each pick so many items, one a step; who is odd prefers odd items."""
    catalog = Catalog.objects.create(
        slug="odd",
        name="Odd",
        item_kind="product",
        event_weights=EVENT_WEIGHTS["product"],
        **settings,
    )
    Item.objects.bulk_create(
        Item(catalog=catalog, external_id=f"ä-{number}-物", title=title.format(number))
        for number in range(items)
    )
    rows = list(catalog.items.order_by("pk").values_list("pk", flat=True))
    users = users_by_external_id([f"π {number}" for number in range(people)])
    draw = np.random.default_rng(1)
    events = []
    for number, user in enumerate(users.values()):
        mine = rows[number % 2 :: 2] if items > 1 else rows
        for place in range(each):
            moment = START + place * step + timedelta(seconds=number)
            item = mine[int(draw.integers(len(mine)))]
            events.append(Event(user, item, "purchase", moment, 1.0, uuid.uuid4()))
    for begin in range(0, len(events), 5_000):
        log_interactions(catalog, events[begin : begin + 5_000])
    return catalog


def evaluated(catalog: Catalog, split: str) -> dict[str, Any]:
    run, lease = create_claimed(catalog, TrainingRun.Kind.EVALUATE, "test", {"split": split})
    try:
        with RunHandle(run, lease) as handle:
            return evaluate_catalog(handle, split, limits=QUICK)
    finally:
        finish(lease, RunState.SUCCEEDED)


def pipeline(result: dict[str, Any]) -> float:
    assert table(result)  # it can be printed
    return float(result["models"][-1]["metrics"]["ndcg@10"]["value"])


def test_one_person_is_too_few() -> None:
    catalog = catalog_of(1, 20, 300, timedelta(days=1))
    for split in ("time", "leave-last-out"):
        with pytest.raises(TrainingFault, match="by 1 people; training needs"):
            evaluated(catalog, split)


def test_with_one_item_there_is_nothing_to_choose() -> None:
    catalog = catalog_of(30, 1, 20, timedelta(days=1))
    with pytest.raises(TrainingFault, match=r"nothing to measure|visits to learn ranking"):
        evaluated(catalog, "time")


def test_one_item_taken_again_and_again_is_found_by_everything() -> None:
    catalog = catalog_of(30, 1, 40, timedelta(days=1), repeat_consumption=True)
    assert pipeline(evaluated(catalog, "time")) == 1.0


def test_all_on_one_day_without_a_text_that_tells_items_apart() -> None:
    catalog = catalog_of(30, 24, 30, timedelta(minutes=45), title="-", repeat_consumption=True)
    assert 0 < pipeline(evaluated(catalog, "time")) <= 1


def test_all_at_the_same_time_is_said_and_the_last_picks_can_still_be_left_out() -> None:
    catalog = catalog_of(30, 24, 30, timedelta(0), repeat_consumption=True)
    with pytest.raises(TrainingFault, match="at the same time"):
        evaluated(catalog, "time")
    assert 0 < pipeline(evaluated(catalog, "leave-last-2")) <= 1


def test_somebody_who_did_more_than_all_others_together() -> None:
    catalog = catalog_of(30, 24, 12, timedelta(days=1), repeat_consumption=True)
    greedy = User.objects.get(external_id="π 3")
    rows = list(catalog.items.values_list("pk", flat=True))
    events = [
        Event(greedy.pk, rows[n % 24], "purchase", START + timedelta(minutes=n), 1.0, uuid.uuid4())
        for n in range(20_000)
    ]
    for begin in range(0, len(events), 5_000):
        log_interactions(catalog, events[begin : begin + 5_000])
    assert 0 < pipeline(evaluated(catalog, "leave-last-out")) <= 1


def test_items_that_nobody_touched_are_ranked_too() -> None:
    catalog = catalog_of(30, 24, 30, timedelta(days=1))
    Item.objects.bulk_create(
        Item(catalog=catalog, external_id=f"new-{number}", title=f"New {number}")
        for number in range(400)
    )
    result = evaluated(catalog, "leave-last-out")
    assert 0 < pipeline(result) <= 1
    assert result["models"][-1]["metrics"]["coverage@10"]["value"] < 0.2
