"""⑤ The one definition of every feature; serving and training both call `compute`.

A row describes one candidate for one person at one moment: X, what the person did (counts, recency
and rhythm by item, category, department and brand); Y, what the item is and how it is doing (price,
age, since when it is known, popularity at three speeds, how surely it is taken again, whether it is
on offer); Z, the context (hour, weekday, how long since the last visit, position on the slate); and
the crosses (whether it came since the last visit, similarity of history and candidate, and each
source's score and rank).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ranking import offers, repurchase
from ranking.item_index import ItemIndex
from ranking.rankers.examples import HISTORY, Rows
from ranking.state import RankingState
from ranking.types import DAY, SESSION_GAP, Candidates, FloatArray, IntArray, UserContext

SIMILAR_TO_LAST = 12  # how many recent items the similarity features look back

LEVELS = ("item", "category", "department", "brand")
LEVEL_FEATURES = (
    "count",
    "short",
    "long",
    "by_session",
    "session_share",
    "days_since",
    "due",
    "sessions_since",
    "on_offer",
)
SESSION_FADING = 0.93  # what a session counts after one more session
NAMES: tuple[str, ...] = (
    *(f"{level}_{name}" for level in LEVELS for name in LEVEL_FEATURES),
    "in_last_session",
    "popularity_3d",
    "popularity_14d",
    "popularity_90d",
    "popularity_trend",
    "known_days",
    "known_since_visit",
    "age_days",
    "log_price",
    "price_gap",
    *repurchase.NAMES,
    *offers.NAMES,
    *offers.RESPONSE_NAMES,
    "similarity_max",
    "similarity_mean",
    "similarity_recent",
    "history_length",
    "session_count",
    "days_since_session",
    "session_rhythm",
    "repeat_rate",
    "offer_share",
    "hour",
    "weekday",
    "position",
)
# How the names begin of the features that say how everybody took an item lately, what it costs and
# how old it is. In the weeks that a ranker learns from they tell single items apart; where people
# take the same items again and again, that misleads it a season later (docs/results/README.md).
PASSING = (
    "popularity_",
    "popular_",
    "category_score",
    "category_rank",
    "covisit_",
    "markov_",
    "ease_",
    "fresh_",
    "known_",
    "age_days",
    "log_price",
    "price_gap",
)


@dataclass(frozen=True)
class KeyedHistory:
    """A history grouped by one key (item, category, …); keys are distinct and ascend."""

    keys: IntArray  # (K,)
    columns: FloatArray  # (K, len(LEVEL_FEATURES))

    def lookup(self, keys: IntArray) -> FloatArray:
        """The columns of each of these keys; counts 0 and times NaN for what was never met."""
        never = np.array([0, 0, 0, 0, 0, np.nan, np.nan, np.nan, np.nan], dtype=np.float32)
        if len(self.keys) == 0:
            return np.tile(never, (len(keys), 1))
        place = np.minimum(np.searchsorted(self.keys, keys), len(self.keys) - 1)
        known = (self.keys[place] == keys) & (keys >= 0)
        return np.where(known[:, None], self.columns[place], never)


@dataclass(frozen=True)
class Profile:
    """What the features need of a person, computed once a request."""

    levels: tuple[KeyedHistory, ...]  # one for each of LEVELS
    last_session: IntArray  # rows of the last session
    recent_vectors: FloatArray  # (R, D) of the most recent items, newest first
    recent_strengths: FloatArray  # (R,) fading by rank
    mean_log_price: float
    last_visit: float  # its end, seconds since the epoch; NaN without a history
    scalars: FloatArray  # (9,) the last nine of NAMES


def sessions(timestamps: NDArray[np.float64]) -> IntArray:
    """The session number of each interaction, oldest session 0. (L,)"""
    if len(timestamps) == 0:
        return np.zeros(0, dtype=np.int64)
    return np.concatenate([[0], np.cumsum(np.diff(timestamps) > SESSION_GAP)]).astype(np.int64)


def group(
    keys: IntArray,
    context: UserContext,
    session: IntArray,
    visits: int,
    on_offer: NDArray[np.bool_],
) -> KeyedHistory:
    """Counts, recency, rhythm and share on offer of each distinct key of a history."""
    real = keys >= 0
    found, inverse = np.unique(keys[real], return_inverse=True)
    size = len(found)
    if size == 0:
        return KeyedHistory(found, np.zeros((0, len(LEVEL_FEATURES)), dtype=np.float32))
    age = (context.now - context.timestamps[real]) / DAY  # days
    weight = context.weights[real]
    last = np.full(size, np.inf)
    np.minimum.at(last, inverse, age)
    first = np.zeros(size)
    np.maximum.at(first, inverse, age)
    pairs = np.unique(np.stack([inverse, session[real]]), axis=1)  # distinct (key, session)
    visited = np.bincount(pairs[0], minlength=size)
    last_session = np.zeros(size)
    np.maximum.at(last_session, pairs[0], pairs[1])
    interval = np.where(visited > 1, (first - last) / np.maximum(visited - 1, 1), np.nan)
    columns = [
        np.log1p(np.maximum(np.bincount(inverse, weight, size), 0)),
        np.bincount(inverse, weight * np.exp2(-age / 10.0), size),
        np.bincount(inverse, weight * np.exp2(-age / 60.0), size),
        np.bincount(pairs[0], SESSION_FADING ** (visits - 1 - pairs[1]), size),
        visited / max(visits, 1),
        np.log1p(last),
        last / np.maximum(interval, 0.25),  # 1 = due now by this person's own rhythm
        visits - 1 - last_session,
        np.bincount(inverse, on_offer[real], size) / np.bincount(inverse, minlength=size),
    ]
    return KeyedHistory(found, np.stack(columns, axis=1).astype(np.float32))


def profile(context: UserContext, items: ItemIndex) -> Profile:
    """Group a person's history by item, category, department and brand."""
    session = sessions(context.timestamps)
    visits = int(session[-1]) + 1 if len(session) else 0
    rows = context.rows
    on_offer = items.offers.active(rows, context.timestamps) > 0
    levels = tuple(
        group(keys, context, session, visits, on_offer)
        for keys in (rows, items.categories[rows], items.departments[rows], items.brands[rows])
    )
    recent = recent_rows(context, SIMILAR_TO_LAST)
    prices = items.prices[rows]
    known = prices[~np.isnan(prices)]
    moment = np.floor(context.now / 3600.0)
    starts = context.timestamps[np.flatnonzero(np.diff(session, prepend=-1))]
    gap = (context.now - starts[-1]) / DAY if visits else np.nan
    rhythm = (starts[-1] - starts[0]) / DAY / (visits - 1) if visits > 1 else np.nan
    scalars = [
        np.log1p(len(rows)),
        np.log1p(visits),
        gap,
        rhythm,
        1.0 - len(np.unique(rows)) / len(rows) if len(rows) else np.nan,
        on_offer.mean() if len(rows) else np.nan,
        moment % 24,
        (moment // 24 + 3) % 7,  # 1970-01-01 was a Thursday; 0 = Monday
        0.0,  # on the slate; where it really was is known in training only
    ]
    return Profile(
        levels=levels,
        last_session=np.unique(rows[session == visits - 1]),
        recent_vectors=items.vectors(recent),
        recent_strengths=np.exp2(-np.arange(len(recent)) / 4.0).astype(np.float32),
        mean_log_price=float(np.log1p(known).mean()) if len(known) else np.nan,
        last_visit=float(context.timestamps[-1]) if visits else np.nan,
        scalars=np.array(scalars, dtype=np.float32),
    )


def recent_rows(context: UserContext, size: int) -> IntArray:
    """The last distinct items that the person picked or liked, newest first."""
    wanted = context.rows[context.weights > 0][::-1][: size * 4]
    _, first = np.unique(wanted, return_index=True)
    return wanted[np.sort(first)[:size]]


def compute(state: RankingState, person: Profile, candidates: Candidates, now: float) -> FloatArray:
    """The feature rows of all candidates: NAMES, then every source's score and rank. (N, F)"""
    items, rows = state.items, candidates.rows
    keys = (rows, items.categories[rows], items.departments[rows], items.brands[rows])
    crosses = [level.lookup(key) for level, key in zip(person.levels, keys, strict=True)]
    shares = state.popularity.log_shares(rows)  # (N, 3)
    first = state.popularity.first[rows]  # (N,)
    log_price = np.log1p(items.prices[rows])
    age = np.log1p(np.maximum((now - items.published[rows]) / DAY, 0))
    similarity = items.vectors(rows) @ person.recent_vectors.T  # (N, R)
    columns = [
        np.isin(rows, person.last_session),
        *shares.T,
        shares[:, 0] - shares[:, 2],
        np.log1p(np.maximum((state.popularity.as_of - first) / DAY, 0)),
        (first - person.last_visit) / DAY,  # above 0: it came after they were here
        age,
        log_price,
        log_price - person.mean_log_price,
        *state.repurchase.columns[rows].T,
        *items.offers.columns(rows, now).T,
        *state.response.columns[rows].T,
        *_similarity(similarity, person.recent_strengths),
    ]
    item_part = np.stack(columns, axis=1).astype(np.float32)
    person_part = np.tile(person.scalars, (len(rows), 1))
    return np.concatenate(
        [*crosses, item_part, person_part, candidates.source_scores, candidates.source_ranks],
        axis=1,
        dtype=np.float32,
    )


def rows_of(state: RankingState, context: UserContext, candidates: Candidates) -> Rows:
    """What the rankers read of these candidates."""
    values = compute(state, profile(context, state.items), candidates, context.now)
    return Rows(values, candidates.rows, recent_rows(context, HISTORY))


def _similarity(similarity: FloatArray, strengths: FloatArray) -> tuple[FloatArray, ...]:
    """Largest, mean and recency-weighted similarity to the recent items; NaN without a history."""
    if similarity.shape[1] == 0:
        nothing = np.full(len(similarity), np.nan, dtype=np.float32)
        return nothing, nothing, nothing
    weighted = similarity @ (strengths / strengths.sum())
    return similarity.max(axis=1), similarity.mean(axis=1), weighted


def names(source_names: tuple[str, ...]) -> list[str]:
    """Names of the columns of `compute`, in order."""
    return [*NAMES, *(f"{s}_score" for s in source_names), *(f"{s}_rank" for s in source_names)]
