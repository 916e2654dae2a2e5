"""What of people's attributes can be learned from: values that enough people share.

A trait is one value of one attribute (gender: F) or a band of numbers (age: 25 to below 35). What
only a few have says who somebody is, not what they like, and is kept nowhere.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

LEAST_PEOPLE = 20  # who have a trait
MOST_TRAITS = 100  # those that most people have
NUMBERS = 10  # distinct values from which numbers are cut into bands
BANDS = 5  # of about as many people each
MOSTLY = 0.95  # of an attribute's values are single numbers where it is cut
DEEPEST = 5  # objects within objects

TraitRows = NDArray[np.int64]
Pair = tuple[str, str]  # attribute, and its value or band


@dataclass(frozen=True)
class Traits:
    """The traits of one catalog's people; a trait's row is its place among the pairs."""

    pairs: tuple[Pair, ...] = ()  # (V,)
    bands: Mapping[str, tuple[float, ...]] = field(default_factory=dict)  # borders, by attribute

    @classmethod
    def of(cls, people: Collection[Collection[Pair]]) -> "Traits":
        """Those that enough of these people have, the most frequent first."""
        banded = cls(bands=dict(_bands(people)))
        counts = Counter(pair for values in people for pair in banded.among(values))
        common = [pair for pair, count in counts.items() if count >= LEAST_PEOPLE]
        common.sort(key=lambda pair: (-counts[pair], pair))
        pairs = tuple(common[:MOST_TRAITS])
        kept = {attribute for attribute, _ in pairs}
        return cls(pairs, {name: each for name, each in banded.bands.items() if name in kept})

    @classmethod
    def read(cls, told: Mapping[str, Any]) -> "Traits":
        """As a bundle's meta.json and a snapshot keep them."""
        bands = {name: tuple(map(float, borders)) for name, borders in told["bands"].items()}
        return cls(tuple((name, value) for name, value in told["pairs"]), bands)

    @property
    def attributes(self) -> list[str]:
        """What the attributes are called that they are of, in the order of `attribute_of`."""
        return sorted({attribute for attribute, _ in self.pairs})

    @cached_property
    def attribute_of(self) -> TraitRows:
        """Of each trait the place of its attribute among `attributes`. (V,)"""
        place = {name: number for number, name in enumerate(self.attributes)}
        return np.array([place[attribute] for attribute, _ in self.pairs], dtype=np.int64)

    @cached_property
    def _row(self) -> dict[Pair, int]:
        return {pair: row for row, pair in enumerate(self.pairs)}

    def rows_of(self, values: Collection[Pair]) -> TraitRows:
        """The rows of the traits of somebody with these values, ascending."""
        found = {self._row.get(pair, -1) for pair in self.among(values)}
        return np.array(sorted(found - {-1}), dtype=np.int64)

    def among(self, values: Collection[Pair]) -> set[Pair]:
        """The same values, numbers by their bands."""
        return {(attribute, self._banded(attribute, value)) for attribute, value in values}

    def _banded(self, attribute: str, value: str) -> str:
        borders = self.bands.get(attribute)
        if borders is None or (number := _number(value)) is None:
            return value
        place = int(np.searchsorted(borders, number, side="right"))
        if place == 0:
            return f"below {borders[0]:.12g}"
        if place == len(borders):
            return f"from {borders[-1]:.12g}"
        return f"{borders[place - 1]:.12g} to below {borders[place]:.12g}"


@dataclass(frozen=True)
class People:
    """Who has which traits."""

    traits: Traits
    user_ids: TraitRows  # (P,) database ids, ascending
    has: sparse.csr_matrix  # (P, V) 1 = has it

    @classmethod
    def of(
        cls, attributes: Mapping[int, Mapping[str, Any]], ignored: Collection[str] = ()
    ) -> "People":
        """From the attributes by database id; of those who have a trait."""
        values = {user: set(values_of(each, ignored)) for user, each in attributes.items()}
        traits = Traits.of(values.values())
        rows = [traits.rows_of(each) for each in values.values()]
        users = np.repeat(list(values), list(map(len, rows))).astype(np.int64)
        return cls.from_pairs(traits, users, np.concatenate([*rows, np.zeros(0, dtype=np.int64)]))

    @classmethod
    def from_pairs(cls, traits: Traits, users: TraitRows, rows: TraitRows) -> "People":
        """From who (database ids) has which trait, one pair a place. (K,), (K,)"""
        user_ids, person = np.unique(users, return_inverse=True)
        shape = (len(user_ids), len(traits.pairs))
        ones = np.ones(len(rows), dtype=np.float32)
        return cls(traits, user_ids, sparse.csr_matrix((ones, (person, rows)), shape=shape))

    def traits_of(self, user_id: int) -> TraitRows:
        """The rows of one person's traits, ascending; none of somebody unknown."""
        place = int(np.searchsorted(self.user_ids, user_id))
        if place == len(self.user_ids) or self.user_ids[place] != user_id:
            return np.zeros(0, dtype=np.int64)
        begin, end = self.has.indptr[place : place + 2]
        return np.sort(self.has.indices[begin:end]).astype(np.int64)

    def without(self, ignored: Collection[str]) -> "People":
        """The same people without the traits of these attributes."""
        kept = [not _is_ignored(attribute, ignored) for attribute, _ in self.traits.pairs]
        if all(kept):
            return self
        pairs = tuple(pair for pair, stays in zip(self.traits.pairs, kept, strict=True) if stays)
        has = self.has[:, np.flatnonzero(kept)]
        return People(Traits(pairs, self.traits.bands), self.user_ids, has)


def values_of(
    attributes: Mapping[str, Any], ignored: Collection[str] = (), within: str = "", depth: int = 1
) -> Iterator[Pair]:
    """Attribute and value, one pair for each entry of a list; what is nested is named a.b.

    Neither empty values nor those of the attributes to be ignored, nor what is too deeply nested.
    """
    for name, value in attributes.items():
        called = f"{within}{name}"
        if _is_ignored(called, ignored):
            continue
        if isinstance(value, Mapping) and depth < DEEPEST:
            yield from values_of(value, ignored, f"{called}.", depth + 1)
        for each in value if isinstance(value, list) else [value]:
            if isinstance(each, str | int | float) and each != "":
                yield called, _text(each)


def _is_ignored(attribute: str, ignored: Collection[str]) -> bool:
    """Whether it is one of these, or within one."""
    return any(attribute == name or attribute.startswith(f"{name}.") for name in ignored)


def _text(value: str | float) -> str:
    """The same text for what JSON and CSV write differently: true, and 2 for 2.0."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def _number(value: str) -> float | None:
    """The number that a text is; None for other texts, and for codes such as 01099."""
    if "_" in value or (value[0] == "0" and value[1:2].isdigit()):
        return None
    try:
        number = float(value)
    except ValueError:
        return None
    return number if np.isfinite(number) else None


def _bands(people: Iterable[Collection[Pair]]) -> Iterator[tuple[str, tuple[float, ...]]]:
    """Of attributes with many different numbers, the borders of their bands: between two values."""
    numbers: dict[str, list[float]] = defaultdict(list)
    others: Counter[str] = Counter()
    for values in people:
        times = Counter(attribute for attribute, _ in values)
        for attribute, value in values:
            number = _number(value) if times[attribute] == 1 else None  # in a list they are names
            if number is None:
                others[attribute] += 1
            else:
                numbers[attribute].append(number)
    for attribute, found in numbers.items():
        mostly = len(found) >= MOSTLY * (len(found) + others[attribute])
        if mostly and len(set(found)) > NUMBERS and len(found) >= BANDS * LEAST_PEOPLE:
            ordered = np.sort(found)
            cuts = np.arange(1, BANDS) * len(ordered) // BANDS
            borders = np.unique((ordered[cuts - 1] + ordered[cuts]) / 2)
            borders = borders[borders > ordered[0]]
            if len(borders):
                yield attribute, tuple(map(float, borders))


NO_TRAITS = Traits()
NOBODY = People.of({})
