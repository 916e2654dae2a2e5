"""What was seen on slates, from the database to the ranker's examples and the AUC."""

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest

from catalog.events import ensure_months
from catalog.models import Catalog, Interaction, Item, SlateLog, User
from ranking.popularity import Popularity
from ranking.types import DAY
from tests.ranking.worlds import NOW, item_index, log_of, state
from training.evaluation import evaluate_state
from training.impressions import Impressions, read_impressions, with_impressions
from training.negatives import NEGATIVES, POSITION, build_examples, positions
from training.snapshot import read_log, take_snapshot
from training.splits import Moments, PastRequest, time_split

ITEMS = replace(item_index(), published=np.full(12, NOW - 60 * DAY))
MOMENTS = Moments(NOW - 40 * DAY, NOW - 20 * DAY, NOW - 15 * DAY, NOW - 10 * DAY, NOW)
LOG = log_of(
    *((user, user % 12, float(age), 1.0) for user in range(12) for age in range(39, 0, -2))
)


def seen_before(minutes: float, *rows: int) -> Impressions:
    """Everybody saw these items, so long before each of their visits, the first of them on top."""
    count = len(rows)
    return Impressions(
        np.repeat(LOG.users, count),
        np.tile(rows, len(LOG)),
        np.repeat(LOG.timestamps - 60.0 * minutes, count),
        np.tile(np.arange(count), len(LOG)),
    )


def nothing() -> None:
    """Goes on."""


@pytest.mark.django_db
def test_a_snapshot_holds_what_was_in_view_beside_what_was_done(own_folders: None) -> None:
    catalog = Catalog.objects.create(slug="stall", name="Stall", item_kind="product")
    user = User.objects.create(username="ann")
    items = [Item.objects.create(catalog=catalog, external_id=name, title=name) for name in "abcd"]
    moment = datetime(2026, 11, 3, 12, tzinfo=UTC)
    slate = SlateLog.objects.create(
        catalog=catalog,
        user=user,
        surface="home",
        item_ids=[item.pk for item in items[::-1]],
        scores=[0.0] * 4,
        propensities=[1.0] * 4,
        sources=["popular"] * 4,
        seen_positions=[0, 2],
    )
    SlateLog.objects.filter(pk=slate.pk).update(created_at=moment)
    index = replace(item_index(4), ids=np.array([item.pk for item in items]))
    assert len(read_log(take_snapshot(catalog), index, catalog)) == 0  # looked, and did nothing
    ensure_months([moment])
    Interaction.objects.create(
        catalog=catalog, user=user, item=items[3], type="purchase", timestamp=moment
    )
    snapshot = take_snapshot(catalog)
    seen = read_impressions(snapshot, index)
    assert seen.rows.tolist() == [3, 1]
    assert seen.positions.tolist() == [0, 2]
    assert seen.users.tolist() == [user.pk] * 2
    assert seen.timestamps.tolist() == [moment.timestamp()] * 2
    log = read_log(snapshot, index, catalog)
    assert log.rows.tolist() == [3]  # an impression is no interaction


def test_a_request_knows_what_was_in_view_around_it() -> None:
    split = time_split(LOG, MOMENTS, repeats=True)
    near = with_impressions(split, LOG, seen_before(10, 5, 2))
    assert {tuple(one.seen) for one in near.test.requests} == {(2, 5)}
    assert {tuple(one.positions) for one in near.newest[0].requests} == {(1, 0)}
    yesterday = with_impressions(split, LOG, seen_before(24 * 60, 5, 2))
    assert all(len(one.seen) == 0 for one in yesterday.test.requests)


def test_what_is_picked_a_little_later_was_not_passed_over() -> None:
    log = log_of((1, 0, 9.0, 1.0), (1, 4, 1.0, 1.0), (1, 6, 1.0 - 600 / DAY, 1.0))
    seen = Impressions(
        np.array([1, 1, 1]),
        np.array([4, 6, 7]),
        np.full(3, NOW - DAY),
        np.arange(3),
    )
    request = PastRequest(0, 1, 1, NOW - DAY, np.array([4]), np.array([4]), np.ones(1, np.uint8))
    split = time_split(log, MOMENTS, repeats=True)
    split = replace(split, test=replace(split.test, requests=[request]))
    (told,) = with_impressions(split, log, seen).test.requests
    assert told.seen.tolist() == [4, 7]


def test_what_was_seen_and_passed_over_is_always_a_negative() -> None:
    count = 400
    items = item_index(count)
    log = log_of(*((1, row, 30.0, 1.0) for row in range(count)), (1, 7, 1.0, 1.0))
    request = PastRequest(
        0,
        count,
        1,
        NOW - DAY,
        np.array([7]),
        np.array([7]),
        np.ones(1, np.uint8),
        np.array([7, 30, 60]),
        np.array([4, 0, 9]),
    )
    known = replace(
        state(log, items), popularity=Popularity.fit(log.before(NOW - DAY), count, NOW - DAY)
    )
    for seed in range(3):
        examples = build_examples(known, log, [request], seed, nothing, 1)
        assert len(examples.items) == NEGATIVES + 1
        assert {7, 30, 60} <= set(examples.items.tolist())
        place = {
            row: np.expm1(examples.features[n, POSITION]) for n, row in enumerate(examples.items)
        }
        assert [round(float(place[row])) for row in (7, 30, 60)] == [4, 0, 9]
        assert {round(float(value)) for value in place.values()} <= {0, 4, 9}


def test_without_impressions_everything_stands_first() -> None:
    request = PastRequest(0, 0, 1, NOW, np.array([1]), np.array([1]), np.ones(1, np.uint8))
    places = positions(np.arange(5), request, np.random.default_rng(0))
    assert places.tolist() == [0.0] * 5


def test_auc_is_taken_over_what_was_seen() -> None:
    split = time_split(LOG, MOMENTS, repeats=True)
    everything = seen_before(5, *range(12))
    result = evaluate_state(state(LOG, ITEMS), LOG, with_impressions(split, LOG, everything))
    figures = {model["name"]: model["metrics"] for model in result["models"]}
    assert figures["personal popularity"]["auc_of_seen"]["value"] == 1.0
    assert figures["popularity"]["auc_of_seen"]["value"] < 1.0
    assert (
        "auc_of_seen" not in evaluate_state(state(LOG, ITEMS), LOG, split)["models"][0]["metrics"]
    )
