"""Small made-up catalogs for the tests of ranking and training."""

import numpy as np

from ranking.affinity import Affinity
from ranking.item_index import ItemIndex
from ranking.offers import OfferResponse
from ranking.popularity import Popularity
from ranking.rankers.examples import HISTORY, Examples
from ranking.repurchase import Repurchase
from ranking.state import RankingState, usual_recipes
from ranking.types import DAY, FloatArray, IntArray, InteractionLog, UserContext

NOW = 1_700_000_000.0  # 2023-11-14, a Tuesday


def item_index(count: int = 12, dimensions: int = 8, seed: int = 0) -> ItemIndex:
    """Items in three categories; the vectors of one category lie close together."""
    generator = np.random.default_rng(seed)
    categories = np.arange(count) % 3
    centres = np.eye(dimensions, dtype=np.float32)[:3]
    vectors = centres[categories] + 0.2 * generator.normal(size=(count, dimensions))
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    return ItemIndex(
        ids=np.arange(count) + 100,
        text_codes=np.arange(count),
        text_vectors=vectors,
        categories=categories,
        departments=categories,
        brands=np.full(count, -1),
        prices=np.linspace(1, 10, count, dtype=np.float32),
        published=np.full(count, NOW - 5 * DAY),
        available=np.ones(count, dtype=bool),
        category_names=("a", "b", "b > c"),
    )


def log_of(*events: tuple[int, int, float, float]) -> InteractionLog:
    """A log from (user, row, days before NOW, weight)."""
    users, rows, ages, weights = (np.array(column) for column in zip(*events, strict=True))
    times = NOW - ages.astype(float) * DAY
    order = np.lexsort((times, users))
    return InteractionLog(
        users[order].astype(np.int64),
        rows[order].astype(np.int64),
        np.zeros(len(users), dtype=np.int8),
        times[order],
        weights[order].astype(np.float32),
    )


def context_of(*events: tuple[int, float, float]) -> UserContext:
    """One person's context from (row, days before NOW, weight)."""
    if not events:
        return UserContext(
            None,
            np.zeros(0, dtype=np.int64),
            np.zeros(0, dtype=np.int8),
            np.zeros(0),
            np.zeros(0, dtype=np.float32),
            NOW,
        )
    log = log_of(*((1, *event) for event in events))
    return UserContext(1, log.rows, log.types, log.timestamps, log.weights, NOW)


def state(log: InteractionLog, items: ItemIndex | None = None, **dials: object) -> RankingState:
    """A state without trained models."""
    items = item_index() if items is None else items
    known: dict[str, object] = {
        "repeat_consumption": True,
        "item_half_life_days": None,
        "diversity": 0.0,
    }
    return RankingState(
        items,
        Popularity.fit(log, len(items), NOW),
        Repurchase.fit(log, len(items), NOW),
        OfferResponse.fit(log, items.offers, len(items), NOW),
        Affinity.fit(log, len(items), NOW),
        neighbours={
            name: recipe.fit(log, len(items), NOW) for name, recipe in usual_recipes().items()
        },
        **(known | dials),  # type: ignore[arg-type]
    )


def examples_of(
    features: FloatArray, labels: FloatArray, groups: IntArray, items: IntArray | None = None
) -> Examples:
    """Examples in which picked means interaction type 0, and nobody has a history."""
    return Examples(
        features,
        labels,
        groups,
        np.zeros(len(labels), dtype=np.int64) if items is None else items,
        labels.astype(np.uint8),
        np.full((len(groups), HISTORY), -1, dtype=np.int64),
    )
