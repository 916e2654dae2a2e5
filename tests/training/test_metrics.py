"""Metrics against values worked by hand."""

from collections.abc import Callable
from fractions import Fraction

import numpy as np
import pytest
from numpy.typing import NDArray

from ranking.types import IntArray
from training import metrics

# Two of three among the first ten, one just beyond, nothing relevant, padding in front, all in
# front, two among the first ten.
RANKS = np.array(
    [[3, 1, 12], [10, -1, -1], [-1, -1, -1], [-1, 0, -1], [2, 0, 1], [7, 3, -1]], dtype=np.int64
)
NOTHING = np.zeros((2, 0), dtype=np.int64)
COUNTS = np.array([7, 3, 1, 1])  # + 1 each: 8, 4, 2 and 2 sixteenths


def ints(*values: int) -> IntArray:
    return np.array(values, dtype=np.int64)


def same(found: NDArray[np.float64], expected: list[float | Fraction]) -> bool:
    return found.dtype == np.float64 and found.tolist() == pytest.approx(
        [float(value) for value in expected], nan_ok=True
    )


def test_recall() -> None:
    assert same(metrics.recall(RANKS, 10), [Fraction(2, 3), 0, 0, 1, 1, 1])
    assert same(metrics.recall(RANKS, 2), [Fraction(1, 3), 0, 0, 1, Fraction(2, 3), 0])
    assert same(metrics.recall(RANKS, 1_000), [1, 1, 0, 1, 1, 1])  # k beyond every list


def test_hit_rate() -> None:
    assert same(metrics.hit_rate(RANKS, 10), [1, 0, 0, 1, 1, 1])
    assert same(metrics.hit_rate(RANKS, 1), [0, 0, 0, 1, 1, 0])


def test_ndcg() -> None:
    second, third, fourth = 1 / np.log2(3), 1 / np.log2(4), 1 / np.log2(5)
    eighth = 1 / np.log2(9)
    found = metrics.ndcg(RANKS, 10)
    first = (second + fourth) / (1 + second + third)
    assert same(found, [first, 0, 0, 1, 1, (fourth + eighth) / (1 + second)])
    # only as many places as k count towards the best: 1 + second of three relevant items
    assert metrics.ndcg(RANKS, 2)[[0, 4]] == pytest.approx([second / (1 + second), 1])
    assert metrics.ndcg(np.arange(30)[None], 10) == pytest.approx(1)


def test_reciprocal_rank() -> None:
    assert same(metrics.reciprocal_rank(RANKS, 10), [0.5, 0, 0, 1, 1, 0.25])
    assert same(metrics.reciprocal_rank(RANKS, 3), [0.5, 0, 0, 1, 1, 0])


def test_average_precision() -> None:
    # places 1 and 3 of three relevant items: (1/2 + 2/4) / 3; 3 and 7 of two: (1/4 + 2/8) / 2
    assert same(metrics.average_precision(RANKS, 10), [Fraction(1, 3), 0, 0, 1, 1, 0.25])
    # the first two places alone: 1/2 / min(2, 3), and a full list reaches 1
    assert same(metrics.average_precision(RANKS, 2), [0.25, 0, 0, 1, 1, 0])


def test_auc() -> None:
    ranks = np.array([[3, 0], [0, 1], [4, 3], [2, -1], [-1, -1]])
    # of five items, irrelevant at 1, 2 and 4: the one at 0 is before three, the one at 3 before one
    assert same(metrics.auc(ranks, 5), [Fraction(4, 6), 1, 0, 0.5, 0])
    assert same(metrics.auc(np.array([[1, 0]]), 2), [np.nan])  # every item is relevant


@pytest.mark.parametrize(
    "measure",
    [
        metrics.recall,
        metrics.hit_rate,
        metrics.ndcg,
        metrics.reciprocal_rank,
        metrics.average_precision,
        metrics.auc,
    ],
)
def test_nothing_relevant_is_nought(measure: Callable[[IntArray, int], metrics.Figures]) -> None:
    assert same(measure(NOTHING, 10), [0, 0])
    assert same(measure(NOTHING[:0], 10), [])


def test_ranks_against_a_plain_loop() -> None:
    generator = np.random.default_rng(3)
    items, k = 40, 12
    rows = []
    for _ in range(200):
        count = int(generator.integers(0, 20))
        row = np.append(generator.permutation(items)[:count], np.full(20 - count, -1))
        rows.append(generator.permutation(row))
    ranks = np.array(rows)
    expected: dict[str, list[float]] = {"recall": [], "ndcg": [], "ap": [], "auc": []}
    for row in rows:
        relevant = {int(place) for place in row if place >= 0}
        hits = [place for place in range(k) if place in relevant]
        best = sum(1 / np.log2(place + 2) for place in range(min(k, len(relevant))))
        precisions = [(number + 1) / (place + 1) for number, place in enumerate(hits)]
        pairs = [(a, b) for a in relevant for b in range(items) if b not in relevant]
        some = max(len(relevant), 1)
        expected["recall"].append(len(hits) / some)
        expected["ndcg"].append(sum(1 / np.log2(place + 2) for place in hits) / (best or 1))
        expected["ap"].append(sum(precisions) / min(k, some))
        expected["auc"].append(sum(a < b for a, b in pairs) / max(len(pairs), 1))
    assert same(metrics.recall(ranks, k), [*expected["recall"]])
    assert same(metrics.ndcg(ranks, k), [*expected["ndcg"]])
    assert same(metrics.average_precision(ranks, k), [*expected["ap"]])
    assert same(metrics.auc(ranks, items), [*expected["auc"]])


def test_coverage() -> None:
    assert metrics.coverage(np.array([[0, 1], [1, -1]]), 8) == 0.25
    assert metrics.coverage(np.array([[-1, -1]]), 8) == 0
    assert metrics.coverage(NOTHING, 0) == 0


def test_gini() -> None:
    # shown 0, 1 and 2 times: (−2 · 0 + 0 · 1 + 2 · 2) / (3 · 3)
    assert metrics.gini(np.array([[0, 1], [0, -1]]), 3) == pytest.approx(Fraction(4, 9))
    assert metrics.gini(np.array([[0, 1], [2, 3]]), 4) == 0
    assert metrics.gini(np.array([[2], [2]]), 4) == pytest.approx(Fraction(3, 4))  # only one
    assert metrics.gini(NOTHING, 4) == 0


def test_novelty() -> None:
    tops = np.array([[0, 2], [3, -1], [-1, -1], [1, 1]])  # bits: 1, 2, 3, 3
    assert same(metrics.novelty(tops, COUNTS), [2, 3, np.nan, 2])
    assert same(metrics.novelty(tops[:1], np.zeros(4)), [2])  # nobody was ever here: all alike


def test_average_popularity() -> None:
    tops = np.array([[0, 2], [1, -1], [-1, -1]])  # percentiles: 1, 2/3, 1/6, 1/6
    assert same(metrics.average_popularity(tops, COUNTS), [Fraction(7, 12), Fraction(2, 3), np.nan])
    assert same(metrics.average_popularity(tops, np.ones(4)), [0.5, 0.5, np.nan])  # all ties


def test_lists_of_an_empty_catalog() -> None:
    tops, none = np.full((2, 3), -1), np.zeros(0, dtype=np.int64)
    assert np.isnan(metrics.novelty(tops, none)).all()
    assert np.isnan(metrics.average_popularity(tops, none)).all()
    assert np.isnan(metrics.intra_list_diversity(tops, np.zeros((0, 4)))).all()
    assert np.isnan(metrics.calibration(tops, none, [none, none])).all()


@pytest.mark.parametrize("block", [metrics.BLOCK, 1])
def test_intra_list_diversity(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics, "BLOCK", block)
    vectors = np.array([[1, 0], [0, 1], [-1, 0], [1, 0], [0.6, 0.8]], dtype=np.float32)
    tops = np.array([[0, 1, -1], [0, 3, -1], [-1, 0, 2], [0, 1, 3], [0, 1, 4], [2, -1, -1]])
    # cosines of the last three: 0, 1, 0, then 0, 0.6, 0.8, then none
    expected: list[float | Fraction] = [1, 0, 2, Fraction(2, 3), 1 - 1.4 / 3, np.nan]
    assert same(metrics.intra_list_diversity(tops, vectors), expected)


def test_calibration() -> None:
    categories = ints(0, 0, 1, -1, 2)
    past = [ints(0, 1, 2, 3), ints(0, 2), ints(0), ints(0), ints(), ints(3), ints(0)]
    tops = np.array([[0, 2], [1, 2], [4, 2], [1, 4], [0, 1], [0, 1], [3, -1]])
    # p = (2/3, 1/3) and q = (1/2, 1/2)
    near = 2 / 3 * np.log(2 / 3 / (0.495 + 0.02 / 3)) + 1 / 3 * np.log(1 / 3 / (0.495 + 0.01 / 3))
    nan = float("nan")
    expected = [near, 0, np.log(100), -np.log(0.505), nan, nan, nan]
    assert same(metrics.calibration(tops, categories, past), expected)


def test_interval_holds_the_mean_and_narrows() -> None:
    values = np.random.default_rng(1).normal(0.5, 0.1, 400)
    low, high = metrics.bootstrap_interval(values)
    assert low < values.mean() < high
    assert high - low == pytest.approx(2 * 1.96 * values.std() / 20, rel=0.1)
    narrow = metrics.bootstrap_interval(values, level=0.5)
    assert low < narrow[0] < values.mean() < narrow[1] < high
    assert metrics.bootstrap_interval(np.full(5, 0.25)) == pytest.approx((0.25, 0.25))
    assert np.isnan(metrics.bootstrap_interval(np.zeros(0))).all()


def test_the_best_of_several_needs_more_certainty() -> None:
    assert metrics.level_of_each(1) == pytest.approx(0.95)
    assert metrics.level_of_each(5) == pytest.approx(0.99)


def test_interval_draws_people_not_requests() -> None:
    values, clusters = np.array([1.0, 0.0, 1.0, 1.0]), ints(9, 4, 9, 9)
    # two people: 9 twice = 1, both = 3/4, 4 twice = 0, at a quarter, a half and a quarter
    assert metrics.bootstrap_interval(values, clusters=clusters) == (0, 1)
    assert metrics.bootstrap_interval(values, level=0.4, clusters=clusters) == (0.75, 0.75)
    assert metrics.bootstrap_interval(values, clusters=ints(5, 5, 5, 5)) == (0.75, 0.75)


def test_repeating_everybodys_requests_adds_no_certainty() -> None:
    values = np.random.default_rng(1).normal(0.5, 0.1, 50)
    alone = metrics.bootstrap_interval(values)
    often = metrics.bootstrap_interval(np.tile(values, 4), clusters=np.tile(np.arange(50), 4))
    assert often == pytest.approx(alone)


def test_interval_does_not_depend_on_the_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(1).normal(0.5, 0.1, 31)
    others = values[::-1].copy()
    whole = metrics.bootstrap_interval(values), metrics.ratio_interval(values, others)
    monkeypatch.setattr(metrics, "BLOCK", 100)
    parts = metrics.bootstrap_interval(values), metrics.ratio_interval(values, others)
    assert whole == parts


def test_ratio_interval() -> None:
    others = np.random.default_rng(1).uniform(0.1, 0.9, 60)
    assert metrics.ratio_interval(1.5 * others, others) == pytest.approx((1.5, 1.5, 1.5))  # paired
    values = np.array([1.0, 1.0, 1.0, 0.0])
    halves = np.array([0.5, 0.5, 0.5, 0.5])
    # two people: (3 · 1) / (3 · ½) = 2 twice, both 3/2, 0/½ = 0
    found = metrics.ratio_interval(values, halves, clusters=ints(1, 1, 1, 2))
    assert found == (1.5, 0, 2)
    assert metrics.ratio_interval(values, halves, clusters=ints(1, 1, 1, 1)) == (1.5, 1.5, 1.5)


def test_ratio_over_nothing() -> None:
    some, one = np.array([1.0, 1.0]), np.array([1.0, 0.0])
    assert metrics.ratio_interval(some, one) == (2, 1, np.inf)  # a quarter has nothing below
    assert metrics.ratio_interval(one, one) == (1, 1, 1)  # 0/0 is left out
    assert np.isnan(metrics.ratio_interval(some, np.zeros(2))).all()
    assert np.isnan(metrics.ratio_interval(some[:0], one[:0])).all()


def test_paired_p_value() -> None:
    three = np.array([0.4, 0.3, 0.9])
    # all signs alike: 2 of 8
    assert metrics.paired_p_value(three + 0.1, three) == pytest.approx(0.25, abs=0.03)
    thirty, people = np.tile(three, 10), np.tile(np.arange(3), 10)
    assert metrics.paired_p_value(thirty + 0.1, thirty) == pytest.approx(Fraction(1, 2001))
    clustered = metrics.paired_p_value(thirty + 0.1, thirty, clusters=people)
    assert clustered == pytest.approx(0.25, abs=0.03)
    assert metrics.paired_p_value(three, three + 0.1) == metrics.paired_p_value(three + 0.1, three)


def test_paired_p_value_without_evidence() -> None:
    values = np.array([0.4, 0.3, 0.9])
    assert metrics.paired_p_value(values, values) == 1
    assert metrics.paired_p_value(values, values[::-1], clusters=ints(2, 2, 2)) == 1
    assert metrics.paired_p_value(values + 1, values, clusters=ints(2, 2, 2)) == 1  # one person
    assert np.isnan(metrics.paired_p_value(values[:0], values[:0]))
