"""Rules and dials in the path of a request: what each does, its trace, and honest propensities."""

from collections import Counter
from dataclasses import replace
from datetime import timedelta
from typing import Any

import numpy as np
import pytest
from django.utils import timezone

from catalog.dials import set_dials, set_event_weights
from catalog.item_filter import parse
from catalog.models import AuditEntry, Catalog, Item, Rule, SlateLog
from catalog.rules import add_rule, remove_rule, switch_rule
from ranking import pipeline, serving
from ranking.placing import EXPLORED, Placed, explore, pin, push
from ranking.sources.union import empty_candidates
from ranking.state import RankingState
from ranking.types import Query, Slate
from tests.ranking.worlds import context_of, item_index, log_of, state

LOG = log_of(*((user, row, 1.0, 1.0) for row in range(12) for user in range(12 - row)))


def ranked(*rows: int) -> Any:
    candidates = empty_candidates(np.array(rows, dtype=np.int64))
    candidates.scores = np.exp2(-np.arange(len(rows), dtype=np.float32) / 10)
    return candidates


class TestPopularity:
    def test_pushes_towards_and_away(self) -> None:
        candidates = ranked(5, 0, 11)
        up, _ = push(state(LOG, popularity_push=1.0), context_of(), candidates, Query(""))
        assert up.rows.tolist() == [0, 5, 11]
        assert up.scores.tolist() == candidates.scores.tolist()  # places keep theirs
        down, _ = push(state(LOG, popularity_push=-1.0), context_of(), candidates, Query(""))
        assert down.rows.tolist() == [11, 5, 0]

    def test_leaves_shelves_of_one_source_alone(self) -> None:
        world = state(LOG, popularity_push=-1.0)
        query = Query("", only_sources=("popular",))
        assert push(world, context_of(), ranked(0, 5), query)[0].rows.tolist() == [0, 5]


class TestPins:
    def test_places_stand_and_the_rest_moves_down(self) -> None:
        pins = {0: (7, "a"), 2: (3, "b"), 9: (8, "c")}
        placed, told = pin(pins, ranked(1, 2, 3, 4), ranked(1, 2, 3, 4, 5), 4)
        assert placed.candidates.rows.tolist() == [7, 1, 3, 2]
        assert placed.marks == ("pinned", "", "pinned", "")
        assert told == {"a": 1, "b": 1}

    def test_of_a_short_list_the_end(self) -> None:
        placed, _ = pin({5: (7, "a")}, ranked(1), ranked(1), 10)
        assert placed.candidates.rows.tolist() == [1, 7]


class TestExploration:
    def test_propensities_are_what_happens(self) -> None:
        """Each place keeps its item with 1 − ε; what comes instead is as probable as it says."""
        world = state(LOG, exploration=0.3)
        candidates = ranked(0, 1, 2, 9, 10, 11)
        pinned, _ = pin({0: (0, "a")}, ranked(0, 1, 2), candidates, 3)
        seen: dict[int, Counter[int]] = {place: Counter() for place in range(3)}
        generator, rounds = np.random.default_rng(1), 4000
        for _ in range(rounds):
            placed = explore(world, pinned, candidates, generator)
            rows = placed.candidates.rows.tolist()
            assert len(set(rows)) == 3
            for place, row in enumerate(rows):
                seen[place][row] += 1
                told = {"pinned": 1.0, "": 0.7, EXPLORED: 0.1}[placed.marks[place]]
                assert placed.propensities[place] == pytest.approx(told)
        assert seen[0] == {0: rounds}
        for place, kept in ((1, 1), (2, 2)):
            assert seen[place][kept] / rounds == pytest.approx(0.7, abs=0.03)
            for row in (9, 10, 11):
                assert seen[place][row] / rounds == pytest.approx(0.1, abs=0.02)

    def test_a_small_pool_gives_away_few_places(self) -> None:
        world = state(LOG, exploration=1.0)
        placed = explore(
            world,
            Placed.by_score(ranked(0, 1, 2)),
            ranked(0, 1, 2, 11),
            np.random.default_rng(0),
        )
        assert placed.candidates.rows.tolist() == [0, 1, 11]
        assert placed.propensities.tolist() == [1.0, 1.0, 1.0]

    def test_nothing_to_give(self) -> None:
        slate = Placed.by_score(ranked(0, 1))
        assert explore(state(LOG, exploration=0.5), slate, ranked(0, 1), None) is slate  # type: ignore[arg-type]


@pytest.fixture
def shop(db: None) -> Catalog:
    """Twelve items; the world's state stands for it."""
    catalog = Catalog.objects.create(
        slug="shop", name="Shop", item_kind="product", event_weights={"view": 0.1, "purchase": 1.0}
    )
    for number in range(12):
        Item.objects.create(
            catalog=catalog,
            external_id=f"i{number}",
            title=f"Thing {number}",
            category=("a", "b", "b > c")[number % 3],
            price=number + 1,
        )
    return catalog


def slate_of(catalog: Catalog, **asked: Any) -> tuple[Slate, list[str]]:
    """The slate by everything that is stored, and its external ids."""
    serving.forget_all()
    slate = pipeline.recommend(Query("shop", **asked))
    names = dict(Item.objects.values_list("pk", "external_id"))
    return slate, [names[pk] for pk in slate.item_ids]


def popular(catalog: Catalog) -> None:
    """i0 was bought most, i11 least."""
    from catalog.events import Event, log_interactions
    from catalog.people import ensure_guest

    items = list(Item.objects.order_by("pk"))
    people = [ensure_guest(None) for _ in range(12)]
    for number, item in enumerate(items):
        for person in people[: 12 - number]:
            log_interactions(catalog, [Event(person.pk, item.pk, "purchase")])
