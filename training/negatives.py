"""The ranker's examples: requests of the past, the sources' own candidates as negatives."""

from collections.abc import Callable, Sequence

import numpy as np

from ranking import features
from ranking.filters import allowed_items
from ranking.rankers.gbdt import Examples
from ranking.sources import union
from ranking.sources.union import retrieve
from ranking.state import RankingState
from ranking.types import InteractionLog, Query
from training.splits import Fold, PastRequest, context_of, drawn

NEGATIVES = 150  # kept a request, drawn from the candidates
QUERY = Query(catalog_slug="", log=False)


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


def fold_examples(
    state: RankingState,
    log: InteractionLog,
    folds: Sequence[Fold],
    seed: int,
    check: Callable[[], None],
    most: int,
) -> list[Examples]:
    """The examples of each fold, with statistics as they stood at its moment.

    `most` requests at most of each, drawn.
    """
    parts = []
    for place, fold in enumerate(folds):
        check()
        then = state.as_of(log.keep(fold.known), fold.now)
        requests = drawn(fold.requests, most, seed + place)
        parts.append(build_examples(then, log, requests, seed + place, check))
    return parts
