"""Filters, ranking without a model, diversity, reasons."""

from dataclasses import replace

import numpy as np

from ranking import explain
from ranking.filters import allowed_items, drop_near_duplicates
from ranking.pipeline import Trace, rank
from ranking.rerank import diversify
from ranking.sources.union import empty_candidates
from ranking.state import ALIKE_TEXT
from ranking.types import Query
from tests.ranking.worlds import NOW, context_of, item_index, log_of, state

LOG = log_of((1, 0, 1.0, 1.0), (2, 1, 1.0, 1.0), (3, 2, 1.0, 1.0))


def test_seen_items_return_only_where_people_repeat() -> None:
    context, query = context_of((0, 1, 1)), Query("")
    assert allowed_items(state(LOG, repeat_consumption=True), context, query)[0][0]
    allowed, removed = allowed_items(state(LOG, repeat_consumption=False), context, query)
    assert not allowed[0]
    assert removed == {"seen": 1}


def test_hidden_excluded_and_foreign_items_stay_away() -> None:
    query = Query("", exclude=(102, 999), category="b", anchor_item_id=101)
    allowed, removed = allowed_items(state(LOG), context_of((4, 1, -1)), query)
    assert np.flatnonzero(allowed).tolist() == [5, 7, 8, 10, 11]
    assert removed == {"other category": 4, "hidden": 1, "excluded": 1, "the item itself": 1}


def test_what_is_published_later_is_no_candidate_yet() -> None:
    items = item_index()
    published = items.published.copy()
    published[:3] = NOW + 1.0, NOW, np.nan
    world = state(LOG, replace(items, published=published))
    allowed, removed = allowed_items(world, context_of((4, 1, 1)), Query(""))
    assert allowed.tolist() == [False, *[True] * 11]
    assert removed == {"not published yet": 1}


def test_near_duplicates_go_but_own_staples_stay() -> None:
    items = item_index()
    vectors = items.text_vectors.copy()
    vectors[3] = vectors[6] = vectors[0]
    world = state(LOG, replace(items, text_vectors=vectors))
    candidates = empty_candidates(np.array([0, 3, 6, 1]))
    kept = drop_near_duplicates(world, context_of((6, 1, 1)), candidates, ALIKE_TEXT)
    assert kept.rows.tolist() == [0, 6, 1]


def test_diversity_prefers_what_differs() -> None:
    candidates = empty_candidates(np.array([0, 3, 1]))
    candidates.scores = np.array([1.0, 0.95, 0.9], dtype=np.float32)
    known = context_of((0, 1, 1))
    assert diversify(state(LOG), known, candidates, Query("", size=3)).rows.tolist() == [0, 3, 1]
    varied = diversify(state(LOG, diversity=0.5), known, candidates, Query("", size=3))
    assert varied.rows.tolist() == [0, 1, 3]


def test_a_stranger_gets_a_varied_slate() -> None:
    events = [(user, 0, 1.0, 1.0) for user in range(9)]
    events += [(user, 3, 1.0, 1.0) for user in range(8)]
    log = log_of(*events, (1, 1, 1.0, 1.0), (1, 2, 1.0, 1.0))
    world = state(log)
    context = context_of()
    ranked = rank(world, context, Query("", size=3), Trace())
    slate = diversify(world, context, ranked, Query("", size=3))
    assert {row % 3 for row in slate.rows.tolist()} == {0, 1, 2}


def test_one_click_moves_the_list() -> None:
    world = state(LOG)
    trace = Trace()
    ranked = rank(world, context_of((0, 0.001, 0.5)), Query("", size=4), trace)
    assert sum(row % 3 == 0 for row in ranked.rows[:4].tolist()) >= 3
    assert [stage.name for stage in trace.stages] == [
        "allowed",
        "sources",
        "ranker",
        "near-duplicates",
    ]


def test_an_empty_catalog_gives_an_empty_slate() -> None:
    items = item_index(0)
    world = state(LOG.keep(np.zeros(3, dtype=bool)), items)
    assert len(rank(world, context_of(), Query(""), Trace())) == 0


def test_reasons() -> None:
    assert explain.reason(("similar", "popular"), "Milk", 0) == "Because of “Milk”"
    assert explain.reason(("staples", "similar"), "Milk", 3) == "One of your staples"
    assert explain.reason(("staples", "similar"), "Milk", 1) == "From your history"
    assert explain.reason(("popular",), "", 0) == "Popular now"
    assert explain.reason((), "", 0) == "Matches your search"
    assert explain.reason(("similar",), "", 0) == "Goes with what you looked at"
    assert explain.reason(("popular",), "", 0, alike_like_it=True) == "Popular with people like you"


def test_a_stage_or_a_source_can_be_left_out() -> None:
    world = state(LOG, diversity=0.5)
    candidates = empty_candidates(np.array([0, 3, 1]))
    candidates.scores = np.array([1.0, 0.95, 0.9], dtype=np.float32)
    plain = Query("", size=3, without=("diversity",))
    assert diversify(world, context_of((0, 1, 1)), candidates, plain).rows.tolist() == [0, 3, 1]
    found = rank(world, context_of((0, 1, 1)), Query("", without=("popular", "staples")), Trace())
    for name in ("popular", "staples"):
        assert np.isnan(found.source_ranks[:, found.source_names.index(name)]).all()
