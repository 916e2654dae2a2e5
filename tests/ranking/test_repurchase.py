"""How surely items are taken again, against values worked by hand."""

import numpy as np
import pytest

from ranking.repurchase import Repurchase
from ranking.types import DAY
from tests.ranking.worlds import NOW, log_of

# person 1 comes four times, takes item 0 three times (twice in the first session) and item 1 once;
# person 2 comes twice, for item 1 and then for item 0
LOG = log_of(
    (1, 0, 90.0, 1.0),
    (1, 0, 90.0, 1.0),
    (1, 1, 60.0, 1.0),
    (1, 0, 30.0, 1.0),
    (1, 0, 10.0, 1.0),
    (2, 1, 50.0, 1.0),
    (2, 0, 5.0, 1.0),
)


def test_rates_count_the_sessions_that_came_after() -> None:
    rates = np.exp(Repurchase.fit(LOG, 3, NOW).columns[:, 0])
    assert rates[0] == pytest.approx((2 + 0.4) / (3 + 0 + 20))  # 3 sessions after, 2 with it
    assert rates[1] == pytest.approx((0 + 0.4) / (2 + 1 + 20))
    assert rates[2] == pytest.approx(0.02)


def test_lately_is_six_weeks() -> None:
    rates = np.exp(Repurchase.fit(LOG, 3, NOW).columns[:, 1])
    assert rates[0] == pytest.approx((2 + 0.4) / (2 + 0 + 20))  # both sessions of person 1 since
    assert rates[1] == pytest.approx((0 + 0.4) / (2 + 1 + 20))


def test_the_interval_is_a_mean_of_logarithms() -> None:
    interval = Repurchase.fit(LOG, 3, NOW).columns[:, 2]
    wanted = (np.log1p(60) + np.log1p(20) + 3 * np.log1p(30)) / 5
    assert interval[0] == pytest.approx(wanted)
    assert interval[1] == pytest.approx(np.log1p(30))


def test_what_was_hidden_was_not_taken() -> None:
    disliked = log_of((1, 0, 9.0, 1.0), (1, 0, 5.0, -1.0))
    assert np.exp(Repurchase.fit(disliked, 1, NOW).columns[0, 0]) == pytest.approx(0.4 / 20)


def test_nothing_after_the_moment_counts() -> None:
    then = Repurchase.fit(LOG, 3, NOW - 55 * DAY).columns
    assert np.exp(then[0, 0]) == pytest.approx((0 + 0.4) / (1 + 20))
    nothing = Repurchase.fit(LOG, 3, NOW - 100 * DAY).columns
    assert nothing == pytest.approx(Repurchase.unknown(3).columns)
