"""The ranker's examples: requests of the past, and what was passed over in them.

Negatives are what was seen and not picked, and a draw of the sources' own candidates.
"""

from collections.abc import Callable, Sequence

import numpy as np

from ranking import features
from ranking.filters import allowed_items
from ranking.rankers.examples import HISTORY, Examples, Rows
from ranking.sources import union
from ranking.sources.union import retrieve
from ranking.state import RankingState
from ranking.types import FloatArray, IntArray, InteractionLog
from training.splits import QUERY, BoolArray, Fold, PastRequest, context_of

TRIES = 4  # requests looked at for one that teaches something
NEGATIVES = 120  # kept a request, drawn from the candidates
POSITION = features.NAMES.index("position")


def build_examples(
    state: RankingState,
    log: InteractionLog,
    requests: Sequence[PastRequest],
    seed: int,
    check: Callable[[], None],
    most: int,
) -> Examples:
    """Feature rows of requests, drawn: every candidate picked or seen, and a draw of the others.

    A request of which no source found anything teaches nothing; so that `most` are left, up to
    TRIES times as many are looked at.
    """
    generator = np.random.default_rng(seed)
    parts: list[Examples] = []
    for place in generator.permutation(len(requests))[: TRIES * most]:
        if len(parts) == most:
            break
        check()
        request = requests[place]
        context = context_of(log, request)
        allowed, _ = allowed_items(state, context, QUERY)
        candidates = retrieve(state, context, QUERY, allowed)
        label = np.isin(candidates.rows, request.picked)
        if not label.any():
            continue
        certain = label | np.isin(candidates.rows, request.seen)
        others = generator.permutation(np.flatnonzero(~certain))
        rest = others[: max(NEGATIVES - int((certain & ~label).sum()), 0)]
        kept = np.sort(np.concatenate([np.flatnonzero(certain), rest]))
        rows = features.rows_of(state, context, candidates.keep(kept))
        rows.features[:, POSITION] = positions(rows.items, request, generator)
        parts.append(example_of(rows, label[kept], request))
    return Examples.joined(parts) if parts else NO_EXAMPLES


def positions(rows: IntArray, request: PastRequest, generator: np.random.Generator) -> FloatArray:
    """The feature `position`: log(1 + place on the slate). (N,)

    What was not in view gets the place of something that was, drawn: that an item was shown must
    not be told by its having one. 0 for all, as in serving, where nothing is known to be seen.
    """
    if len(request.seen) == 0:
        return np.zeros(len(rows), dtype=np.float32)
    place = np.minimum(np.searchsorted(request.seen, rows), len(request.seen) - 1)
    drawn_places = generator.choice(request.positions, len(rows))
    found = np.where(request.seen[place] == rows, request.positions[place], drawn_places)
    return np.log1p(found).astype(np.float32)


def example_of(rows: Rows, label: BoolArray, request: PastRequest) -> Examples:
    """One request's candidates, and what became of them."""
    place = np.searchsorted(request.touched, rows.items)
    place = np.minimum(place, len(request.touched) - 1)
    touched = request.touched[place] == rows.items
    history = np.full((1, HISTORY), -1, dtype=np.int64)
    history[0, : len(rows.history)] = rows.history
    return Examples(
        rows.features,
        label.astype(np.float32),
        np.array([len(label)]),
        rows.items,
        np.where(touched, request.types[place], 0).astype(np.uint8),
        history,
    )


NO_EXAMPLES = Examples(
    np.zeros((0, len(features.names(union.NAMES))), dtype=np.float32),
    np.zeros(0, dtype=np.float32),
    np.zeros(0, dtype=np.int64),
    np.zeros(0, dtype=np.int64),
    np.zeros(0, dtype=np.uint8),
    np.zeros((0, HISTORY), dtype=np.int64),
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

    Of each fold the examples of at most `most` requests.
    """
    parts = []
    for place, fold in enumerate(folds):
        check()
        then = state.as_of(log.keep(fold.known), fold.now)
        parts.append(build_examples(then, log, fold.requests, seed + place, check, most))
    return parts
