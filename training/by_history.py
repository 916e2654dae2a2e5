"""⑬ Where the language model leads and where behaviour does: nDCG@10 by how much is known.

By length of history: people of the test are cut down to their newest interactions, the same people
for each length as far as theirs reach. By picks: whole histories, and of what was picked only the
items that had been picked so often before. Three models rank the whole catalog: the texts of the
recent items alone, the rankers alone (what people did; text is one feature among many), and the
blend of them that is served (`ranking/rankers/leads.py`, then the personal model where there is
one). Nothing is tuned here.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
from django.utils.translation import gettext_noop

from ranking.device import one_thread
from ranking.filters import allowed_items
from ranking.personalizer import PERSONAL
from ranking.rankers.blend import LEADS
from ranking.state import RankingState
from ranking.types import IntArray, InteractionLog
from training import fit_leads, metrics
from training.errors import TrainingFault
from training.evaluation import measured_pipeline, pipeline_scorer
from training.fit import Limits
from training.handle import RunHandle
from training.plots import HISTORY, PICKS
from training.report import with_interval
from training.scoring import Scorer, padded, ranks_of, text_scorer
from training.splits import QUERY, PastRequest, context_of, drawn, shortened

TEXT = gettext_noop("language model alone")
BEHAVIOUR = gettext_noop("behaviour alone")
BLEND = gettext_noop("blend")
LENGTHS = (*fit_leads.LENGTHS, 100, 200)  # what is left of histories, interactions' worth
PICKED = (0, 1, 5, 20, 100)  # how often before, at least
MOST = 1_000  # requests of a length
LEAST = 20  # requests that a row needs


def by_history(
    handle: RunHandle,
    split_name: str,
    limits: Limits | None = None,
    encoder: str = "",
    most_people: int | None = None,
) -> list[dict[str, Any]]:
    """A row for each length of history and model, then for each band of picks and model.

    Of the live bundle, or of a pipeline that is fitted for it: see `measured_pipeline`.

    Raises
    ------
    TrainingFault
        Too few requests in the test.
    """
    measured = measured_pipeline(handle, split_name, limits, encoder)
    log, split = measured.log, measured.split
    then = measured.state.as_of(log.keep(split.test.known), split.test.now)
    requests = drawn(split.test.requests, most_people or MOST, handle.seed)
    if len(requests) < LEAST:
        raise TrainingFault(
            f"Only {len(requests)} requests in the test, and {LEAST} are needed: wait for more "
            "interactions, import some, or measure on another split."
        )
    with one_thread():
        return list(_rows(handle, then, log, log.keep(split.test.known), requests))


def _rows(
    handle: RunHandle,
    state: RankingState,
    log: InteractionLog,
    known: InteractionLog,
    requests: list[PastRequest],
) -> Iterator[dict[str, Any]]:
    for length in LENGTHS:
        short = [one for each in requests if (one := shortened(log, each, length)) is not None]
        handle.stage(f"histories of {length}", 0.85)
        if len(short) >= LEAST:
            yield from _compared(HISTORY, length, short, _ranks(handle, state, log, short))
    picks = np.bincount(known.rows[known.weights > 0], minlength=len(state.items))
    handle.stage("by picks of the item", 0.95)
    whole = _ranks(handle, state, log, requests)
    for place, least in enumerate(PICKED):
        band = np.searchsorted(PICKED, picks, side="right") - 1 == place  # (N,)
        asked = [number for number, one in enumerate(requests) if band[one.picked].any()]
        if len(asked) >= LEAST:
            chosen = {
                name: [ranks[number][band[requests[number].picked]] for number in asked]
                for name, ranks in whole.items()
            }
            yield from _compared(PICKS, least, [requests[number] for number in asked], chosen)


def _ranks(
    handle: RunHandle, state: RankingState, log: InteractionLog, requests: list[PastRequest]
) -> dict[str, list[IntArray]]:
    """The places of what each request picked, by model."""
    scorers: dict[str, Scorer] = {
        TEXT: text_scorer(state),
        BEHAVIOUR: pipeline_scorer(state, LEADS, PERSONAL),
        BLEND: pipeline_scorer(state),
    }
    found: dict[str, list[IntArray]] = {name: [] for name in scorers}
    for request in requests:
        handle.check()
        context = context_of(log, request)
        allowed, _ = allowed_items(state, context, QUERY)
        for name, scorer in scorers.items():
            scores = np.where(allowed, scorer(context), -np.inf)
            found[name].append(ranks_of(scores, request.picked))
    return found


def _compared(
    by: str, least: int, requests: list[PastRequest], ranks: dict[str, list[IntArray]]
) -> Iterator[dict[str, Any]]:
    """A row a model; the blend's says how far it is from the better of the other two, paired."""
    _, people = np.unique([request.user_id for request in requests], return_inverse=True)
    ndcg = {name: metrics.ndcg(padded(found), 10) for name, found in ranks.items()}
    better = max((TEXT, BEHAVIOUR), key=lambda name: ndcg[name].mean())
    for name, values in ndcg.items():
        row = {
            "by": by,
            "from": least,
            "model": name,
            "requests": len(values),
            "ndcg@10": with_interval(values, people),
        }
        if name == BLEND:
            row |= {"better": better, "over_better": with_interval(values - ndcg[better], people)}
        yield row


def told(row: dict[str, Any]) -> str:
    """A row of the table as text."""
    figure = row["ndcg@10"]
    what = f"{row['from']} known" if row["by"] == HISTORY else f"picked {row['from']} times or more"
    beside = ""
    if over := row.get("over_better"):
        beside = f"   {over['value']:+.4f} [{over['low']:+.4f}, {over['high']:+.4f}]"
        beside += f" over {row['better']}"
    return (
        f"{what:24} {row['model']:22} {row['requests']:>6,} requests   nDCG@10 "
        f"{figure['value']:.4f} [{figure['low']:.4f}, {figure['high']:.4f}]{beside}"
    )
