"""What other weights and dials would do: the lists of ten people before and after, nothing saved.

The lists come from the real path of a request, by the model that is live, on a state whose values
are replaced in memory; nothing is logged. People are drawn by a seed that stands in the address,
half of them with long histories, half with short ones.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from django.core.cache import cache
from django.db import connection

from catalog.dials import dials_of
from catalog.models import Catalog, Item, User
from ranking.loading import with_dials
from ranking.pipeline import recommend_with
from ranking.serving import current
from ranking.state import RankingState
from ranking.types import Query

PEOPLE = 10
SIZE = 8  # places of a list
POOL = 300  # people of the newest interactions that are drawn from
NEWEST = 20_000  # interactions that are looked through for people
KEEP_PEOPLE = 3_600  # seconds; longer than somebody plays with a slider
KEEP_BEFORE = 600  # seconds
SURFACE = "preview"  # no rule of one surface holds here
POOL_SQL = """
SELECT DISTINCT user_id FROM (
    SELECT user_id FROM catalog_interaction
    WHERE catalog_id = %s AND NOT is_suspected ORDER BY "timestamp" DESC LIMIT %s
) newest
"""
LENGTHS_SQL = """
SELECT person, (
    SELECT count(*) FROM (
        SELECT 1 FROM catalog_interaction
        WHERE user_id = person AND catalog_id = %s AND NOT is_suspected LIMIT 1000
    ) history
) FROM unnest(%s::bigint[]) AS person
"""


@dataclass(frozen=True)
class Person:
    """Somebody whose list is shown."""

    id: int
    label: str
    history: int  # interactions, 1,000 at most


@dataclass(frozen=True)
class Place:
    """An item of a list, and how it moved."""

    title: str
    moved: int | None  # places up (positive) or down since before; None = it was not there


@dataclass(frozen=True)
class Comparison:
    """One person's list before and after."""

    person: Person
    before: list[Place]  # moved = 0, or None where it is gone afterwards
    after: list[Place]

    @property
    def same(self) -> bool:
        """Whether nothing changed."""
        return all(place.moved == 0 for place in self.after) and all(
            place.moved == 0 for place in self.before
        )


def compare(catalog: Catalog, changed: Catalog, seed: int) -> list[Comparison]:
    """The lists of the sample by the catalog as it is, and by the changed one."""
    state, _ = current(catalog)
    people = sample(catalog, seed)
    before = _kept_lists(catalog, state, people)
    after = _lists(changed, with_dials(state, changed), people)
    ids = {item_id for shown in (*before, *after) for item_id in shown}
    titles = dict(Item.objects.filter(pk__in=ids).values_list("pk", "title"))
    return [
        Comparison(
            person,
            [Place(titles.get(one, "–"), 0 if one in new else None) for one in old],
            [Place(titles.get(one, "–"), _moved(one, old, at)) for at, one in enumerate(new)],
        )
        for person, old, new in zip(people, before, after, strict=True)
    ]


def sample(catalog: Catalog, seed: int) -> list[Person]:
    """People of the newest interactions: the same for a seed as long as the cache keeps them."""
    key = f"preview-people:{catalog.pk}:{seed}"
    rows: list[tuple[int, str, int]] | None = cache.get(key)
    if rows is None:
        rows = _drawn(catalog, seed)
        cache.set(key, rows, KEEP_PEOPLE)
    return [Person(*row) for row in rows]


def _drawn(catalog: Catalog, seed: int) -> list[tuple[int, str, int]]:
    with connection.cursor() as cursor:
        cursor.execute(POOL_SQL, [catalog.pk, NEWEST])
        pool = np.sort(np.array([row[0] for row in cursor.fetchall()], dtype=np.int64))
        generator = np.random.default_rng(seed)
        pool = generator.permutation(pool)[:POOL]
        cursor.execute(LENGTHS_SQL, [catalog.pk, pool.tolist()])
        lengths = sorted(cursor.fetchall(), key=lambda row: (row[1], row[0]))
    tenth = max(PEOPLE, len(lengths) // 10)
    short, long = lengths[:tenth], lengths[-tenth:]
    chosen: dict[int, int] = {}
    for group in (long, short, lengths):
        most = PEOPLE // 2 + len(chosen) if group is not lengths else PEOPLE
        for place in generator.permutation(len(group)).tolist():
            if len(chosen) < most:
                chosen.setdefault(*group[place])
    people = User.objects.in_bulk(list(chosen))
    found = [(pk, people[pk].label, many) for pk, many in chosen.items() if pk in people]
    return sorted(found, key=lambda row: (-row[2], row[0]))


def _kept_lists(catalog: Catalog, state: RankingState, people: Sequence[Person]) -> list[list[int]]:
    """The lists as they are, kept for a while: each move of a slider asks for them again."""
    told = [
        catalog.items_version,
        catalog.event_weights,
        dials_of(catalog),
        state.bundle_id,
        [rule.id for rule in state.rules.loaded],
        [person.id for person in people],
    ]
    digest = hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()
    key = f"preview-before:{catalog.pk}:{digest}"
    lists: list[list[int]] | None = cache.get(key)
    if lists is None:
        lists = _lists(catalog, with_dials(state, catalog), people)
        cache.set(key, lists, KEEP_BEFORE)
    return lists


def _lists(catalog: Catalog, state: RankingState, people: Sequence[Person]) -> list[list[int]]:
    asked = (
        Query(catalog.slug, person.id, SURFACE, SIZE, log=False, seed=person.id)
        for person in people
    )
    return [recommend_with(query, catalog, state).item_ids for query in asked]


def _moved(item_id: int, old: Sequence[int], at: int) -> int | None:
    return old.index(item_id) - at if item_id in old else None
