"""⑫ From which likeness of two texts on the worse of two items is dropped, tried on validation.

Texts that are alike are near-duplicates to a reader of news. Where titles do not tell apart what
people do, such as brands or sizes, dropping all but one hides what they want.
"""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ranking.filters import drop_near_duplicates
from ranking.pipeline import NEAR_DUPLICATES, Trace, rank
from ranking.rerank import diversify
from ranking.state import ALIKE_TEXT, NO_DUPLICATE, SAME_TEXT, RankingState
from ranking.types import IntArray, InteractionLog
from training import metrics
from training.handle import RunHandle
from training.scoring import MISSED, padded
from training.splits import QUERY, Fold, PastRequest, context_of, drawn

REQUESTS = 1_000
LEAST_PEOPLE = 30  # fewer cannot tell
LIKENESSES = (ALIKE_TEXT, SAME_TEXT, NO_DUPLICATE)
CUT = 10


def fit_near_duplicate(
    handle: RunHandle, then: RankingState, log: InteractionLog, fold: Fold
) -> float:
    """The lowest of LIKENESSES that does not surely cost nDCG@10, against dropping nothing.

    `then` is the state as of the fold, with rankers that have not learned from it. Surely: the 95 %
    interval over people lies above 0. The usual one where people are too few.
    """
    handle.stage(NEAR_DUPLICATES, 0.81)
    requests = drawn(fold.requests, REQUESTS, handle.seed)
    distinct, people = np.unique([each.user_id for each in requests], return_inverse=True)
    if len(distinct) < LEAST_PEOPLE:
        return ALIKE_TEXT
    ndcg = _ndcg(handle, then, log, requests)
    for likeness in LIKENESSES[:-1]:
        cost = ndcg[NO_DUPLICATE] - ndcg[likeness]
        low, high = metrics.bootstrap_interval(cost, clusters=people)
        handle.log(
            f"Near-duplicates: one of two texts alike from {likeness} on costs nDCG@10 "
            f"{cost.mean():+.4f} [{low:+.4f}, {high:+.4f}]"
        )
        if low <= 0:
            return likeness
    handle.log("Near-duplicates: people pick what only looks alike, so none is dropped")
    return NO_DUPLICATE


def _ndcg(
    handle: RunHandle, then: RankingState, log: InteractionLog, requests: list[PastRequest]
) -> dict[float, NDArray[np.float64]]:
    """nDCG@10 of each request's slate, by what is dropped. LIKENESSES → (R,)"""
    whole = replace(QUERY, without=(NEAR_DUPLICATES,))
    places: dict[float, list[IntArray]] = {likeness: [] for likeness in LIKENESSES}
    for request in requests:
        handle.check()
        context = context_of(log, request)
        ranked = rank(then, context, whole, Trace())
        for likeness, found in places.items():
            kept = drop_near_duplicates(then, context, ranked, likeness)
            slate = diversify(then, context, kept, whole)
            there = np.flatnonzero(np.isin(slate.rows, request.picked))
            missed = np.full(len(request.picked) - len(there), MISSED)
            found.append(np.concatenate([there, missed]))
    return {likeness: metrics.ndcg(padded(found), CUT) for likeness, found in places.items()}
