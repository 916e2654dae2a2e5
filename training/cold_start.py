"""⑬ Cold start: what is recommended where little or nothing is known.

Three cases. People of whom the last 0, 1 or 3 interactions are known, and no more. Items that
nobody has touched: a tenth of the items, drawn, is taken out of the log before anything is learned,
and ranked against each other for people who picked one of them. A catalog's first day: nothing at
all was ever done, and people are described by three items that they like; asked for is what else
they picked. Chance is a list drawn by lot, the same for every model's request.

An encoder that was fine-tuned has read picks of items that are taken out, and those that the first
day asks for. Of such a one only the first case is measured, and nothing is taken out.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from django.utils.translation import gettext_noop
from numpy.typing import NDArray

from ranking.device import one_thread
from ranking.item_index import ItemIndex
from ranking.loading import bare_state
from ranking.state import RankingState
from ranking.types import IntArray, InteractionLog, UserContext
from training.encoders import CONFIGURED, fine_tuned
from training.evaluation import pipeline_scorer, prepare
from training.fit import Limits, fit_pipeline
from training.handle import RunHandle
from training.plots import FIRST_DAY, TEXT_ALONE
from training.report import PIPELINE, with_interval
from training.scoring import Requests, Scorer, checked, text_scorer
from training.splits import PastRequest, Split, context_of, drawn, make_split

UNTOUCHED_ITEMS = "items that nobody has touched"  # a case
UNTOUCHED = 0.1  # share of the items that are taken out of the log
LENGTHS = (0, 1, 3)  # interactions that are known of a person
CHANCE = gettext_noop("chance")
LIKED = 3  # items that describe a person on the first day
MOST = 2_000  # requests of a case


def cold_start(
    handle: RunHandle,
    split_name: str,
    limits: Limits | None = None,
    encoder: str = "",
    most_people: int | None = None,
) -> list[dict[str, Any]]:
    """A row a case and model: nDCG@10 with its 95 % interval, and the factor over chance."""
    most = most_people or MOST
    items, log, split = prepare(handle, split_name, encoder)
    limits = limits or Limits()
    if knows_picks(handle, items):
        then = _fitted(handle, items, log, split, limits)
        with one_thread():
            return list(_short_histories(handle, then, log, split.test.requests, most))
    with one_thread():
        rows = _first_day(handle, bare_state(items, handle.catalog), log, most)
    touched = np.unique(log.rows)
    draw = np.random.default_rng(handle.seed).permutation(touched)
    untouched = np.sort(draw[: max(int(UNTOUCHED * len(touched)), 1)])
    rest = log.keep(~np.isin(log.rows, untouched))
    known = make_split(split_name, rest, handle.catalog)
    then = _fitted(handle, items, rest, known, limits)
    with one_thread():
        rows += _short_histories(handle, then, rest, known.test.requests, most)
        rows += _untouched_items(handle, then, log, split.test.requests, untouched, most)
    return rows


def knows_picks(handle: RunHandle, items: ItemIndex) -> bool:
    """Whether the items' encoder learned from picks; what it cannot be asked is said in the log."""
    if items.encoder is None:
        return False
    for learned in fine_tuned(items.encoder):
        handle.log(
            f"Without {UNTOUCHED_ITEMS} and {FIRST_DAY}: {learned} was fine-tuned on what people "
            f"picked, those picks among it. Say --encoder {CONFIGURED}, or one that was only "
            "pre-trained."
        )
        return True
    return False


def _fitted(
    handle: RunHandle, items: ItemIndex, log: InteractionLog, split: Split, limits: Limits
) -> RankingState:
    """The pipeline, as of the test."""
    state = fit_pipeline(handle, handle.catalog, items, log, split, limits)
    return state.as_of(log.keep(split.test.known), split.test.now)


def _short_histories(
    handle: RunHandle,
    state: RankingState,
    log: InteractionLog,
    requests: list[PastRequest],
    most: int,
) -> Iterator[dict[str, Any]]:
    """People of whom only the last few interactions are known."""
    asked = [one for one in requests if one.stop - one.start >= max(LENGTHS)]
    asked = drawn(asked, most, handle.seed)
    for length in LENGTHS:
        contexts = [context_of(log, replace(one, start=one.stop - length)) for one in asked]
        cases = Requests(state, contexts, [one.picked for one in asked])
        yield from _compared(handle, f"people with {length} interactions", str(length), cases)


def _untouched_items(
    handle: RunHandle,
    state: RankingState,
    log: InteractionLog,
    requests: list[PastRequest],
    untouched: IntArray,
    most: int,
) -> Iterator[dict[str, Any]]:
    """Those items against each other, for people who picked one of them."""
    new = np.isin(np.arange(len(state.items)), untouched)
    only_new = replace(state, items=replace(state.items, available=state.items.available & new))
    asked = [one for one in requests if new[one.picked].any() and one.stop > one.start]
    asked = drawn(asked, most, handle.seed)
    contexts = [_without(context_of(log, one), new) for one in asked]
    picked = [one.picked[new[one.picked]] for one in asked]
    cases = Requests(only_new, contexts, picked)
    yield from _compared(handle, UNTOUCHED_ITEMS, gettext_noop("new"), cases)


def _without(context: UserContext, gone: NDArray[np.bool_]) -> UserContext:
    """The history without these items."""
    kept = ~gone[context.rows]
    return replace(
        context,
        rows=context.rows[kept],
        types=context.types[kept],
        timestamps=context.timestamps[kept],
        weights=context.weights[kept],
    )


def _first_day(
    handle: RunHandle, state: RankingState, log: InteractionLog, most: int
) -> list[dict[str, Any]]:
    """Three liked items of each person, the texts, and nothing else."""
    liked = log.keep(log.weights > 0)
    contexts, picked = [], []
    for person in np.split(np.arange(len(liked)), np.flatnonzero(np.diff(liked.users)) + 1):
        rows, first = np.unique(liked.rows[person], return_index=True)
        rows = rows[np.argsort(first)]  # distinct, in the order of the first pick
        if len(rows) > LIKED:
            known = person[np.sort(first)[:LIKED]]
            now = float(liked.timestamps[known].max()) + 1.0
            contexts.append(
                UserContext(
                    None,
                    liked.rows[known],
                    liked.types[known],
                    liked.timestamps[known],
                    liked.weights[known],
                    now,
                )
            )
            picked.append(rows[LIKED:])
    chosen = np.random.default_rng(handle.seed).permutation(len(contexts))[:most]
    # what they like is no answer; and served as a catalog without a bundle is
    only_text = replace(state, repeat_consumption=False, first_day=True)
    cases = Requests(only_text, [contexts[one] for one in chosen], [picked[one] for one in chosen])
    scorers = {
        CHANCE: chance(state, handle.seed),
        TEXT_ALONE: text_scorer(only_text),
    }
    return list(_rows(handle, FIRST_DAY, "", cases, scorers))


def _compared(
    handle: RunHandle, case: str, label: str, cases: Requests
) -> Iterator[dict[str, Any]]:
    state = cases.state
    popularity = state.popularity.blend
    scorers: dict[str, Scorer] = {
        CHANCE: chance(state, handle.seed),
        gettext_noop("popularity"): lambda context: popularity,
        TEXT_ALONE: text_scorer(state),
        PIPELINE: pipeline_scorer(state),
    }
    yield from _rows(handle, case, label, cases, scorers)


def _rows(
    handle: RunHandle, case: str, label: str, cases: Requests, scorers: dict[str, Scorer]
) -> Iterator[dict[str, Any]]:
    if not cases.contexts:
        handle.log(f"{case}: nobody to measure it on")
        return
    handle.stage(case, 0.9)
    found = {name: cases.each(checked(handle.check, scorer)) for name, scorer in scorers.items()}
    by_chance = found[CHANCE].mean()
    for name, ndcg in found.items():
        yield {
            "case": case,
            "label": label,  # of the plot
            "model": name,
            "requests": len(ndcg),
            "ndcg@10": with_interval(ndcg, cases.people),
            "times_chance": float(ndcg.mean() / by_chance) if by_chance > 0 else None,
        }


def chance(state: RankingState, seed: int) -> Scorer:
    """Every list another one, drawn by lot."""
    generator = np.random.default_rng(seed)
    return lambda context: generator.random(len(state.items), dtype=np.float32)


def told(row: dict[str, Any]) -> str:
    """A row of the table as text."""
    figure, times = row["ndcg@10"], row["times_chance"]
    beside = f", {times:.1f} × chance" if times is not None and row["model"] != CHANCE else ""
    return (
        f"{row['case']:32} {row['model']:14} {row['requests']:>6,} requests   nDCG@10 "
        f"{figure['value']:.4f} [{figure['low']:.4f}, {figure['high']:.4f}]{beside}"
    )
