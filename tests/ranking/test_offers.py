"""What is on offer when, against values worked by hand."""

import numpy as np

from ranking.offers import Offers
from ranking.types import DAY
from tests.ranking.worlds import NOW


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
