"""The leads are learned on validation, reach as far as they help, and never widen with history."""

from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import cast

import numpy as np
import pytest

from ranking.rankers.ensemble import by_rank
from ranking.rankers.examples import Rows
from ranking.rankers.leads import UNTRIED, Leads, Parts
from ranking.types import DAY, FloatArray
from tests.ranking.worlds import NOW, item_index, log_of, state
from tests.training.test_fit_tower import Silent
from training.fit_leads import (
    LEAST,
    LENGTHS,
    POPULARITY,
    RANKERS,
    TRIED,
    Length,
    _gains,
    _mean_and_error,
    best_path,
    fit_leads,
    learn,
)
from training.handle import RunHandle
from training.splits import Moments, PastRequest, shortened, time_split

MOMENTS = Moments(NOW - 40 * DAY, NOW - 30 * DAY, NOW - 20 * DAY, NOW - 10 * DAY, NOW)
ITEMS = replace(item_index(), published=np.full(12, NOW - 60 * DAY))
TASTE = 5  # what newcomers pick, although most people picked something else


class Knows:
    """A ranker that puts one item first, or last."""

    def __init__(self, sign: float) -> None:
        self.sign = sign

    def score(self, rows: Rows) -> FloatArray:
        return np.where(rows.items == TASTE, self.sign, 0.0).astype(np.float32)


def test_popularity_leads_newcomers_unless_something_is_surely_better() -> None:
    places = (POPULARITY, RANKERS)
    for better, chosen in ((POPULARITY, 1.0), (RANKERS, 0.0)):
        for lead, popular in ((0.001, 1.0), (0.1, chosen)):
            gains = np.random.default_rng(3).normal(0.2, 0.05, (60, len(TRIED)))
            gains[:, [place for place in range(len(TRIED)) if place not in places]] = 0.0
            gains[:, better] += lead
            newcomers = Length(0.0, np.arange(60), gains, usual=POPULARITY)
            leads = learn([newcomers], 1, lambda text: None)
            assert leads.popular_at(0.0) == popular
            others = lengths((0.0, 0.0, 0.0), (0.0, 0.8, 0.0))[1:]  # of whom one pick is known
            both = learn([newcomers, *others], 1, lambda text: None)
            assert both.popular_at(0.0) == popular
            assert both.sources_at(1.0) == 0.8


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_everybody_leads_newcomers_where_the_ranker_does_not_know_better(
    sign: float, tmp_path: Path
) -> None:
    before = [(user, row, 35.0, 1.0) for user in range(20) for row in range(12)]
    newcomers = [(user, TASTE, 15.0, 1.0) for user in range(100, 100 + LEAST)]
    log = log_of(*before, *before[:40], *newcomers)
    split = time_split(log, MOMENTS, repeats=True)
    then = state(log, ITEMS).as_of(log.keep(split.valid.known), split.valid.now)
    handle = cast(RunHandle, Silent(tmp_path))
    leads = fit_leads(handle, then, log, split.valid, Knows(sign))
    assert (leads.sources_at(0.0) + leads.popular_at(0.0) > 0) == (sign < 0)


def test_who_comes_back_says_nothing_of_newcomers(tmp_path: Path) -> None:
    known = range(4 * LEAST)
    before = [(user, row, 35.0, 1.0) for user in known for row in (0, 0, TASTE)]
    again = [(user, TASTE, 15.0, 1.0) for user in known]  # as the ranker expects of everybody
    newcomers = [(user, 0, 15.0, 1.0) for user in range(1000, 1000 + LEAST)]
    log = log_of(*before, *again, *newcomers)
    split = time_split(log, MOMENTS, repeats=True)
    then = state(log, ITEMS).as_of(log.keep(split.valid.known), split.valid.now)
    leads = fit_leads(cast(RunHandle, Silent(tmp_path)), then, log, split.valid, Knows(1.0))
    assert leads.sources_at(0.0) + leads.popular_at(0.0) > 0
    assert leads.sources_at(1.0) + leads.popular_at(1.0) == 0


def test_with_few_requests_the_usual_holds(tmp_path: Path) -> None:
    log = log_of(*((user, user % 12, age, 1.0) for user in range(20) for age in (35.0, 15.0)))
    split = time_split(log, MOMENTS, repeats=True)
    handle = cast(RunHandle, Silent(tmp_path))
    assert fit_leads(handle, state(log), log, split.valid, Knows(1.0)) == UNTRIED


def lengths(*best: tuple[float, float, float], gain: float = 0.2) -> list[Length]:
    """Requests for which, at each length, one (level, sources, popular) adds this much."""
    draw = np.random.default_rng(1)
    made = []
    for place, wanted in enumerate(best):
        shares = np.array([(one.level, one.sources, one.popular) for one in TRIED])
        near = -np.abs(shares - wanted).sum(axis=1)
        each = gain * (1.0 + near - 0.01 * np.array([one.rare for one in TRIED]))
        noise = draw.normal(0.0, 0.01, (60, len(TRIED)))
        gains = 0.3 + each + noise
        gains[:, 0] = 0.3 + (0.0 if any(wanted) else gain)
        made.append(Length(float(LENGTHS[place]), np.arange(60), gains))
    return made


def test_each_way_of_weighing_is_worth_what_its_order_finds() -> None:
    orders = np.array([[3, 1, 2], [1, 3, 2], [1, 2, 3], [2, 3, 1]], dtype=np.float32)
    ranked, text, fused, popular = (by_rank(order) for order in orders)
    parts = Parts(0.0, np.full(3, 20.0, dtype=np.float32), ranked, text, fused, popular)
    gains = _gains(parts, np.array([False, True, False]), 1)  # of the second item
    places = {(0, 0, 0): 2, (1, 0, 0): 0, (0, 1, 0): 1, (0, 0, 1): 0}  # level, sources, popular
    for wanted, place in places.items():
        (number,) = (
            number
            for number, one in enumerate(TRIED)
            if (one.rare, one.level, one.sources, one.popular) == (0, *wanted)
        )
        assert gains[number] == pytest.approx(1 / np.log2(place + 2))


def test_shares_are_found_and_end_where_they_help_no_more() -> None:
    said: list[str] = []
    best = ((0.0, 0.8, 0.0), (0.0, 0.0, 0.8), (0.0, 0.2, 0.4), (0.0, 0.0, 0.0), (0.0, 0.0, 0.0))
    leads = learn(lengths(*best), 1, said.append)
    assert leads.known[:3] == (0.0, 1.0, 2.0)
    assert leads.sources[:3] == (0.8, 0.0, 0.2)
    assert leads.popular[:3] == (0.0, 0.8, 0.4)
    assert leads.sources_at(5.0) == 0.0
    assert leads.text_at(99.0, np.zeros(1, dtype=np.float32)) == 0.0
    assert any("nDCG@10" in line for line in said)


def test_of_people_who_did_much_the_rankers_alone_decide() -> None:
    best = [(0.0, 0.4, 0.0)] * len(LENGTHS)
    leads = learn(lengths(*best), 1, lambda text: None)
    assert leads.sources_at(50.0) == pytest.approx(0.4)
    assert leads.sources_at(75.0) == pytest.approx(0.2)
    assert leads.sources_at(100.0) == 0.0


def test_requests_of_one_person_are_no_news_of_each_other() -> None:
    gains = np.array([[0.1], [0.3], [0.8]])
    mean, error = _mean_and_error(gains, np.arange(3))
    assert mean == pytest.approx([0.4])
    assert error == pytest.approx([np.std([0.1, 0.3, 0.8], ddof=1) / 3**0.5])
    again, same = _mean_and_error(np.repeat(gains, 5, axis=0), np.repeat(np.arange(3), 5))
    assert again == pytest.approx(mean)
    assert same == pytest.approx(error)


def test_the_rankers_alone_decide_where_nothing_helps() -> None:
    closed = learn(lengths((0, 0, 0), (0, 0, 0)), 1, lambda text: None)
    assert closed == Leads.led_in(0.0)


def test_of_all_paths_that_never_rise_the_best_is_taken() -> None:
    draw = np.random.default_rng(2)
    means = draw.random((3, len(TRIED)))
    path = best_path(means)
    chosen = [TRIED[place] for place in path]
    for earlier, later in pairwise(chosen):
        assert later.rare == earlier.rare
        assert later.level <= earlier.level
        assert later.everybody <= earlier.everybody + 1e-9
    total = means[range(3), path].sum()
    each = np.array([one.rare for one in TRIED])
    tried = 0
    for _ in range(4_000):  # others that never rise are no better
        same = np.flatnonzero(each == draw.choice(each))
        three = sorted(draw.choice(same, 3), key=lambda one: -TRIED[one].level)
        found = [TRIED[one] for one in three]
        if len({one.rare for one in found}) == 1 and all(
            later.everybody <= earlier.everybody for earlier, later in pairwise(found)
        ):
            assert means[range(3), three].sum() <= total + 1e-9
            tried += 1
    assert tried > 100


def test_a_history_is_cut_to_what_its_newest_interactions_weigh() -> None:
    log = log_of((1, 0, 5.0, 1.0), (1, 1, 4.0, 0.5), (1, 2, 3.0, -1.0), (1, 3, 2.0, 0.5))
    nothing = np.zeros(0, dtype=np.int64)
    whole = PastRequest(0, 4, 1, NOW, nothing, nothing, np.zeros(0, dtype=np.uint8))

    def left(worth: float) -> int | None:
        short = shortened(log, whole, worth)
        return None if short is None else short.stop - short.start

    assert [left(worth) for worth in (0, 0.5, 1, 2, 3)] == [0, 1, 3, 4, None]
