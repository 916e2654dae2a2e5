"""The features against values worked by hand."""

from dataclasses import replace

import numpy as np
import pytest

from ranking import features
from ranking.offers import Offers
from ranking.sources.union import NAMES, empty_candidates
from ranking.types import DAY
from tests.ranking.worlds import NOW, context_of, item_index, log_of, state


def row_of(rows: list[int], *events: tuple[int, float, float]) -> dict[str, np.ndarray]:
    items = item_index()
    log = log_of((1, 0, 1.0, 1.0), (2, 0, 3.0, 1.0), (2, 4, 3.0, 1.0))
    person = features.profile(context_of(*events), items)
    candidates = empty_candidates(np.array(rows))
    values = features.compute(state(log, items), person, candidates, NOW)
    names = features.names(NAMES)
    assert values.shape == (len(rows), len(names))
    return dict(zip(names, values.T, strict=True))


def test_counts_recency_and_rhythm_of_an_item() -> None:
    # bought 21, 11 and 1 days ago: every 10 days, one day since
    found = row_of([3, 4], (3, 21, 1), (3, 11, 1), (3, 1, 1))
    assert found["item_count"] == pytest.approx([np.log(4), 0])
    assert found["item_short"][0] == pytest.approx(0.5**2.1 + 0.5**1.1 + 0.5**0.1)
    assert found["item_days_since"][0] == pytest.approx(np.log1p(1.0))
    assert found["item_due"][0] == pytest.approx(0.1)
    assert found["item_session_share"][0] == pytest.approx(1.0)
    assert found["item_by_session"] == pytest.approx([0.93**2 + 0.93 + 1, 0])
    assert np.isnan(found["item_days_since"][1])
    # item 4 is not in item 3's category, but item 6 is: rows modulo 3
    assert row_of([6], (3, 1, 1))["category_count"] == pytest.approx([np.log(2)])


def test_a_session_ends_after_half_an_hour() -> None:
    times = np.array([0.0, 100.0, 100.0 + 1_801.0, 2_000.0])
    assert features.sessions(times).tolist() == [0, 0, 1, 1]
    assert features.sessions(np.zeros(0)).tolist() == []


def test_last_session_and_sessions_since() -> None:
    found = row_of([1, 2], (1, 5, 1), (2, 1, 1))
    assert found["in_last_session"].tolist() == [0, 1]
    assert found["item_sessions_since"].tolist() == [1, 0]


def test_popularity_price_and_age() -> None:
    found = row_of([0, 5])
    # item 0: one a day old, one three days old; item 4 has one three days old
    share = (0.5 ** (1 / 3) + 0.5) / (0.5 ** (1 / 3) + 0.5 + 0.5)
    assert found["popularity_3d"] == pytest.approx([np.log1p(1e6 * share), 0], rel=1e-5)
    assert found["age_days"] == pytest.approx([np.log1p(5), np.log1p(5)])
    assert found["log_price"][0] == pytest.approx(np.log1p(1.0))


def test_since_when_an_item_is_known() -> None:
    found = row_of([0, 4, 7], (5, 2, 1))  # first touched 3 and 3 days ago, and never
    assert found["known_days"][:2] == pytest.approx(np.log1p([3.0, 3.0]))
    assert found["known_since_visit"][:2] == pytest.approx([-1.0, -1.0])  # known when they came
    assert np.isnan(found["known_days"][2])
    assert np.isnan(row_of([0])["known_since_visit"]).all()  # nobody known


def test_the_share_that_was_picked_on_offer() -> None:
    offers = Offers.of(np.array([0]), np.array([NOW - 2 * DAY]), np.array([NOW - DAY / 2]))
    items = replace(item_index(), offers=offers)
    context = context_of((0, 3, 1), (0, 1, 1), (1, 1, 1))
    log = log_of((1, 0, 3.0, 1.0))
    rows = np.array([0, 1, 3, 5])
    candidates = empty_candidates(rows)
    values = features.compute(
        state(log, items), features.profile(context, items), candidates, context.now
    )
    found = dict(zip(features.names(NAMES), values.T, strict=True))
    assert found["item_on_offer"][:2].tolist() == [0.5, 0.0]
    assert np.isnan(found["item_on_offer"][2:]).all()  # never picked
    assert found["category_on_offer"][2] == 0.5  # item 3 is in the category of item 0
    assert found["offer_share"][0] == pytest.approx(1 / 3)


def test_how_surely_an_item_is_taken_again() -> None:
    found = row_of([0, 5])
    assert np.exp(found["repurchase_rate"]) == pytest.approx([0.4 / 20, 0.02])
    assert found["repurchase_interval"] == pytest.approx([np.log1p(30), np.log1p(30)])


def test_similarity_to_recent_items() -> None:
    items = item_index()
    found = row_of([6], (0, 2, 1), (3, 1, 1))
    both = items.vectors(np.array([6])) @ items.vectors(np.array([3, 0])).T
    assert found["similarity_max"] == pytest.approx(both.max(axis=1))
    assert found["similarity_mean"] == pytest.approx(both.mean(axis=1))
    weights = np.array([1.0, 0.5**0.25])
    assert found["similarity_recent"] == pytest.approx(both @ weights / weights.sum())


def test_nobody_known_gets_numbers_too() -> None:
    found = row_of([0, 1])
    assert np.isnan(found["similarity_max"]).all()
    assert found["history_length"].tolist() == [0, 0]
    assert found["weekday"].tolist() == [1, 1]  # Tuesday
    assert found["hour"].tolist() == [22, 22]


def test_recent_rows_are_distinct_and_newest_first() -> None:
    context = context_of((1, 4, 1), (2, 3, 1), (1, 2, 1), (5, 1, -1))
    assert features.recent_rows(context, 5).tolist() == [1, 2]
