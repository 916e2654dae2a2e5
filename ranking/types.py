"""What flows between the stages of a request."""

import uuid
from dataclasses import dataclass, field
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from catalog.item_filter import Filter
from ranking.traits import NOBODY, People

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float32]
DAY = 86_400.0  # seconds; all moments are seconds since the epoch
SESSION_GAP = 1_800.0  # seconds without an interaction that end a session


def no_traits() -> IntArray:
    """Nothing is known of who somebody is."""
    return np.zeros(0, dtype=np.int64)


@dataclass(frozen=True)
class Query:
    """① One request: who asks which catalog, on which surface, for how many items."""

    catalog_slug: str
    user_id: int | None = None  # None: nobody we know
    surface: str = "api"
    size: int = 10  # items
    text: str = ""  # what was typed; '' unless this is a search
    anchor_item_id: int | None = None  # "similar to this one"
    category: str = ""  # only this category and below
    filter: Filter | None = None  # only the items that it means
    exclude: tuple[int, ...] = ()  # item ids that must not come back: already on the page
    device: str = ""  # phone, desktop, …
    only_sources: tuple[str, ...] = ()  # () = all; e.g. ("popular",) for a "popular now" shelf
    without: tuple[str, ...] = ()  # sources and stages that are left out, to see what they do
    now: datetime | None = None  # None = the clock; tests and replays set it
    log: bool = True
    seed: int | None = None  # of what is left to chance; None = by chance


@dataclass(frozen=True)
class InteractionLog:
    """Interactions of one catalog in columns, sorted by user, then time; what training reads."""

    users: IntArray  # (M,) database ids
    rows: IntArray  # (M,) item-index rows
    types: NDArray[np.int8]  # (M,) codes of InteractionType
    timestamps: NDArray[np.float64]  # (M,) seconds since the epoch
    weights: FloatArray  # (M,) event weight of the catalog
    people: People = NOBODY  # who has which traits

    def __len__(self) -> int:
        return len(self.users)

    def keep(self, mask: NDArray[np.bool_]) -> "InteractionLog":
        """The interactions under this mask, in the same order."""
        return InteractionLog(
            self.users[mask],
            self.rows[mask],
            self.types[mask],
            self.timestamps[mask],
            self.weights[mask],
            self.people,
        )

    def newest(self, most: int) -> "InteractionLog":
        """The newest so many interactions, and those at the same moment as the oldest of them."""
        if len(self) <= most:
            return self
        return self.keep(self.timestamps >= np.partition(self.timestamps, -most)[-most])

    def before(self, moment: float) -> "InteractionLog":
        """What was known at this moment (seconds since the epoch)."""
        return self.keep(self.timestamps < moment)


@dataclass(frozen=True)
class UserContext:
    """② What the person did in this catalog, oldest first; positions are rows of the item index."""

    user_id: int | None
    rows: IntArray  # (L,) item-index rows
    types: NDArray[np.int8]  # (L,) codes of InteractionType
    timestamps: NDArray[np.float64]  # (L,) seconds since the epoch
    weights: FloatArray  # (L,) event weight of the catalog
    now: float  # seconds since the epoch
    # (K, D) texts of what they picked in other catalogs, oldest first; only where nothing was here
    elsewhere: FloatArray | None = None
    # (T,) rows of the traits that they have; only where nothing was here
    traits: IntArray = field(default_factory=no_traits)


@dataclass
class Candidates:
    """④ The union of what the sources found; arrays run in parallel.

    `scores` are there once they are ranked, `features` (N, F) if a trained ranker did it.
    """

    rows: IntArray  # (N,) item-index rows
    source_scores: FloatArray  # (N, S) NaN where the source did not find it
    source_ranks: FloatArray  # (N, S) 0 = first, NaN where the source did not find it
    source_names: tuple[str, ...]  # (S,)
    scores: FloatArray = field(default_factory=lambda: np.zeros(0, dtype=np.float32))  # (N,)
    features: FloatArray = field(default_factory=lambda: np.zeros((0, 0), dtype=np.float32))

    def __len__(self) -> int:
        return len(self.rows)

    def keep(self, mask: NDArray[np.bool_] | IntArray) -> "Candidates":
        """The candidates under this mask, or in this order."""
        return Candidates(
            self.rows[mask],
            self.source_scores[mask],
            self.source_ranks[mask],
            self.source_names,
            self.scores[mask] if len(self.scores) else self.scores,
            self.features[mask] if len(self.features) else self.features,
        )

    def joined(self, more: "Candidates") -> "Candidates":
        """These, then those; features, which no later stage reads, are let go."""
        return Candidates(
            np.concatenate([self.rows, more.rows]),
            np.concatenate([self.source_scores, more.source_scores]),
            np.concatenate([self.source_ranks, more.source_ranks]),
            self.source_names,
            np.concatenate([self.scores, more.scores]),
        )


@dataclass(frozen=True)
class SlateItem:
    """⑨ One item of a slate, and why it is there."""

    item_id: int
    position: int  # 0 = first
    score: float
    propensity: float  # probability that this item stood here
    sources: tuple[str, ...]
    reason: str  # a sentence for the reader: "Because you bought …"


@dataclass(frozen=True)
class Stage:
    """What one stage did: candidates in and out, and how long it took."""

    name: str
    entered: int
    left: int
    milliseconds: float
    detail: dict[str, int] = field(default_factory=dict)  # a source's or a filter's own counts


@dataclass(frozen=True)
class Slate:
    """⑩ The answer."""

    id: uuid.UUID
    items: tuple[SlateItem, ...]
    bundle_id: str  # '' = answered without a bundle
    stages: tuple[Stage, ...]
    total: int = 0  # how many were found, for a search

    @property
    def item_ids(self) -> list[int]:
        """Database ids, first to last."""
        return [item.item_id for item in self.items]
