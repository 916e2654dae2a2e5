"""Which of people's attributes are learned from, and what they tell of items."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import pytest

from ranking.affinity import MOST, Affinity
from ranking.sources.popular import popular
from ranking.traits import LEAST_PEOPLE, MOST_TRAITS, People, Traits, values_of
from ranking.types import IntArray, InteractionLog
from tests.ranking.worlds import NOW, context_of, log_of, state

WOMEN, MEN = range(1, 21), range(21, 41)


def who_is_who() -> dict[int, dict[str, Any]]:
    return {user: {"gender": "F" if user in WOMEN else "M"} for user in (*WOMEN, *MEN)}


def log_of_tastes() -> InteractionLog:
    """Women take item 0, men item 1, all of them item 2."""
    own = [(user, 0 if user in WOMEN else 1, 2.0, 1.0) for user in (*WOMEN, *MEN)]
    everybody = [(user, 2, 1.0, 1.0) for user in (*WOMEN, *MEN)]
    return replace(log_of(*own, *everybody), people=People.of(who_is_who()))


def named(traits: Traits, attributes: dict[str, Any]) -> list[str]:
    return [": ".join(traits.pairs[row]) for row in traits.rows_of(set(values_of(attributes)))]


def traits_of(people: Sequence[Mapping[str, Any]]) -> Traits:
    return People.of(dict(enumerate(people))).traits


def test_what_few_people_have_says_who_they_are_and_is_left_out() -> None:
    people = [{"email": f"{number}@example.org", "plan": "pro"} for number in range(LEAST_PEOPLE)]
    assert traits_of(people).pairs == (("plan", "pro"),)
    assert traits_of(people[1:]).pairs == ()


def test_lists_and_what_is_nested_are_traits_and_nothing_is_none() -> None:
    person = {
        "likes": ["jazz", "go", "jazz"],
        "home": {"land": "日本"},
        "new": True,
        "rooms": 2.0,
        "none": None,
        "empty": "",
    }
    traits = traits_of([person] * LEAST_PEOPLE)
    told = {"likes: jazz", "likes: go", "home.land: 日本", "new: true", "rooms: 2"}
    assert set(named(traits, person)) == told
    assert traits.attributes == ["home.land", "likes", "new", "rooms"]
    assert named(traits, {"likes": ["go", "chess"], "home": {}, "rooms": "2"}) == [
        "likes: go",
        "rooms: 2",
    ]
    assert named(traits, {"likes": [["go"]], "home": "日本"}) == []
    deep: dict[str, Any] = {}
    for _ in range(5000):
        deep = {"within": deep}
    assert named(traits, deep) == []


def test_many_numbers_are_cut_into_bands_of_as_many_people() -> None:
    people = [{"age": str(age), "rooms": age % 3} for age in range(100)] * 2
    traits = traits_of([*people, {"age": "unknown"}, {"age": ["7", "8"]}])
    assert traits.bands == {"age": (19.5, 39.5, 59.5, 79.5)}
    assert {value for name, value in traits.pairs if name == "rooms"} == {"0", "1", "2"}
    assert named(traits, {"age": 19}) == ["age: below 19.5"]
    assert named(traits, {"age": "19.5"}) == ["age: 19.5 to below 39.5"]
    assert named(traits, {"age": 300}) == ["age: from 79.5"]
    assert named(traits, {"age": "unknown"}) == named(traits, {"age": "nan"}) == []


def test_no_border_is_kept_of_numbers_that_few_tell_and_codes_are_no_numbers() -> None:
    assert traits_of([{"phone": 5_550_000 + number} for number in range(99)]).bands == {}
    codes = traits_of([{"zip": f"0{1000 + number % 25}"} for number in range(500)])
    assert codes.bands == {}
    assert len(codes.pairs) == 25
    mostly_none = traits_of([{"spent": 0}] * 900 + [{"spent": number} for number in range(110)])
    assert (mostly_none.pairs, mostly_none.bands) == ((("spent", "0"),), {})


def test_no_more_than_the_most_frequent_are_kept() -> None:
    person = {"likes": [f"{number:03}" for number in range(MOST_TRAITS + 5)]}
    traits = traits_of([*[person] * LEAST_PEOPLE, {"likes": "104"}])
    assert len(traits.pairs) == MOST_TRAITS
    assert traits.pairs[:2] == (("likes", "104"), ("likes", "000"))


def test_traits_are_read_as_they_were_written() -> None:
    traits = traits_of([{"age": age % 100} for age in range(500)])
    assert traits.bands
    assert Traits.read(json.loads(json.dumps(asdict(traits)))) == traits


def test_people_are_found_by_their_id() -> None:
    people = People.of(who_is_who() | {7: {}})
    assert [people.traits.pairs[row] for row in people.traits_of(30)] == [("gender", "M")]
    assert len(people.traits_of(7)) == len(people.traits_of(99)) == len(people.traits_of(0)) == 0


def test_what_is_ignored_is_as_if_nobody_had_it() -> None:
    told = {user: {"home": {"land": "FR", "town": "Lyon"}, "homely": "yes"} for user in range(30)}
    everything = People.of(told)
    for ignored, left in ((["home.town"], ["home.land", "homely"]), (["home"], ["homely"])):
        people = People.of(told, ignored)
        assert people.traits.attributes == left
        later = everything.without(ignored)
        assert later.traits == people.traits
        assert (later.has != people.has).nnz == 0


def test_a_lift_is_what_ridge_regression_says() -> None:
    """With both columns ±½: (10 + 100) a − 10 b = 10 and −10 a + (10 + 100) b = −10: a = 1/12.

    Of 40 people: 40 / (20 takers + 20) = 1.
    """
    found = Affinity.fit(log_of_tastes(), 12, NOW)
    woman, man = (rows_of(found.traits, {"gender": sex}) for sex in "FM")
    assert found.lift(woman)[:4] == pytest.approx([1 / 12, -1 / 12, 0, 0], abs=1e-6)
    assert found.lift(man)[:4] == pytest.approx([-1 / 12, 1 / 12, 0, 0], abs=1e-6)
    assert found.lift(np.zeros(0, dtype=np.int64)).tolist() == [0] * 12
    assert np.abs(replace(found, table=found.table * 1e3).lift(woman)).max() == MOST


def test_a_trait_that_most_have_says_little_and_an_attribute_untold_nothing() -> None:
    """Of 80 women and 20 men, 50 of whom tell a town besides; the town says nothing of taste."""
    people: dict[int, dict[str, Any]] = {
        user: {"gender": "F" if user < 80 else "M"}
        | ({"town": "AB"[user % 2]} if user % 4 < 2 else {})
        for user in range(100)
    }
    log = log_of(*((user, 0 if user < 80 else 1, 2.0, 1.0) for user in range(100)))
    found = Affinity.fit(replace(log, people=People.of(people)), 12, NOW)
    woman, man, town = (
        found.lift(rows_of(found.traits, told))
        for told in ({"gender": "F"}, {"gender": "M"}, {"town": "A"})
    )
    # both columns: .16 · 100 = 16; (16 + 100) a − 16 b = 16 = −((16 + 100) b − 16 a): a = 16 / 132
    a = 16 / 132
    assert woman[0] == pytest.approx((a - (0.8 * a - 0.2 * a)) * 100 / 100, rel=1e-4)
    assert man[1] == pytest.approx((a - (0.2 * a - 0.8 * a)) * 100 / 40, rel=1e-4)
    assert town[:2] == pytest.approx([0, 0], abs=1e-6)
    alone = Affinity.fit(replace(log, people=People.of(people, ["town"])), 12, NOW)
    assert alone.lift(rows_of(alone.traits, {"gender": "M"})) == pytest.approx(man, abs=1e-6)


def test_nothing_later_is_known_and_nobody_without_traits_counts() -> None:
    log = log_of_tastes()
    early = Affinity.fit(log, 12, NOW - 1e6)
    assert early.lift(np.array([0, 1])).tolist() == [0] * 12
    strangers = log_of(*((user, 0, 2.0, 1.0) for user in range(50, 90)))
    both = InteractionLog(
        np.concatenate([log.users, strangers.users]),
        np.concatenate([log.rows, strangers.rows]),
        np.concatenate([log.types, strangers.types]),
        np.concatenate([log.timestamps, strangers.timestamps]),
        np.concatenate([log.weights, strangers.weights]),
        log.people,
    )
    assert np.array_equal(Affinity.fit(both, 12, NOW).table, Affinity.fit(log, 12, NOW).table)
    assert Affinity.fit(strangers, 12, NOW).table.shape == (0, 12)


def test_newcomers_get_what_such_people_pick() -> None:
    world = state(log_of_tastes())
    woman = replace(context_of(), traits=rows_of(world.affinity.traits, {"gender": "F"}))
    found = popular(world, woman, np.zeros(0, dtype=np.int64))
    assert found is not None
    usual = world.popularity.for_newcomers
    assert found[:3] / usual[:3] == pytest.approx(np.exp([1 / 12, -1 / 12, 0]), rel=1e-5)
    known = replace(context_of((2, 1, 1)), traits=woman.traits)
    again = popular(world, known, np.zeros(0, dtype=np.int64))
    assert again is not None
    assert np.array_equal(again, world.popularity.blend)


def rows_of(traits: Traits, attributes: dict[str, Any]) -> IntArray:
    return traits.rows_of(set(values_of(attributes)))
