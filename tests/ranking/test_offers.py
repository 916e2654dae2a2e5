"""What is on offer when, against values worked by hand."""

import numpy as np
import pytest

from ranking.offers import LOOK_EVERY, RESPONSE_DAYS, OfferResponse, Offers
from ranking.types import DAY
from tests.ranking.worlds import NOW, log_of


def offers() -> Offers:
    """Row 0: a running one, and one that is over; row 2: two that overlap, one still to come."""
    rows = np.array([0, 0, 2, 2, 2])
    starts = NOW + DAY * np.array([-2.0, -100.0, -3.0, -1.0, 5.0])
    ends = NOW + DAY * np.array([5.0, -93.0, 4.0, 6.0, 9.0])
    return Offers.of(rows, starts, ends)


def test_an_offer_runs_from_its_start_until_before_its_end() -> None:
    found = offers()
    rows = np.array([0, 1, 2])
    assert found.active(rows, NOW).tolist() == [1, 0, 2]
    assert found.active(rows, NOW + 5 * DAY).tolist() == [0, 0, 2]
    assert found.active(rows, NOW - 95 * DAY).tolist() == [1, 0, 0]
    each = np.array([NOW - 3 * DAY, NOW, NOW - 2 * DAY])
    assert found.active(np.array([0, 0, 2]), each).tolist() == [0, 1, 1]


def test_the_columns_look_back_ninety_days_and_never_ahead() -> None:
    assert offers().columns(np.array([2, 0, 1]), NOW).tolist() == [[2, 2], [1, 1], [0, 0]]
    assert offers().columns(np.array([0]), NOW - 50 * DAY).tolist() == [[0, 1]]
    assert Offers.none().columns(np.array([0, 3]), NOW).tolist() == [[0, 0], [0, 0]]


def test_the_response_says_how_much_more_is_taken_on_offer() -> None:
    found = Offers.of(np.array([0]), NOW - DAY * np.array([100.0]), NOW - DAY * np.array([50.0]))
    on_offer = [(user, 0, 60.0 + user, 1.0) for user in range(6)]
    log = log_of(*on_offer, (1, 0, 10.0, 1.0), (1, 1, 70.0, 1.0), (2, 1, 400.0, 1.0))
    share, lift, time = OfferResponse.fit(log, found, 3, NOW).columns[0]
    overall = 6 / 8
    looks, on = len(range(LOOK_EVERY, RESPONSE_DAYS, LOOK_EVERY)), 7  # 56, 63 … 98 days ago
    assert share == pytest.approx((6 + 5 * overall) / (7 + 5))
    assert time == pytest.approx(on / looks)
    assert lift == pytest.approx(np.log(6.5 / (on + 0.5)) - np.log(1.5 / (looks - on + 0.5)))


def test_without_offers_or_picks_there_is_no_response() -> None:
    log = log_of((1, 0, 10.0, 1.0))
    assert not OfferResponse.fit(log, Offers.none(), 2, NOW).columns.any()
    assert not OfferResponse.fit(log.before(0.0), offers(), 2, NOW).columns.any()
