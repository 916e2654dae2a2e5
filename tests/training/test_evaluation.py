"""Evaluation on a small made-up world."""

from dataclasses import replace

import numpy as np
import pytest

from ranking.types import DAY, InteractionLog
from tests.ranking.worlds import NOW, item_index, log_of, state
from training.errors import TrainingFault
from training.evaluation import evaluate_state, pipeline_scorer
from training.report import PIPELINE, segments
from training.scoring import ranks_of
from training.splits import Moments, PastRequest, Split, context_of, time_split

MOMENTS = Moments(NOW - 40 * DAY, NOW - 20 * DAY, NOW - 15 * DAY, NOW - 10 * DAY, NOW)
ITEMS = replace(item_index(), published=np.full(12, NOW - 60 * DAY))


def split_of(log: InteractionLog) -> Split:
    return time_split(log, MOMENTS, repeats=True)


def everyday(last_days: int = 0) -> list[tuple[int, int, float, float]]:
    """Twelve people who pick their own item every other day, until `last_days` before NOW."""
    return [
        (user, user % 12, float(age), 1.0) for user in range(12) for age in range(39, last_days, -2)
    ]


def test_who_picks_the_same_again_is_served_it_first() -> None:
    log = log_of(*everyday())
    result = evaluate_state(state(log, ITEMS), log, split_of(log))
    assert result["users"] == 12
    figures = {model["name"]: model for model in result["models"]}
    assert list(figures) == [
        "popularity",
        "personal popularity",
        "TIFU-kNN",
        "item-kNN",
        "EASE",
        "Markov-kNN",
        "blend of baselines",
        PIPELINE,
    ]
    assert figures["personal popularity"]["metrics"]["ndcg@10"]["value"] == 1.0
    assert figures[PIPELINE]["metrics"]["mrr@100"]["value"] == 1.0
    assert figures["popularity"]["pipeline_lead"]["value"] > 0
    assert figures[PIPELINE]["pipeline_lead"] is None


def test_what_happens_in_the_test_window_is_not_known() -> None:
    past = everyday(last_days=10)
    one = log_of(*past, *((user, 3, 5.0, 1.0) for user in range(12)))
    other = log_of(*past, *((user, 7, 5.0, 1.0) for user in range(12)))
    for place, request in enumerate(split_of(one).test.requests):
        then = [state(log, ITEMS).as_of(log, MOMENTS.test_start) for log in (one, other)]
        again = split_of(other).test.requests[place]
        scores = pipeline_scorer(then[0])(context_of(one, request))
        assert np.array_equal(scores, pipeline_scorer(then[1])(context_of(other, again)))


def test_a_window_in_which_nobody_came_is_said() -> None:
    log = log_of(*everyday(last_days=12))
    with pytest.raises(TrainingFault, match="nothing to measure"):
        evaluate_state(state(log, ITEMS), log, split_of(log))


def test_ties_take_their_middle_place_and_picked_ones_share_no_place() -> None:
    scores = np.array([3.0, 1.0, 1.0, 1.0, 0.0], dtype=np.float32)
    assert ranks_of(scores, np.array([0, 1, 4])).tolist() == [0, 2, 4]
    assert ranks_of(scores, np.array([3, 1])).tolist() == [3, 1]
    assert ranks_of(np.zeros(4, dtype=np.float32), np.array([0, 1, 2, 3])).tolist() == [0, 1, 2, 3]
    assert ranks_of(np.full(3, -np.inf, dtype=np.float32), np.array([1])).tolist() == [1]


def test_requests_fall_into_segments_by_history_popularity_and_category() -> None:
    known = log_of(*((user, 0, 20.0, 1.0) for user in range(8)), (8, 1, 20.0, 1.0))
    nothing = np.zeros(0, dtype=np.int64)
    requests = [
        PastRequest(0, length, length, NOW, np.array(picked), nothing, nothing.astype(np.uint8))
        for length, picked in ((0, [0]), (5, [0, 3]), (20, [1, 4, 0]))
    ]
    found = {name: chosen.tolist() for name, chosen in segments(ITEMS, known, requests).items()}
    assert found == {
        "no history": [True, False, False],
        "history 5 to 19": [False, True, False],
        "history 20 to 99": [False, False, True],
        "popular items": [True, True, False],
        "rare items": [False, False, True],
        "new items": [False, True, True],  # something that nobody had touched
        "category a": [True, True, False],
        "category b": [False, False, True],
    }
