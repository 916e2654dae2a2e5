"""Evaluation on a small made-up world."""

from dataclasses import replace

import numpy as np
import pytest

from ranking.types import DAY
from tests.ranking.worlds import NOW, item_index, log_of, state
from training.errors import TrainingFault
from training.evaluation import PIPELINE, evaluate_state, pipeline_scorer
from training.negatives import context_of, past_requests
from training.snapshot import Split

SPLIT = Split(NOW - 40 * DAY, NOW - 20 * DAY, NOW - 15 * DAY, NOW - 10 * DAY, NOW)
ITEMS = replace(item_index(), published=np.full(12, NOW - 60 * DAY))


def everyday(last_days: int = 0) -> list[tuple[int, int, float, float]]:
    """Twelve people who pick their own item every other day, until `last_days` before NOW."""
    return [
        (user, user % 12, float(age), 1.0) for user in range(12) for age in range(39, last_days, -2)
    ]


def test_who_picks_the_same_again_is_served_it_first() -> None:
    log = log_of(*everyday())
    result = evaluate_state(state(log, ITEMS), log, SPLIT)
    assert result["users"] == 12
    figures = {model["name"]: model for model in result["models"]}
    assert list(figures) == ["popularity", "personal popularity", "item-kNN", PIPELINE]
    assert figures["personal popularity"]["metrics"]["ndcg@10"]["value"] == 1.0
    assert figures[PIPELINE]["metrics"]["mrr"]["value"] == 1.0
    assert figures["popularity"]["pipeline_lead"]["value"] > 0
    assert figures[PIPELINE]["pipeline_lead"] is None


def test_what_happens_in_the_test_window_is_not_known() -> None:
    past = everyday(last_days=10)
    one = log_of(*past, *((user, 3, 5.0, 1.0) for user in range(12)))
    other = log_of(*past, *((user, 7, 5.0, 1.0) for user in range(12)))
    for place, request in enumerate(past_requests(one, SPLIT.test_start, NOW, repeats=True)):
        then = [state(log, ITEMS).as_of(log, SPLIT.test_start) for log in (one, other)]
        again = past_requests(other, SPLIT.test_start, NOW, repeats=True)[place]
        scores = pipeline_scorer(then[0])(context_of(one, request))
        assert np.array_equal(scores, pipeline_scorer(then[1])(context_of(other, again)))


def test_a_window_in_which_nobody_came_is_said() -> None:
    log = log_of(*everyday(last_days=12))
    with pytest.raises(TrainingFault, match="nothing to measure"):
        evaluate_state(state(log, ITEMS), log, SPLIT)
