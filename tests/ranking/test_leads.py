"""The leads between rankers, sources and the language model."""

import json
from dataclasses import replace

import numpy as np
import pytest

from ranking.rankers.blend import LANGUAGE_MODEL, LEADS, score
from ranking.rankers.ensemble import by_rank
from ranking.rankers.examples import Rows
from ranking.rankers.fusion import fuse
from ranking.rankers.leads import TRUSTED_AFTER, UNTRIED, Leads, Parts
from ranking.sources import union
from ranking.sources.union import empty_candidates, retrieve
from ranking.types import FloatArray, Query
from tests.ranking.worlds import context_of, log_of, state

QUERY = Query(catalog_slug="", log=False)
LOG = log_of((1, 3, 3.0, 1.0), (1, 7, 2.0, 1.0), (2, 3, 1.0, 1.0))
TAPERED = Leads(
    known=(0.0, 2.0, 10.0),
    picks=(0.0, 5.0),
    text=((0.4, 0.2), (0.2, 0.1), (0.0, 0.0)),
    sources=(0.6, 0.2, 0.0),
    popular=(0.0, 0.4, 0.2),
)


class Backwards:
    """A ranker that puts the last row first."""

    def score(self, rows: Rows) -> FloatArray:
        return rows.items.astype(np.float32)


def test_shares_run_straight_between_knots_and_stay_behind_the_last() -> None:
    assert TAPERED.sources_at(1.0) == pytest.approx(0.4)
    assert TAPERED.sources_at(99.0) == 0.0
    assert TAPERED.popular_at(1.0) == pytest.approx(0.2)
    assert TAPERED.popular_at(6.0) == pytest.approx(0.3)
    picks = np.array([0.0, 2.5, 5.0, 80.0], dtype=np.float32)
    assert TAPERED.text_at(1.0, picks) == pytest.approx([0.3, 0.225, 0.15, 0.15])
    assert TAPERED.text_at(50.0, picks) == pytest.approx([0.0] * 4)


def test_meta_json_keeps_a_gate() -> None:
    told = json.loads(json.dumps(TAPERED.told()))
    assert Leads.of({"leads": told}) == TAPERED
    del told["popular"]  # as older bundles have it
    assert Leads.of({"leads": told}) == replace(TAPERED, popular=(0.0, 0.0, 0.0))


@pytest.mark.parametrize(
    ("parameters", "until"), [({}, TRUSTED_AFTER), ({"trusted_after": 8.0}, 8.0)]
)
@pytest.mark.parametrize("known", [0.0, 1.0, 4.0, 7.9, 8.0, 30.0])
def test_bundles_of_before_are_served_as_before(
    parameters: dict[str, float], until: float, known: float
) -> None:
    ranked, fused = by_rank(np.array([3.0, 1, 2])), by_rank(np.array([1.0, 2, 3]))
    parts = Parts(
        known, np.zeros(3, dtype=np.float32), ranked, by_rank(np.array([9.0, 0, 1])), fused, fused
    )
    trust = min(known / until, 1.0)
    assert parts.mixed(Leads.of(parameters)) == pytest.approx(trust * ranked + (1 - trust) * fused)
    assert (parts.mixed(Leads.of({"trusted_after": 0.0})) == ranked).all()


def test_what_has_nothing_to_say_leaves_its_share_to_the_rankers() -> None:
    ranked = by_rank(np.array([3.0, 1, 2], dtype=np.float32))
    parts = Parts(0.0, np.zeros(3, dtype=np.float32), ranked, None, None, None)
    assert (parts.mixed(TAPERED) == ranked).all()


def test_the_score_is_the_weighed_sum_and_without_the_gate_the_rankers_order() -> None:
    world = state(LOG, ranker=Backwards(), leads=TAPERED)
    person = context_of((3, 2, 1))
    candidates = retrieve(world, person, QUERY, np.ones(12, dtype=bool))
    ranked = by_rank(candidates.rows.astype(np.float32))
    likeness = candidates.source_scores[:, union.NAMES.index(LANGUAGE_MODEL)]
    rows = candidates.rows
    popular = np.select([rows == 3, rows == 7], [1.0, 2**-0.1], 0.0)  # two picks, one, none
    shares = TAPERED.text_at(1.0, world.popularity.counts[-1, candidates.rows])
    expected = ranked + 0.4 * (by_rank(fuse(candidates)) - ranked)
    expected = expected + 0.2 * (popular - ranked)
    expected = expected + shares * (by_rank(likeness) - ranked)
    assert score(world, person, candidates, QUERY) == pytest.approx(expected, abs=1e-6)
    alone = score(world, person, candidates, Query("", log=False, without=(LEADS,)))
    assert (alone == ranked).all()


def test_where_popularity_has_nothing_to_say_the_fusion_has_its_share() -> None:
    popular = Leads((0.0,), (0.0,), ((0.0,),), (0.0,), (1.0,))
    world, person = state(LOG, ranker=Backwards(), leads=popular), context_of((3, 2, 1))
    candidates = retrieve(world, person, QUERY, np.ones(12, dtype=bool))
    fused = by_rank(fuse(candidates))
    beside_an_item = Query("", log=False, anchor_item_id=int(world.items.ids[5]))
    assert score(world, person, candidates, beside_an_item) == pytest.approx(fused)
    assert score(world, person, candidates, QUERY) != pytest.approx(fused)
    nobodys = candidates.keep(np.flatnonzero(~np.isin(candidates.rows, (3, 7))))
    assert len(nobodys) > 1
    assert score(world, person, nobodys, QUERY) == pytest.approx(by_rank(fuse(nobodys)))


def test_a_search_by_somebody_new_is_ordered_by_the_rankers() -> None:
    world = state(LOG, ranker=Backwards(), leads=UNTRIED)
    found = empty_candidates(np.array([4, 9, 2]))
    assert score(world, context_of((3, 2, 1)), found, QUERY).argmax() == 1
