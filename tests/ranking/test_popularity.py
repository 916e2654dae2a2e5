"""Decayed counts against values worked by hand."""

import pytest

from ranking.popularity import Popularity
from ranking.types import DAY
from tests.ranking.worlds import NOW, log_of


def test_popularity_halves_with_each_half_life() -> None:
    popularity = Popularity.fit(log_of((1, 2, 3.0, 1.0), (2, 2, 0.0, -1.0)), 4, NOW)
    assert popularity.counts[:, 2] == pytest.approx([0.5, 0.5 ** (3 / 14), 0.5 ** (3 / 90)])


def test_only_what_was_known_at_the_moment_counts() -> None:
    log = log_of((1, 0, 9.0, 1.0), (2, 1, 4.0, 1.0))
    then = Popularity.fit(log, 3, NOW - 5 * DAY)
    assert then.counts[2] == pytest.approx([0.5 ** (4 / 90), 0, 0])
