"""The ranker's examples: requests of the past, the sources' own candidates as negatives."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from ranking import features
from ranking.context import HISTORY_LIMIT
from ranking.filters import allowed_items
from ranking.rankers.gbdt import Examples
from ranking.sources import union
from ranking.sources.union import retrieve
from ranking.state import RankingState
from ranking.types import SESSION_GAP, IntArray, InteractionLog, Query, UserContext

NEGATIVES = 150  # kept a request, drawn from the candidates
QUERY = Query(catalog_slug="", log=False)


@dataclass(frozen=True)
class PastRequest:
    """A visit of the past: who came when, and what they picked in that session."""

    start: int  # slice of the log that is this person's history before the visit
    stop: int
    user_id: int
    moment: float  # seconds since the epoch
    picked: IntArray  # distinct item-index rows


def past_requests(
    log: InteractionLog, begin: float, end: float, *, repeats: bool
) -> list[PastRequest]:
    """Each person's first session in begin … end, with what they picked in it.

    Where nothing is consumed again, what was seen before is no target, as it is no candidate.
    """
    people, starts = np.unique(log.users, return_index=True)
    stops = np.append(starts[1:], len(log))
    found = []
    for person, start, stop in zip(people, starts, stops, strict=True):
        times = log.timestamps[start:stop]
        first = start + int(np.searchsorted(times, begin))
        if first == stop or log.timestamps[first] >= end:
            continue
        gaps = np.diff(log.timestamps[first:stop]) > SESSION_GAP
        last = first + (int(gaps.argmax()) + 1 if gaps.any() else stop - first)
        picked = np.unique(log.rows[first:last][log.weights[first:last] > 0])
        if not repeats:
            picked = np.setdiff1d(picked, log.rows[start:first])
        if len(picked):
            oldest = max(start, first - HISTORY_LIMIT)
            moment = float(log.timestamps[first])
            found.append(PastRequest(int(oldest), first, int(person), moment, picked))
    return found


def context_of(log: InteractionLog, request: PastRequest) -> UserContext:
    """What was known of the person when they came."""
    past = slice(request.start, request.stop)
    return UserContext(
        request.user_id,
        log.rows[past],
        log.types[past],
        log.timestamps[past],
        log.weights[past],
        request.moment,
    )


def build_examples(
    state: RankingState,
    log: InteractionLog,
    requests: Sequence[PastRequest],
    seed: int,
    check: Callable[[], None],
) -> Examples:
    """Feature rows of these requests: every picked candidate, and a draw of the others."""
    generator = np.random.default_rng(seed)
    rows, labels, groups = [], [], []
    for request in requests:
        check()
        context = context_of(log, request)
        allowed, _ = allowed_items(state, context, QUERY)
        candidates = retrieve(state, context, QUERY, allowed)
        label = np.isin(candidates.rows, request.picked)
        if not label.any():
            continue
        others = np.flatnonzero(~label)
        drawn = generator.permutation(others)[:NEGATIVES]
        kept = np.sort(np.concatenate([np.flatnonzero(label), drawn]))
        candidates = candidates.keep(kept)
        person = features.profile(context, state.items)
        rows.append(features.compute(state, person, candidates, context.now))
        labels.append(label[kept].astype(np.float32))
        groups.append(len(kept))
    width = len(features.names(union.NAMES))
    return Examples(
        np.concatenate(rows) if rows else np.zeros((0, width), dtype=np.float32),
        np.concatenate(labels) if labels else np.zeros(0, dtype=np.float32),
        np.array(groups, dtype=np.int64),
    )


def window_examples(
    state: RankingState,
    log: InteractionLog,
    windows: Sequence[tuple[float, float]],
    seed: int,
    check: Callable[[], None],
    most: int,
) -> list[Examples]:
    """The examples of each window, with statistics as they stood when the window began."""
    parts = []
    for place, (begin, end) in enumerate(windows):
        requests = past_requests(log, begin, end, repeats=state.repeat_consumption)
        generator = np.random.default_rng(seed + place)
        drawn = [requests[at] for at in np.sort(generator.permutation(len(requests))[:most])]
        check()
        parts.append(build_examples(state.as_of(log, begin), log, drawn, seed + place, check))
    return parts
