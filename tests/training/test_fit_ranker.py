"""Choices that are made on validation."""

from dataclasses import replace
from pathlib import Path
from typing import cast

import numpy as np
import pytest

from ranking.rankers.examples import HISTORY, Examples, Rows
from ranking.state import TRUSTED_AFTER
from ranking.types import DAY, FloatArray
from tests.ranking.worlds import NOW, item_index, log_of, state
from tests.training.test_fit_tower import Silent
from training.fit_ranker import LEAST_OF_FEW, NAMES, best_prior, choose_trust
from training.handle import RunHandle
from training.splits import Moments, time_split

MOMENTS = Moments(NOW - 40 * DAY, NOW - 30 * DAY, NOW - 20 * DAY, NOW - 10 * DAY, NOW)
ITEMS = replace(item_index(), published=np.full(12, NOW - 60 * DAY))
TASTE = 5  # what newcomers pick, although most people picked something else


class Knows:
    """A ranker that puts one item first, or last."""

    def __init__(self, sign: float) -> None:
        self.sign = sign

    def score(self, rows: Rows) -> FloatArray:
        return np.where(rows.items == TASTE, self.sign, 0.0).astype(np.float32)


@pytest.mark.parametrize(("sign", "trusted_after"), [(1.0, 0.0), (-1.0, TRUSTED_AFTER)])
def test_newcomers_are_led_in_where_the_ranker_does_not_know_better(
    sign: float, trusted_after: float, tmp_path: Path
) -> None:
    before = [(user, row, 35.0, 1.0) for user in range(20) for row in range(12)]
    newcomers = [(user, TASTE, 15.0, 1.0) for user in range(100, 100 + LEAST_OF_FEW)]
    log = log_of(*before, *before[:40], *newcomers)
    split = time_split(log, MOMENTS, repeats=True)
    then = state(log, ITEMS).as_of(log.keep(split.valid.known), split.valid.now)
    handle = cast(RunHandle, Silent(tmp_path))
    assert choose_trust(handle, then, log, split, Knows(sign)) == trusted_after


def test_with_few_newcomers_the_usual_holds(tmp_path: Path) -> None:
    log = log_of(*((user, user % 12, age, 1.0) for user in range(20) for age in (35.0, 15.0)))
    split = time_split(log, MOMENTS, repeats=True)
    handle = cast(RunHandle, Silent(tmp_path))
    assert choose_trust(handle, state(log), log, split, Knows(1.0)) == TRUSTED_AFTER


def test_trees_start_from_the_best_table_that_they_may_see() -> None:
    features = np.zeros((4, len(NAMES)), dtype=np.float32)
    features[:, NAMES.index("covisit_score")] = (0.4, 0.3, 0.2, 0.1)
    features[:, NAMES.index("markov_score")] = (0.1, 0.2, 0.3, 0.4)
    features[:, NAMES.index("ease_score")] = (0.1, 0.4, 0.2, 0.3)
    picked = np.array([0, 0, 0, 1])
    valid = Examples(
        features,
        picked.astype(np.float32),
        np.array([4]),
        np.arange(4),
        picked.astype(np.uint8),
        np.full((1, HISTORY), -1),
    )
    new_things, groceries = (
        replace(state(log_of((0, 0, 1.0, 1.0))), repeat_consumption=repeats)
        for repeats in (False, True)
    )
    assert best_prior(new_things, valid).feature == "markov_score"
    assert best_prior(new_things, valid, ("markov_",)).feature == "ease_score"
    assert best_prior(groceries, valid).feature == "item_long"
    assert best_prior(groceries, valid, ("item_",)).feature == "markov_score"
