"""Choices that are made on validation."""

from dataclasses import replace

import numpy as np

from ranking.rankers.examples import HISTORY, Examples, Rows
from ranking.types import DAY, FloatArray
from tests.ranking.worlds import NOW, item_index, log_of, state
from training.fit_network import NetworkTraining
from training.fit_ranker import NAMES, RankerLimits, best_prior, network_training
from training.splits import Moments

MOMENTS = Moments(NOW - 40 * DAY, NOW - 30 * DAY, NOW - 20 * DAY, NOW - 10 * DAY, NOW)
ITEMS = replace(item_index(), published=np.full(12, NOW - 60 * DAY))
TASTE = 5  # what newcomers pick, although most people picked something else


class Knows:
    """A ranker that puts one item first, or last."""

    def __init__(self, sign: float) -> None:
        self.sign = sign

    def score(self, rows: Rows) -> FloatArray:
        return np.where(rows.items == TASTE, self.sign, 0.0).astype(np.float32)


def test_trees_start_from_the_best_source_that_they_may_see() -> None:
    features = np.full((4, len(NAMES)), np.nan, dtype=np.float32)
    features[:, NAMES.index("covisit_score")] = (0.4, 0.3, 0.2, 0.1)
    features[:, NAMES.index("markov_score")] = (0.1, 0.2, 0.3, 0.4)
    features[:, NAMES.index("popular_score")] = (0.1, 0.1, 0.1, 0.3)
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
    assert best_prior(new_things, valid, ("markov_",)).feature == "popular_score"
    assert best_prior(groceries, valid).feature == "item_long"
    assert best_prior(groceries, valid, ("item_",)).feature == "markov_score"


def test_what_a_search_found_stays_within_the_epochs_that_are_allowed() -> None:
    found = {"epochs": 9, "learning_rate": 0.01}
    assert network_training(RankerLimits(), found).epochs == 9
    assert network_training(RankerLimits(network_epochs=2), found).epochs == 2
    assert network_training(RankerLimits(network_epochs=20), found).epochs == 9
    assert network_training(RankerLimits(network_epochs=20), {}).epochs == 20
    assert network_training(RankerLimits(), {}) == NetworkTraining()
