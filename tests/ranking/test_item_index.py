"""Rows and categories of the items in memory."""

import numpy as np

from tests.ranking.worlds import item_index


def test_rows_of_ids() -> None:
    assert item_index().rows_of(np.array([100, 111, 5])).tolist() == [0, 11, -1]


def test_category_mask_includes_what_is_below() -> None:
    inside = item_index().in_category("b")
    assert inside.tolist() == [row % 3 != 0 for row in range(12)]
