"""The sources one by one, and their union."""

from dataclasses import replace

import numpy as np
import pytest

from ranking.sources import union
from ranking.sources.category import category
from ranking.sources.fresh import fresh
from ranking.sources.neighbours import covisit, ease, markov
from ranking.sources.popular import popular
from ranking.sources.similar import similar
from ranking.sources.staples import staples
from ranking.sources.tower import tower
from ranking.types import DAY, Query
from ranking.user_tower import TowerConfig, UserTower, all_item_vectors
from tests.ranking.worlds import NOW, context_of, item_index, log_of, state

QUERY = Query(catalog_slug="", size=3, log=False)
LOG = log_of((1, 3, 3.0, 1.0), (1, 7, 2.0, 1.0), (2, 3, 1.0, 1.0))
NOBODY = np.zeros(0, dtype=np.int64)


def everything() -> np.ndarray:
    return np.ones(12, dtype=bool)


def test_what_nobody_picked_fills_up_the_newest_first() -> None:
    published = np.array([np.nan, *(NOW - np.arange(11, 0, -1) * DAY)])
    world = state(log_of((2, 3, 1.0, 1.0)), replace(item_index(), published=published))
    allowed = everything()
    allowed[11] = False
    asked = replace(QUERY, size=4)
    found = union.retrieve(world, context_of(), asked, allowed)
    ranks = dict(
        zip(found.rows.tolist(), found.source_ranks[:, union.NAMES.index("fresh")], strict=True)
    )
    assert [row for row, rank in sorted(ranks.items(), key=lambda pair: pair[1]) if rank >= 0] == [
        10,
        9,
        8,
    ]
    assert np.isnan(ranks[3])  # popular has found it
    popular_only = union.retrieve(
        world, context_of(), replace(asked, only_sources=("popular",)), allowed
    )
    assert popular_only.rows.tolist() == [3]
    everybody = union.retrieve(world, context_of(), replace(asked, size=50), allowed)
    assert everybody.rows.tolist() == list(range(11))


def test_staples_are_faded_counts_of_the_persons_own() -> None:
    found = staples(state(LOG), context_of((3, 60, 1), (3, 120, 1), (4, 60, 0.5)), NOBODY)
    assert found is not None
    assert found[3] == pytest.approx(0.5 + 0.25)
    assert found[4] == pytest.approx(0.25)
    assert np.count_nonzero(found) == 2


def test_there_are_no_staples_where_nothing_is_taken_again() -> None:
    world = state(LOG, repeat_consumption=False)
    assert staples(world, context_of((3, 1, 1)), NOBODY) is None


def test_category_is_liking_times_popularity() -> None:
    world = state(LOG)
    found = category(world, context_of((0, 60, 1), (3, 60, 1)), NOBODY)  # category 0 twice
    assert found is not None
    assert found[3] == pytest.approx(np.log1p(0.5 + 0.5) * np.sqrt(world.popularity.blend[3]))
    assert found[7] == 0  # popular, but in another category
    assert category(world, context_of((0, 1, -1)), NOBODY) is None  # disliked


def test_covisit_sums_over_the_anchors_the_newest_first() -> None:
    world = state(LOG)
    table = world.neighbours["covisit"]
    weight = dict(zip(table.rows[3], table.weights[3], strict=True))[7]
    found = covisit(world, context_of(), np.array([0, 3]))
    assert found is not None
    assert found[7] == pytest.approx(0.5 ** (1 / table.fading) * weight)
    assert covisit(world, context_of(), NOBODY) is None


def test_markov_reads_only_forward() -> None:
    world = state(LOG)
    after = markov(world, context_of(), np.array([3]))
    before = markov(world, context_of(), np.array([7]))
    assert after is not None
    assert before is not None
    assert after[7] > 0
    assert before[3] == 0
    assert ease(replace(world, neighbours={}), context_of(), np.array([3])) is None


def test_fresh_halves_with_age_where_items_age() -> None:
    items = replace(item_index(), published=np.append(np.full(11, NOW - 6 * DAY), np.nan))
    found = fresh(state(LOG, items, item_half_life_days=3.0), context_of(), NOBODY)
    assert found is not None
    assert found.tolist() == pytest.approx([0.25] * 11 + [0.0])  # without a time: never fresh
    assert fresh(state(LOG), context_of(), NOBODY) is None


def test_popular_is_the_same_for_everybody() -> None:
    world = state(LOG)
    found = popular(world, context_of((0, 1, 1)), NOBODY)
    assert found is not None
    assert found.argmax() == 3
    assert np.array_equal(found, world.popularity.blend)


def test_newcomers_get_what_is_picked_on_first_visits() -> None:
    world = state(LOG)
    found = popular(world, context_of(), NOBODY)
    assert found is not None
    assert np.array_equal(found, world.popularity.for_newcomers)


def test_similar_turns_away_from_what_was_hidden() -> None:
    world = state(LOG)
    anchors = np.array([0])
    liked = similar(world, context_of((0, 1, 1)), anchors)
    torn = similar(world, context_of((1, 2, -1), (0, 1, 1)), anchors)
    assert liked is not None
    assert torn is not None
    assert liked[0] == pytest.approx(1.0, abs=1e-5)  # a cosine
    assert torn[1] < liked[1]


def test_the_tower_answers_only_people_with_a_history() -> None:
    items = item_index()
    network = UserTower(TowerConfig(item_count=12, vector_size=8, width=16, length=5)).eval()
    vectors = all_item_vectors(network, items.text_vectors, items.text_codes, np.arange(12))
    world = state(LOG, items, tower=network, tower_items=vectors)
    found = tower(world, context_of((3, 1, 1)), NOBODY)
    assert found is not None
    assert found.shape == (12,)
    assert tower(world, context_of((3, 1, -1)), NOBODY) is None
    assert tower(state(LOG), context_of((3, 1, 1)), NOBODY) is None


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


def test_on_the_first_day_texts_are_compared_without_what_they_have_in_common() -> None:
    draw = np.random.default_rng(4)
    kinds = np.arange(60) % 3
    shared = np.zeros(8, dtype=np.float32)
    shared[7] = 4.0  # in every text
    vectors = shared + np.eye(8, dtype=np.float32)[kinds] + 0.1 * draw.normal(size=(60, 8))
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    vectors[59] = 0.0  # not encoded yet
    items = replace(item_index(60), text_vectors=vectors)
    world = state(LOG, items)
    anchors = np.array([0, 3])
    plain = similar(world, context_of((0, 2, 1), (3, 1, 1)), anchors)
    apart = similar(replace(world, first_day=True), context_of((0, 2, 1), (3, 1, 1)), anchors)
    assert plain is not None
    assert apart is not None
    assert plain[:59].min() > 0.8  # all alike
    common = items.common
    assert common is not None
    left = common.without(items.text_vectors[:59])
    expected = common.without(items.vectors(anchors))
    wanted = np.exp2(-np.arange(2) / 3.0) @ expected
    assert np.allclose(apart[:59], left @ wanted / np.linalg.norm(wanted), atol=1e-3)
    assert apart[59] == 0.0
    assert np.abs(left @ common.directions.T).max() < 1e-3
    few = replace(item_index(12))
    assert few.common is None
    same = similar(replace(state(LOG, few), first_day=True), context_of((0, 2, 1)), anchors[:1])
    assert np.array_equal(same, similar(state(LOG, few), context_of((0, 2, 1)), anchors[:1]))  # type: ignore[arg-type]
