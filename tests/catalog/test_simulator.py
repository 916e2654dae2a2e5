from collections import Counter

import numpy as np
import pytest

from catalog.demo.simulator import DAY, Deed, Reader, simulate

WORDS = {
    "Sport": "football striker goalkeeper penalty stadium",
    "Business": "shares profit merger dividend investor",
}


def corpus() -> tuple[list[str], list[str], np.ndarray[tuple[int], np.dtype[np.int64]]]:
    """120 short articles in two sections, two a day."""
    sections = [name for _ in range(60) for name in WORDS]
    texts = []
    for number, section in enumerate(sections):
        words = WORDS[section].split()
        texts.append(f"{words[number % 5]} {words[(number // 2) % 5]} common{'abcd'[number % 4]}")
    ages = np.array([(number // 2 + 1) * DAY for number in range(120)], dtype=np.int64)
    return texts, sections, ages


@pytest.fixture(scope="module")
def world() -> tuple[list[Reader], list[Deed]]:
    texts, sections, ages = corpus()
    return simulate(texts, sections, ages, readers=80)


def test_the_same_readers_each_time(world: tuple[list[Reader], list[Deed]]) -> None:
    texts, sections, ages = corpus()
    assert simulate(texts, sections, ages, readers=80) == world


def test_few_readers_are_the_first_of_many(world: tuple[list[Reader], list[Deed]]) -> None:
    texts, sections, ages = corpus()
    readers, deeds = simulate(texts, sections, ages, readers=10)
    assert readers == world[0][:10]
    assert deeds == [deed for deed in world[1] if deed.reader <= 10]


def test_nobody_reads_what_is_not_yet_out_or_reads_it_twice(
    world: tuple[list[Reader], list[Deed]],
) -> None:
    _, _, ages = corpus()
    opened: Counter[tuple[int, int]] = Counter()
    for deed in world[1]:
        assert 0 <= deed.seconds_ago < ages[deed.article]
        opened[deed.reader, deed.article] += deed.type == "click"
    assert max(opened.values()) == 1


def test_deeds_come_in_the_order_of_time(world: tuple[list[Reader], list[Deed]]) -> None:
    ago = [deed.seconds_ago for deed in world[1]]
    assert ago == sorted(ago, reverse=True)


def test_readings_say_how_long(world: tuple[list[Reader], list[Deed]]) -> None:
    kinds = Counter(deed.type for deed in world[1])
    assert set(kinds) == {"click", "read", "like", "hide"}
    assert kinds["click"] > kinds["like"] > 0
    assert all((deed.value is not None) == (deed.type == "read") for deed in world[1])


def test_readers_follow_their_taste(world: tuple[list[Reader], list[Deed]]) -> None:
    readers, deeds = world
    _, sections, _ = corpus()
    favourite = {reader.number: reader.favourite_section for reader in readers}
    liked = [
        sections[deed.article] == favourite[deed.reader] for deed in deeds if deed.type == "click"
    ]
    hidden = [
        sections[deed.article] == favourite[deed.reader] for deed in deeds if deed.type == "hide"
    ]
    assert np.mean(liked) > 0.6 > np.mean(hidden)
