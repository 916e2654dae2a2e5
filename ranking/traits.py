"""What of people's attributes can be learned from: values that enough people share.

A trait is one value of one attribute (gender: F) or a band of numbers (age: 25 to below 35). What
only a few have says who somebody is, not what they like, and is left out.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
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

Rows = NDArray[np.int64]


@dataclass(frozen=True)
class Traits:
    """The traits of one catalog's people; a trait's row is its place among the pairs."""

    pairs: tuple[tuple[str, str], ...] = ()  # (V,) attribute, and its value or band
    bands: Mapping[str, tuple[float, ...]] = field(default_factory=dict)  # borders, by attribute

    @classmethod
    def of(cls, people: Iterable[Mapping[str, Any]]) -> "Traits":
        """Those that enough of these people have, the most frequent first."""
        everybody = [set(_values(attributes)) for attributes in people]
        bands = dict(_bands(everybody))
        banded = cls(bands=bands)
        counts = Counter(trait for person in everybody for trait in banded._traits(person))
        common = [trait for trait, count in counts.items() if count >= LEAST_PEOPLE]
        common.sort(key=lambda trait: (-counts[trait], trait))
        return cls(tuple(common[:MOST_TRAITS]), bands)

    @classmethod
    def read(cls, told: Mapping[str, Any]) -> "Traits":
        """As a bundle's meta.json keeps them."""
        bands = {name: tuple(map(float, borders)) for name, borders in told["bands"].items()}
        return cls(tuple((name, value) for name, value in told["pairs"]), bands)

    @property
    def attributes(self) -> list[str]:
        """What the attributes are called that they are of."""
        return sorted({attribute for attribute, _ in self.pairs})

    @cached_property
    def _place(self) -> dict[tuple[str, str], int]:
        return {pair: place for place, pair in enumerate(self.pairs)}

    def rows_of(self, attributes: Mapping[str, Any]) -> Rows:
        """The rows of one person's traits, ascending."""
        found = {self._place.get(trait, -1) for trait in self._traits(_values(attributes))}
        return np.array(sorted(found - {-1}), dtype=np.int64)

    def _traits(self, pairs: Iterable[tuple[str, str]]) -> set[tuple[str, str]]:
        """What these attributes' values are, numbers by their bands."""
        return {(attribute, self._banded(attribute, value)) for attribute, value in pairs}

    def _banded(self, attribute: str, value: str) -> str:
        borders = self.bands.get(attribute)
        number = _number(value)
        if borders is None or number is None:
            return value
        place = int(np.searchsorted(borders, number, side="right"))
        if place == 0:
            return f"below {borders[0]:g}"
        if place == len(borders):
            return f"from {borders[-1]:g}"
        return f"{borders[place - 1]:g} to below {borders[place]:g}"


@dataclass(frozen=True)
class People:
    """Who has which traits."""

    traits: Traits
    user_ids: Rows  # (P,) database ids, ascending
    has: sparse.csr_matrix  # (P, V) 1 = has it

    @classmethod
    def of(cls, attributes: Mapping[int, Mapping[str, Any]]) -> "People":
        """From the attributes by database id."""
        traits = Traits.of(attributes.values())
        ids = sorted(attributes)
        rows = [traits.rows_of(attributes[user_id]) for user_id in ids]
        ends = np.cumsum([0, *map(len, rows)])
        columns = np.concatenate([*rows, np.zeros(0, dtype=np.int64)])
        ones = np.ones(len(columns), dtype=np.float32)
        has = sparse.csr_matrix((ones, columns, ends), shape=(len(ids), len(traits.pairs)))
        return cls(traits, np.array(ids, dtype=np.int64), has)

    def traits_of(self, user_id: int) -> Rows:
        """The rows of one person's traits; none of somebody unknown."""
        place = int(np.searchsorted(self.user_ids, user_id))
        if place == len(self.user_ids) or self.user_ids[place] != user_id:
            return np.zeros(0, dtype=np.int64)
        begin, end = self.has.indptr[place : place + 2]
        return np.asarray(self.has.indices[begin:end], dtype=np.int64)


def _values(attributes: Mapping[str, Any], within: str = "") -> Iterator[tuple[str, str]]:
    """Attribute and value, one pair for each entry of a list; what is nested is named a.b."""
    for name, value in attributes.items():
        if isinstance(value, Mapping):
            yield from _values(value, f"{within}{name}.")
        for each in value if isinstance(value, list) else [value]:
            if isinstance(each, str | int | float) and each != "":
                yield f"{within}{name}", str(each)


def _number(value: str) -> float | None:
    try:
        number = float(value)
    except ValueError:
        return None
    return number if np.isfinite(number) else None


def _bands(people: Iterable[set[tuple[str, str]]]) -> Iterator[tuple[str, tuple[float, ...]]]:
    """Of each attribute that is one number, with many different ones, the borders of its bands."""
    values: dict[str, list[float | None]] = defaultdict(list)
    for person in people:
        times = Counter(name for name, _ in person)
        for name, value in person:
            alone = times[name] == 1  # numbers in a list are names
            values[name].append(_number(value) if alone else None)
    inner = np.arange(1, BANDS) / BANDS
    for name, found in values.items():
        numbers = [number for number in found if number is not None]
        if len(numbers) == len(found) and len(set(numbers)) > NUMBERS:
            borders = np.unique(np.quantile(numbers, inner, method="higher"))
            yield name, tuple(map(float, borders))


NOBODY = People.of({})
