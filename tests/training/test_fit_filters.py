"""Near-duplicates are dropped unless people pick what only looks alike."""

from dataclasses import replace
from pathlib import Path
from typing import cast

import numpy as np
import pytest

from ranking.rankers.examples import Rows
from ranking.rankers.leads import Leads
from ranking.state import ALIKE_TEXT, NO_DUPLICATE, SAME_TEXT
from ranking.types import DAY, FloatArray
from tests.ranking.worlds import NOW, item_index, log_of, state
from tests.training.test_fit_tower import Silent
from training.fit_filters import fit_near_duplicate
from training.handle import RunHandle
from training.splits import Moments, time_split

MOMENTS = Moments(NOW - 40 * DAY, NOW - 30 * DAY, NOW - 20 * DAY, NOW - 10 * DAY, NOW)
FIRST, TWIN, OTHER = 0, 3, 1  # the ranker's first, one that is much like it, one that is not


class Knows:
    """A ranker that puts the two that are alike first."""

    def score(self, rows: Rows) -> FloatArray:
        return np.select([rows.items == FIRST, rows.items == TWIN], [2.0, 1.0], 0.0).astype(
            np.float32
        )


ALL = 40  # people


@pytest.mark.parametrize(
    ("likeness", "wanted", "expected"),
    [
        (1.0, [TWIN] * ALL, NO_DUPLICATE),  # the same text, and both are picked
        (0.98, [TWIN] * ALL, SAME_TEXT),  # much the same, and both are picked
        (1.0, [OTHER] * ALL, ALIKE_TEXT),  # the same text, and one is enough
        (0.5, [TWIN] * ALL, ALIKE_TEXT),  # not alike: nothing is dropped anyway
        (1.0, [TWIN, *[FIRST] * (ALL - 1)], ALIKE_TEXT),  # one person is chance
        (1.0, [TWIN] * 20, ALIKE_TEXT),  # and so are twenty
    ],
)
def test_near_duplicates_are_dropped_unless_that_surely_costs(
    likeness: float, wanted: list[int], expected: float, tmp_path: Path
) -> None:
    items = item_index()
    vectors = np.eye(12, 13, dtype=np.float32)
    vectors[TWIN] = 0.0
    vectors[TWIN, [FIRST, 12]] = likeness, (1 - likeness**2) ** 0.5
    items = replace(items, text_vectors=vectors, published=np.full(12, NOW - 60 * DAY))
    others = [(user, row, 35.0, 1.0) for user in range(20) for row in range(12)]
    before = [(100 + place, 11, 35.0, 1.0) for place in range(len(wanted))]
    asked = [(100 + place, row, 15.0, 1.0) for place, row in enumerate(wanted)]
    log = log_of(*others, *before, *asked)
    split = time_split(log, MOMENTS, repeats=False)
    then = state(log, items, ranker=Knows(), leads=Leads.led_in(0.0), repeat_consumption=False)
    then = then.as_of(log.keep(split.valid.known), split.valid.now)
    handle = cast(RunHandle, Silent(tmp_path))
    assert fit_near_duplicate(handle, then, log, split.valid) == expected
