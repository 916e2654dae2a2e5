"""Rules and dials in the path of a request: what each does, its trace, and honest propensities."""

from collections import Counter
from dataclasses import replace
from datetime import timedelta
from typing import Any

import numpy as np
import pytest
from django.utils import timezone

from catalog.dials import set_dials, set_event_weights
from catalog.events import Event, log_interactions
from catalog.item_filter import parse
from catalog.models import AuditEntry, Catalog, Item, Rule, SlateLog
from catalog.people import ensure_guest
from catalog.rules import add_rule, remove_rule, switch_rule
from ranking import pipeline, serving
from ranking.placing import EXPLORED, Placed, explore, pin, push
from ranking.sources.union import empty_candidates
from ranking.types import Query, Slate
from tests.ranking.worlds import context_of, log_of, state

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
def shop(db: None, own_folders: None) -> Catalog:
    """Twelve items, i0 bought most, i11 least, and no model."""
    catalog = Catalog.objects.create(
        slug="shop",
        name="Shop",
        item_kind="product",
        event_weights={"view": 0.1, "purchase": 1.0, "hide": -1.0},
        diversity=0.0,
        repeat_consumption=True,
    )
    items = [
        Item.objects.create(
            catalog=catalog,
            external_id=f"i{number}",
            title=f"Thing {number}",
            category=("a", "b", "b > c")[number % 3],
            price=number + 1,
        )
        for number in range(12)
    ]
    people = [ensure_guest() for _ in range(12)]
    log_interactions(
        catalog,
        [
            Event(person.pk, item.pk, "purchase")
            for number, item in enumerate(items)
            for person in people[: 12 - number]
        ],
    )
    return catalog


def slate_of(**asked: Any) -> tuple[Slate, list[str]]:
    """The slate by everything that is stored, and its external ids."""
    serving.forget_all()
    query = replace(Query("shop", size=4, without=("diversity",)), **asked)
    slate = (pipeline.search if query.text else pipeline.recommend)(query)
    names = dict(Item.objects.values_list("pk", "external_id"))
    return slate, [names[pk] for pk in slate.item_ids]


def detail(slate: Slate, stage: str) -> dict[str, int]:
    return next(one.detail for one in slate.stages if one.name == stage)


class TestRules:
    def test_an_exclusion(self, shop: Catalog) -> None:
        assert slate_of()[1] == ["i0", "i1", "i2", "i3"]
        rule = add_rule(shop, "exclude", filter_text='category = "b > c" or price < 2')
        slate, shown = slate_of()
        assert shown == ["i1", "i3", "i4", "i6"]
        assert detail(slate, "allowed") == {f"rule {rule.pk} (exclude)": 5}
        assert "i2" not in slate_of(text="thing")[1]

    def test_a_boost_and_a_burial(self, shop: Catalog) -> None:
        boost = add_rule(shop, "boost", filter_text='category = "a"', factor=8)
        bury = add_rule(shop, "bury", filter_text="price = 1")
        slate, shown = slate_of(size=12)
        assert shown[:3] == ["i3", "i6", "i9"]
        assert shown[-1] == "i0"
        told = detail(slate, "push")
        assert told == {f"rule {boost.pk} (boost)": 4, f"rule {bury.pk} (bury)": 1}
        assert slate_of(text="thing", size=12)[1][-1] == "i0"

    def test_a_pin(self, shop: Catalog) -> None:
        rule = add_rule(shop, "pin", item_id="i11", place=2)
        slate, shown = slate_of()
        assert shown == ["i0", "i11", "i1", "i2"]
        assert slate.items[1].reason == "Pinned"
        assert slate.items[1].sources[0] == "pinned"
        assert [item.propensity for item in slate.items] == [1.0] * 4
        assert detail(slate, "pins") == {f"rule {rule.pk} (pin)": 1}
        assert SlateLog.objects.get(pk=slate.id).sources[1].startswith("pinned")

    def test_a_pin_keeps_away_where_the_item_may_not_be_shown(self, shop: Catalog) -> None:
        add_rule(shop, "pin", item_id="i11")
        item = Item.objects.get(external_id="i11")
        assert slate_of(exclude=(item.pk,))[1][0] == "i0"
        assert slate_of(category="a")[1][0] == "i0"
        Item.objects.filter(pk=item.pk).update(available=False)
        assert slate_of()[1][0] == "i0"

    def test_of_one_surface_and_of_a_time(self, shop: Catalog) -> None:
        now = timezone.now()
        add_rule(shop, "pin", item_id="i11", surface="shop-home")
        add_rule(shop, "pin", item_id="i10", starts_at=now + timedelta(hours=1))
        add_rule(shop, "pin", item_id="i9", ends_at=now - timedelta(hours=1))
        assert slate_of()[1][0] == "i0"
        assert slate_of(surface="shop-home")[1][0] == "i11"
        assert slate_of(now=now + timedelta(hours=2))[1][0] == "i10"

    def test_of_two_pins_of_a_place_the_newer_one(self, shop: Catalog) -> None:
        add_rule(shop, "pin", item_id="i11")
        add_rule(shop, "pin", item_id="i10")
        assert slate_of()[1] == ["i10", "i0", "i1", "i2"]

    def test_one_that_cannot_be_read_any_more_is_left_out(
        self, shop: Catalog, caplog: pytest.LogCaptureFixture
    ) -> None:
        rule = add_rule(shop, "exclude", filter_text="price < 2")
        Rule.objects.filter(pk=rule.pk).update(filter="prize < 2")
        assert slate_of()[1][0] == "i0"
        assert f"Rule {rule.pk} is left out: Character 1: expected" in caplog.text

    def test_the_filter_of_a_request(self, shop: Catalog) -> None:
        cheap = parse("price < 3")
        slate, shown = slate_of(filter=cheap)
        assert shown == ["i0", "i1"]
        assert detail(slate, "allowed") == {"other than the filter": 10}
        found, shown = slate_of(filter=cheap, text="thing")
        assert sorted(shown) == ["i0", "i1"]
        assert found.total == 2


class TestDials:
    def test_exploration_is_logged(self, shop: Catalog) -> None:
        set_dials(shop, {"exploration": 0.5})
        slate, _ = slate_of(seed=3)
        logged = SlateLog.objects.get(pk=slate.id)
        marked = [source.startswith("explored") for source in logged.sources]
        assert any(marked)
        assert not all(marked)
        for is_explored, told in zip(marked, logged.propensities, strict=True):
            assert told == pytest.approx(0.5 / 6 if is_explored else 0.5)
        explored = [item for item in slate.items if "explored" in item.sources]
        assert {item.reason for item in explored} == {"Something different"}
        assert slate_of(only_sources=("popular",))[1] == ["i0", "i1", "i2", "i3"]
        assert slate_of(without=("diversity", "exploration"))[1] == ["i0", "i1", "i2", "i3"]

    def test_popularity(self, shop: Catalog) -> None:
        set_dials(shop, {"popularity": -1.0})
        assert slate_of()[1][0] == "i11"


def test_a_change_is_seen_without_a_restart(
    shop: Catalog, monkeypatch: pytest.MonkeyPatch, django_assert_num_queries: Any
) -> None:
    """The thread beside is called here and now; the row that each request reads says when."""

    class AtOnce:
        def __init__(self, target: Any, args: Any, daemon: bool) -> None:
            self.run, self.args = target, args

        def start(self) -> None:
            self.run(*self.args)

    monkeypatch.setattr("ranking.serving.threading.Thread", AtOnce)
    monkeypatch.setattr("ranking.serving.connection.close", lambda: None)
    monkeypatch.setattr(serving, "REST", 0.0)

    def values() -> tuple[float, ...]:
        return serving.current(Catalog.objects.get(pk=shop.pk))[0].event_values

    serving.forget_all()
    before = values()
    rule = add_rule(shop, "exclude", filter_text="price < 2")
    assert len(serving.current(Catalog.objects.get(pk=shop.pk))[0].rules.loaded) == 1
    with django_assert_num_queries(1):
        values()  # the catalog's row, and nothing else
    switch_rule(rule, on=False)
    assert serving.current(Catalog.objects.get(pk=shop.pk))[0].rules.loaded == ()
    remove_rule(rule)
    set_event_weights(shop, {"view": 0.5})
    assert values() != before


def test_admins_changes_stand_in_the_audit_log(shop: Catalog) -> None:
    rule = add_rule(shop, "boost", filter_text="on_offer", note="sale")
    entry = AuditEntry.objects.latest("pk")
    assert (entry.kind, entry.action, entry.row_id, entry.catalog) == (
        "rule", "created", str(rule.pk), "shop",
    )  # fmt: skip
    set_dials(shop, {"diversity": 0.4})
    entry = AuditEntry.objects.latest("pk")
    assert (entry.kind, entry.after) == ("catalog", {"diversity": 0.4})
