"""Which of people's attributes are learned from, and what they tell of items."""

import json
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import pytest

from ranking.affinity import MOST, Affinity
from ranking.sources.popular import popular
from ranking.traits import LEAST_PEOPLE, MOST_TRAITS, People, Traits
from ranking.types import InteractionLog
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
    return [": ".join(traits.pairs[row]) for row in traits.rows_of(attributes)]


def test_what_few_people_have_says_who_they_are_and_is_left_out() -> None:
    people = [{"email": f"{number}@example.org", "plan": "pro"} for number in range(LEAST_PEOPLE)]
    assert Traits.of(people).pairs == (("plan", "pro"),)
    assert Traits.of(people[1:]).pairs == ()


def test_lists_and_what_is_nested_are_traits_and_nothing_is_none() -> None:
    person = {
        "likes": ["jazz", "go", "jazz"],
        "home": {"land": "日本"},
        "new": True,
        "none": None,
        "empty": "",
    }
    traits = Traits.of([person] * LEAST_PEOPLE)
    assert set(named(traits, person)) == {
        "likes: jazz",
        "likes: go",
        "home.land: 日本",
        "new: True",
    }
    assert traits.attributes == ["home.land", "likes", "new"]
    assert named(traits, {"likes": ["go", "chess"], "home": {}}) == ["likes: go"]
    assert named(traits, {"likes": [["go"]], "home": "日本"}) == []


def test_many_numbers_are_cut_into_bands_of_as_many_people() -> None:
    traits = Traits.of([{"age": str(age), "rooms": age % 3} for age in range(100)] * 2)
    assert traits.bands == {"age": (20.0, 40.0, 60.0, 80.0)}
    assert {value for name, value in traits.pairs if name == "rooms"} == {"0", "1", "2"}
    assert named(traits, {"age": 19.9}) == ["age: below 20"]
    assert named(traits, {"age": "20"}) == ["age: 20 to below 40"]
    assert named(traits, {"age": 300}) == ["age: from 80"]
    assert named(traits, {"age": "unknown"}) == named(traits, {"age": "nan"}) == []


def test_no_more_than_the_most_frequent_are_kept() -> None:
    person = {"likes": [f"{number:03}" for number in range(MOST_TRAITS + 5)]}
    traits = Traits.of([person] * LEAST_PEOPLE + [{"likes": "104"}])
    assert len(traits.pairs) == MOST_TRAITS
    assert traits.pairs[:2] == (("likes", "104"), ("likes", "000"))


def test_traits_are_read_as_they_were_written() -> None:
    traits = Traits.of([{"age": age} for age in range(100)])
    assert Traits.read(json.loads(json.dumps(asdict(traits)))) == traits


def test_people_are_found_by_their_id() -> None:
    people = People.of(who_is_who() | {7: {}})
    assert [people.traits.pairs[row] for row in people.traits_of(30)] == [("gender", "M")]
    assert len(people.traits_of(7)) == len(people.traits_of(99)) == len(people.traits_of(0)) == 0


def test_a_lift_is_what_ridge_regression_says() -> None:
    """With both columns ±½: (10 + 100) a − 10 b = 10 and −10 a + (10 + 100) b = −10: a = 1/12.

    Of 40 people: 40 / (20 takers + 20) = 1.
    """
    found = Affinity.fit(log_of_tastes(), 12, NOW)
    rows = np.arange(4)
    woman, man = (found.traits.rows_of({"gender": sex}) for sex in "FM")
    assert found.lift(woman, rows) == pytest.approx([1 / 12, -1 / 12, 0, 0], abs=1e-6)
    assert found.lift(man, rows) == pytest.approx([-1 / 12, 1 / 12, 0, 0], abs=1e-6)
    assert found.lift(np.zeros(0, dtype=np.int64), rows).tolist() == [0] * 4
    assert np.abs(replace(found, table=found.table * 1e3).lift(woman, rows)).max() == MOST


def test_nothing_later_is_known_and_nobody_without_traits_counts() -> None:
    log = log_of_tastes()
    early = Affinity.fit(log, 12, NOW - 1e6)
    assert early.lift(np.array([0, 1]), np.arange(12)).tolist() == [0] * 12
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
    woman = replace(context_of(), traits=world.affinity.traits.rows_of({"gender": "F"}))
    found = popular(world, woman, np.zeros(0, dtype=np.int64))
    assert found is not None
    usual = world.popularity.for_newcomers
    assert found[:3] / usual[:3] == pytest.approx(np.exp([1 / 12, -1 / 12, 0]), rel=1e-5)
    known = replace(context_of((2, 1, 1)), traits=woman.traits)
    again = popular(world, known, np.zeros(0, dtype=np.int64))
    assert again is not None
    assert np.array_equal(again, world.popularity.blend)
