"""Metrics against values worked by hand."""

from fractions import Fraction

import numpy as np
import pytest

from training import metrics
from training.evaluation import ranks_of


def test_recall() -> None:
    assert metrics.recall(np.array([0, 9, 10]), 10) == pytest.approx(Fraction(2, 3))
    assert metrics.recall(np.array([], dtype=np.int64), 10) == 0


def test_ndcg() -> None:
    # places 1 and 3 of two relevant items: (1/log2(3) + 1/log2(5)) / (1 + 1/log2(3))
    expected = (1 / np.log2(3) + 1 / np.log2(5)) / (1 + 1 / np.log2(3))
    assert metrics.ndcg(np.array([1, 3]), 10) == pytest.approx(expected)
    assert metrics.ndcg(np.array([0]), 10) == 1
    assert metrics.ndcg(np.arange(30), 10) == pytest.approx(1)  # more relevant items than places
    assert metrics.ndcg(np.array([10]), 10) == 0


def test_reciprocal_rank() -> None:
    assert metrics.reciprocal_rank(np.array([7, 3])) == pytest.approx(Fraction(1, 4))


def test_interval_holds_the_mean_and_narrows() -> None:
    values = np.random.default_rng(1).normal(0.5, 0.1, 400)
    low, high = metrics.bootstrap_interval(values)
    assert low < values.mean() < high
    assert high - low == pytest.approx(2 * 1.96 * values.std() / 20, rel=0.1)
    assert metrics.bootstrap_interval(np.full(5, 0.25)) == pytest.approx((0.25, 0.25))


def test_ties_take_their_middle_place() -> None:
    scores = np.array([3.0, 1.0, 1.0, 1.0, 0.0], dtype=np.float32)
    assert ranks_of(scores, np.array([0, 1, 4])).tolist() == [0, 2, 4]
