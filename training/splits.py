"""⑪ What is learned from, and what is asked afterwards: global points in time, or the last picks.

A `Fold` is one such moment: what of the log was known, and requests that came after it. A `Split`
is the folds of a whole training: some to learn ranking from, one to choose by, one to measure on.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from catalog.models import Catalog
from ranking.context import HISTORY_LIMIT
from ranking.types import (
    DAY,
    SESSION_GAP,
    IntArray,
    InteractionLog,
    Query,
    UserContext,
    no_traits,
)
from training.errors import TrainingFault

LONGEST_WINDOW = 28 * DAY
LEAST_INTERACTIONS = 200
LEAST_PEOPLE = 10
RANKER_WINDOWS = 8  # from rank_start to valid_start
NEWEST_WINDOWS = 4  # as long, from valid_start to test_start
LEAVE_LAST = "leave-last-"
TRAIN_GROUPS = 5  # of people, each of which in turn is one to learn ranking from
MOST_LEFT_OUT = 50  # picks of each person

QUERY = Query(catalog_slug="", log=False)  # a past request, asked again

BoolArray = NDArray[np.bool_]


def _nothing() -> IntArray:
    return np.zeros(0, dtype=np.int64)


@dataclass(frozen=True)
class PastRequest:
    """A visit of the past: who came when, and what they picked in that session."""

    start: int  # slice of the log that is this person's history before the visit
    stop: int
    user_id: int
    moment: float  # seconds since the epoch
    picked: IntArray  # distinct item-index rows
    touched: IntArray  # item-index rows of all that was done in that session, ascending
    types: NDArray[np.uint8]  # what was done with each of them: bit t for interaction type code t
    seen: IntArray = field(default_factory=_nothing)  # item-index rows in view then, ascending
    positions: IntArray = field(default_factory=_nothing)  # of each on its slate, 0 = first


@dataclass(frozen=True)
class Fold:
    """What was known at a moment, and who came afterwards."""

    known: BoolArray  # (M,) the interactions that models and statistics may learn from
    now: float  # seconds since the epoch: the moment that the statistics are of
    requests: list[PastRequest]  # slices of the whole log


@dataclass(frozen=True)
class Moments:
    """Global points in time, seconds since the epoch: nothing later is known at each of them.

    begin … rank_start trains the tower; … valid_start stops the tower early and trains the ranker;
    … test_start stops the ranker early, then trains it, too; … end is for evaluation only.
    """

    begin: float
    rank_start: float
    valid_start: float
    test_start: float
    end: float

    def __str__(self) -> str:
        days = [
            datetime.fromtimestamp(moment, UTC).strftime("%-d %b %Y")
            for moment in (self.begin, self.rank_start, self.valid_start, self.test_start, self.end)
        ]
        return "from {}; ranker from {}; validation from {}; test from {} to {}".format(*days)


@dataclass(frozen=True)
class Split:
    """The folds of a training."""

    name: str  # time, or leave-last-K
    tower: BoolArray  # (M,) what the tower learns from
    tower_valid: BoolArray  # (M,) that, and what stops it early
    train: list[Fold]  # to learn ranking from, oldest first
    valid: Fold  # to choose by: recipes, rounds, rankers
    newest: list[Fold]  # what is chosen learns from these, too
    test: Fold  # for evaluation only
    moments: Moments | None = field(default=None)  # of a split by time

    def __str__(self) -> str:
        told = f"split {self.name}"
        return f"{told}: {self.moments}" if self.moments else told


def make_split(name: str, log: InteractionLog, catalog: Catalog) -> Split:
    """The split of this name: `time`, `leave-last-out`, or `leave-last-K` for a number K.

    Raises
    ------
    TrainingFault
        There is no such split, or too little to learn from; says what is needed.
    """
    count = picks_left_out(name)
    if count is None:
        return time_split(log, split_by_time(log, catalog), repeats=catalog.repeat_consumption)
    _refuse_too_little(log, catalog)
    return leave_last(log, count, repeats=catalog.repeat_consumption)


def picks_left_out(name: str) -> int | None:
    """How many picks of each person the split of this name leaves out; None for the one by time.

    Raises
    ------
    TrainingFault
        There is no such split.
    """
    if name == "time":
        return None
    number = "1" if name == f"{LEAVE_LAST}out" else name.removeprefix(LEAVE_LAST)
    if not name.startswith(LEAVE_LAST) or not number.isdecimal():
        raise TrainingFault(
            f"There is no split {name!r}; say time, leave-last-out or leave-last-5."
        )
    if not 1 <= int(number) <= MOST_LEFT_OUT:
        raise TrainingFault(f"{name} must leave out 1 to {MOST_LEFT_OUT} picks of each person.")
    return int(number)


def without_test(log: InteractionLog, split: Split) -> tuple[InteractionLog, Split]:
    """The log and the split with nothing of the test in them: what settings may be chosen by."""
    kept = split.test.known.copy() if split.moments else np.ones(len(log), dtype=bool)
    ends = np.searchsorted(log.users, log.users, side="right")
    for request in split.test.requests:
        if request.stop < len(log):
            kept[request.stop : ends[request.stop]] = False
    places = np.cumsum(kept) - kept  # (M,) of each that is kept, among them

    def moved(fold: Fold) -> Fold:
        requests = [
            replace(
                request,
                start=int(places[request.start]),
                stop=int(places[request.start]) + request.stop - request.start,
            )
            for request in fold.requests
        ]
        return Fold(fold.known[kept], fold.now, requests)

    return log.keep(kept), Split(
        split.name,
        split.tower[kept],
        split.tower_valid[kept],
        [moved(fold) for fold in split.train],
        moved(split.valid),
        [moved(fold) for fold in split.newest],
        Fold(np.ones(int(kept.sum()), dtype=bool), split.test.now, []),
        split.moments,
    )


def time_split(log: InteractionLog, moments: Moments, *, repeats: bool) -> Split:
    """Windows of time: each person's first session in each is a request."""

    def fold(begin: float, end: float) -> Fold:
        requests = past_requests(log, begin, end, repeats=repeats)
        return Fold(log.timestamps < begin, begin, requests)

    def folds(begin: float, end: float, count: int) -> list[Fold]:
        borders = np.linspace(begin, end, count + 1).tolist()
        return [fold(*window) for window in pairwise(borders)]

    return Split(
        "time",
        log.timestamps < moments.rank_start,
        log.timestamps < moments.valid_start,
        folds(moments.rank_start, moments.valid_start, RANKER_WINDOWS),
        fold(moments.valid_start, moments.test_start),
        folds(moments.valid_start, moments.test_start, NEWEST_WINDOWS),
        fold(moments.test_start, moments.end),
        moments,
    )


def leave_last(log: InteractionLog, count: int, *, repeats: bool) -> Split:
    """Everybody's last `count` picks are the test, one request each; those before them validate.

    Strict: models and statistics are made without the test's and the validation's picks. Rankers
    learn from the block before the two, of one group of people after another, with statistics that
    are without that block of this group only: were it left out of everybody at once, there would
    be less to count from than in the test. A request knows the person's own history up to it.
    What others did is known whenever they did it, as is usual in this protocol.
    """
    picks = _picks(log, repeats=repeats)
    known = _cut(log, picks, np.full(len(picks), 2 * count))
    groups = np.random.default_rng(0).permutation(len(picks)) % TRAIN_GROUPS
    train = []
    for group in range(min(TRAIN_GROUPS, len(picks))):
        held = groups == group
        members = [picks[place] for place in np.flatnonzero(held)]
        without = _cut(log, picks, np.where(held, 3 * count, 2 * count))
        train.append(_last_picks(log, members, without, 3 * count, 2 * count))
    valid = _last_picks(log, picks, known, 2 * count, count)
    test = _last_picks(log, picks, known, count, 0)
    tower = _cut(log, picks, np.full(len(picks), 3 * count))
    return Split(f"{LEAVE_LAST}{count}", tower, known, train, valid, [valid], test)


def _picks(log: InteractionLog, *, repeats: bool) -> list[IntArray]:
    """Of each person, where in the log they picked something (new, where nothing is repeated)."""
    wanted = log.weights > 0
    if not repeats:
        order = np.lexsort((np.arange(len(log)), log.rows, log.users))
        again = np.zeros(len(log), dtype=bool)
        same = (np.diff(log.users[order]) == 0) & (np.diff(log.rows[order]) == 0)
        again[order[1:]] = same
        wanted &= ~again
    places = np.flatnonzero(wanted)
    borders = np.flatnonzero(np.diff(log.users[places])) + 1
    return np.split(places, borders) if len(places) else []


def _cut(log: InteractionLog, picks: list[IntArray], lasts: IntArray) -> BoolArray:
    """Everything before each person's so many last picks, but always their first one. (M,)"""
    known = np.ones(len(log), dtype=bool)
    stops = np.searchsorted(log.users, log.users, side="right")
    for places, last in zip(picks, lasts.tolist(), strict=True):
        begin = places[max(len(places) - last, 1)] if len(places) > 1 else len(log)
        if begin < len(log):
            known[begin : stops[begin]] = False
    return known


def _last_picks(
    log: InteractionLog, picks: list[IntArray], known: BoolArray, first: int, last: int
) -> Fold:
    """One request for each pick from the `first`-last up to the `last`-last of each person."""
    starts = np.searchsorted(log.users, log.users)
    requests = []
    for places in picks:
        for place in places[max(len(places) - first, 1) : max(len(places) - last, 1)].tolist():
            oldest = max(int(starts[place]), place - HISTORY_LIMIT)
            picked, person = log.rows[place : place + 1], int(log.users[place])
            done = _done(log, slice(place, place + 1))
            moment = float(log.timestamps[place])
            requests.append(PastRequest(oldest, place, person, moment, picked, *done))
    return Fold(known, float(log.timestamps[known].max(initial=0.0)) + 1.0, requests)


def past_requests(
    log: InteractionLog, begin: float, end: float, *, repeats: bool
) -> list[PastRequest]:
    """Each person's first session in begin … end, with what they picked in it.

    Where nothing is consumed again, what was seen before is no target, as it is no candidate.
    """
    return list(_first_sessions(log, begin, end, repeats))


def _first_sessions(
    log: InteractionLog, begin: float, end: float, repeats: bool
) -> Iterator[PastRequest]:
    inside = np.flatnonzero((log.timestamps >= begin) & (log.timestamps < end))
    people, first_inside = np.unique(log.users[inside], return_index=True)
    firsts = inside[first_inside]
    starts = np.searchsorted(log.users, people)
    stops = np.searchsorted(log.users, people, side="right")
    for person, start, first, stop in zip(people, starts, firsts, stops, strict=True):
        gaps = np.diff(log.timestamps[first:stop]) > SESSION_GAP
        last = first + (int(gaps.argmax()) + 1 if gaps.any() else stop - first)
        picked = np.unique(log.rows[first:last][log.weights[first:last] > 0])
        if not repeats:
            picked = np.setdiff1d(picked, log.rows[start:first])
        if len(picked):
            oldest = max(start, first - HISTORY_LIMIT)
            moment = float(log.timestamps[first])
            done = _done(log, slice(first, last))
            yield PastRequest(int(oldest), int(first), int(person), moment, picked, *done)


def _done(log: InteractionLog, session: slice) -> tuple[IntArray, NDArray[np.uint8]]:
    """The items of a session, ascending, and a bit for each type of interaction with them."""
    touched, place = np.unique(log.rows[session], return_inverse=True)
    types = np.zeros(len(touched), dtype=np.uint8)
    np.bitwise_or.at(types, place, np.left_shift(1, log.types[session].astype(np.uint8)))
    return touched, types


def context_of(log: InteractionLog, request: PastRequest) -> UserContext:
    """What was known of the person when they came."""
    past = slice(request.start, request.stop)
    is_new = request.start == request.stop
    return UserContext(
        request.user_id,
        log.rows[past],
        log.types[past],
        log.timestamps[past],
        log.weights[past],
        request.moment,
        traits=log.people.traits_of(request.user_id) if is_new else no_traits(),
    )


def shortened(log: InteractionLog, request: PastRequest, worth: float) -> PastRequest | None:
    """The request of somebody of whom only the newest interactions are known that weigh so much.

    None where less is known. An interaction weighs what its type does, a hidden item nothing.
    """
    weights = np.clip(log.weights[request.start : request.stop], 0.0, None)
    newest_first = np.cumsum(weights[::-1], dtype=np.float64)  # (L,)
    if worth <= 0:
        return replace(request, start=request.stop)
    if len(newest_first) == 0 or newest_first[-1] < worth - 1e-6:
        return None
    kept = int(np.searchsorted(newest_first, worth - 1e-6)) + 1
    return replace(request, start=request.stop - kept)


def drawn(requests: list[PastRequest], most: int | None, seed: int) -> list[PastRequest]:
    """At most so many of them, in their order; all of them for None."""
    if most is None or len(requests) <= most:
        return requests
    chosen = np.random.default_rng(seed).permutation(len(requests))[:most]
    return [requests[place] for place in np.sort(chosen)]


def split_by_time(log: InteractionLog, catalog: Catalog) -> Moments:
    """Test and validation: the last two windows of up to 28 days; the ranker's: two before them.

    Raises
    ------
    TrainingFault
        Too little to learn from; says how much there is and how much is needed.
    """
    _refuse_too_little(log, catalog)
    begin, end = float(log.timestamps.min()), float(log.timestamps.max()) + 1.0
    window = min(LONGEST_WINDOW, (end - begin) * 0.12)
    if window < 60.0:
        raise TrainingFault(
            f"All interactions of {catalog.name} happened at the same time, so nothing can be "
            "held back to test on: import them with their timestamps."
        )
    return Moments(begin, end - 4 * window, end - 2 * window, end - window, end)


def _refuse_too_little(log: InteractionLog, catalog: Catalog) -> None:
    people = len(np.unique(log.users))
    if len(log) < LEAST_INTERACTIONS or people < LEAST_PEOPLE:
        raise TrainingFault(
            f"{catalog.name} has {len(log):,} interactions by {people:,} people; training needs "
            f"{LEAST_INTERACTIONS} by {LEAST_PEOPLE}. Until then the site ranks by the encoder "
            "and popularity."
        )
