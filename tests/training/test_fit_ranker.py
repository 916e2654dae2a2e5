"""Choices that are made on validation."""

from dataclasses import replace
from pathlib import Path
from typing import cast

import numpy as np
import pytest

from ranking.rankers.examples import Rows
from ranking.state import TRUSTED_AFTER
from ranking.types import DAY, FloatArray
from tests.ranking.worlds import NOW, item_index, log_of, state
from tests.training.test_fit_tower import Silent
from training.fit_ranker import LEAST_OF_FEW, choose_trust
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
    assert choose_trust(handle, lambda: then, log, split, Knows(sign)) == trusted_after


def test_with_few_newcomers_the_usual_holds(tmp_path: Path) -> None:
    log = log_of(*((user, user % 12, age, 1.0) for user in range(20) for age in (35.0, 15.0)))
    split = time_split(log, MOMENTS, repeats=True)
    handle = cast(RunHandle, Silent(tmp_path))
    assert choose_trust(handle, lambda: state(log), log, split, Knows(1.0)) == TRUSTED_AFTER
