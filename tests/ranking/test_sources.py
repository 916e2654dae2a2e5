"""The sources, their union, and the tables behind them."""

import numpy as np
import pytest
from scipy import sparse

from ranking.sources import union
from ranking.sources.covisit import CoVisitation, CoVisitationConfig, strongest
from ranking.sources.popular import DAY, Popularity
from ranking.types import Query
from tests.ranking.worlds import NOW, context_of, item_index, log_of, state

QUERY = Query(catalog_slug="", size=3, log=False)


def everything() -> np.ndarray:
    return np.ones(12, dtype=bool)


def test_popularity_halves_with_each_half_life() -> None:
    popularity = Popularity.fit(log_of((1, 2, 3.0, 1.0), (2, 2, 0.0, -1.0)), 4, NOW)
    assert popularity.counts[:, 2] == pytest.approx([0.5, 0.5 ** (3 / 14), 0.5 ** (3 / 90)])


def test_popularity_advanced_equals_popularity_counted_anew() -> None:
    log = log_of((1, 0, 9.0, 1.0), (2, 1, 4.0, 0.5), (3, 1, 0.5, 1.0))
    early = Popularity.fit(log, 3, NOW - 5 * DAY)
    assert early.advance(log, 3, NOW).counts == pytest.approx(Popularity.fit(log, 3, NOW).counts)


def test_covisitation_counts_forward_more_than_backward() -> None:
    config = CoVisitationConfig(window=1, reverse=0.5, half_life_days=1e9, damping=0.0)
    log = log_of((1, 0, 3.0, 1.0), (1, 1, 2.0, 1.0), (2, 0, 3.0, 1.0), (2, 1, 2.0, 1.0))
    table = CoVisitation.fit(log, 3, NOW, config)
    # 0 → 1 twice forward: 2 / (2 + 1); 1 → 0 twice backward: 2 · 0.5 / (2 + 1)
    assert table.neighbours[0, 0] == 1
    assert table.weights[0, 0] == pytest.approx(2 / 3)
    assert table.weights[1, 0] == pytest.approx(1 / 3)
    assert table.neighbours[2].max() == -1


def test_covisitation_does_not_cross_people() -> None:
    table = CoVisitation.fit(log_of((1, 0, 2.0, 1.0), (2, 1, 1.0, 1.0)), 2, NOW)
    assert table.neighbours.max() == -1


def test_strongest_keeps_the_largest_of_each_row() -> None:
    matrix = sparse.csr_matrix(np.array([[0, 1, 3], [0, 0, 0], [5, 0, 4]], dtype=np.float32))
    columns, values = strongest(matrix, 1)
    assert columns.tolist() == [[2], [-1], [0]]
    assert values.tolist() == [[3], [0], [5]]


def test_the_union_keeps_each_sources_rank() -> None:
    log = log_of((1, 3, 2.0, 1.0), (1, 3, 1.0, 1.0), (2, 7, 1.0, 1.0))
    found = union.retrieve(state(log), context_of((3, 1, 1)), QUERY, everything())
    staples, popular = union.NAMES.index("staples"), union.NAMES.index("popular")
    place = int(np.flatnonzero(found.rows == 3)[0])
    assert found.source_ranks[place, staples] == 0
    assert found.source_ranks[place, popular] == 0
    other = int(np.flatnonzero(found.rows == 7)[0])
    assert np.isnan(found.source_ranks[other, staples])


def test_similar_follows_the_category_of_the_last_click() -> None:
    log = log_of((9, 1, 1.0, 1.0))
    query = Query(catalog_slug="", size=3, only_sources=("similar",), log=False)
    world = state(log)
    found = union.retrieve(world, context_of((0, 1, 1)), query, everything())
    first = found.rows[np.argsort(found.source_ranks[:, union.NAMES.index("similar")])][:4]
    assert {row % 3 for row in first.tolist()} == {0}


def test_an_anchor_stands_for_the_history() -> None:
    log = log_of((9, 1, 1.0, 1.0))
    query = Query("", size=3, anchor_item_id=101, only_sources=("similar",), log=False)
    found = union.retrieve(state(log), context_of((0, 1, 1)), query, everything())
    best = found.rows[np.nanargmin(found.source_ranks[:, union.NAMES.index("similar")])]
    assert best % 3 == 1


def test_what_is_not_allowed_is_not_found() -> None:
    allowed = everything()
    allowed[3] = False
    log = log_of((1, 3, 1.0, 1.0), (1, 4, 1.0, 1.0))
    found = union.retrieve(state(log), context_of((3, 1, 1)), QUERY, allowed)
    assert 3 not in found.rows


def test_rows_of_ids() -> None:
    assert item_index().rows_of(np.array([100, 111, 5])).tolist() == [0, 11, -1]


def test_category_mask_includes_what_is_below() -> None:
    inside = item_index().in_category("b")
    assert inside.tolist() == [row % 3 != 0 for row in range(12)]
