"""⑬ Transfer: people whose history lies in one catalog, served in another.

The catalogs of a demo share no people, so one catalog stands for two: its departments are dealt
into halves A and B with about as many interactions each. A fifth of the people is held out of all
training. Of those, what is known is what they did in A in the first half of their log; asked for is
what they picked in B in the second half, among the items of B. Nothing that they did in B is known.
The same is done from B to A.

Compared: chance; what is popular in B; the texts of their history in A, by the language model; a
tower trained on B's log, which reads A's items by their texts; a tower trained on both logs, which
reads A's items by their texts alone (as items that are not B's) or by their id vectors too.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from django.utils.translation import gettext_noop
from numpy.typing import NDArray

from ranking.device import one_thread
from ranking.item_index import ItemIndex
from ranking.loading import bare_state
from ranking.popularity import Popularity
from ranking.sources.tower import tower
from ranking.state import RankingState
from ranking.types import FloatArray, IntArray, InteractionLog, UserContext
from ranking.user_tower import UserTower, all_item_vectors
from training.cold_start import chance
from training.encoders import CONFIGURED, encoder_of_run, fine_tuned
from training.errors import TrainingFault
from training.evaluation import prepare
from training.fit import Limits
from training.fit_tower import TowerTraining, fit_tower
from training.handle import RunHandle
from training.report import with_interval
from training.scoring import Requests, Scorer, text_scorer
from training.splits import BoolArray

HELD_OUT = 0.2  # share of the people
VALIDATION = 0.1  # share of the other people, who stop the towers early
LEAST_KNOWN = 3  # picks in one half, so that there is a history
LEAST = 20  # people to measure on
MOST = 2_000


@dataclass(frozen=True)
class Halves:
    """A catalog as two, and who is held out."""

    in_a: BoolArray  # (N,) whether an item is in half A
    held: BoolArray  # (M,) interactions of people who are held out
    valid: BoolArray  # (M,) of those who stop the towers early


def transfer(
    handle: RunHandle,
    split_name: str,
    limits: Limits | None = None,
    encoder: str = "",
    most_people: int | None = None,
) -> list[dict[str, Any]]:
    """A row for each direction and model: nDCG@10 with its interval.

    The split says only which encoders may be used; people are held out whole.

    Raises
    ------
    TrainingFault
        Fewer than two departments, too few people who picked in both halves, or an encoder that
        learned from what they picked.
    """
    for learned in fine_tuned(encoder_of_run(handle, encoder)):
        raise TrainingFault(
            f"{learned} was fine-tuned on what people picked, those that transfer asks for among "
            f"them. Say --encoder {CONFIGURED}, or one that was only pre-trained."
        )
    items, log, _ = prepare(handle, split_name, encoder)
    halves = cut(items, log, handle.seed)
    state = bare_state(items, handle.catalog)
    asked = [_people(log, halves, source) for source in (True, False)]
    for contexts, _ in asked:
        if len(contexts) < LEAST:
            raise TrainingFault(
                f"Only {len(contexts)} of the people who are held out picked {LEAST_KNOWN} items "
                f"in one half and one in the other; {LEAST} are needed to measure transfer."
            )
    epochs = (limits or Limits()).epochs
    both = _fit(handle, items, log, halves, np.ones(len(items), bool), epochs, "both")
    rows: list[dict[str, Any]] = []
    for source, (contexts, picked) in zip((True, False), asked, strict=True):
        wanted = halves.in_a != source  # the other half is what is served
        own = _fit(handle, items, log, halves, wanted, epochs, "B" if source else "A")
        known = log.keep(wanted[log.rows] & ~halves.held)
        popularity = Popularity.fit(known, len(items), float(log.timestamps.max()) + 1.0)
        chosen = np.random.default_rng(handle.seed).permutation(len(contexts))
        some = chosen[: most_people or MOST]
        there = replace(items, available=items.available & wanted)
        served = replace(state, items=there, popularity=popularity)
        cases = Requests(served, [contexts[one] for one in some], [picked[one] for one in some])
        with one_thread():
            rows += _rows(handle, "A → B" if source else "B → A", cases, own, both, wanted)
    return rows


def cut(items: ItemIndex, log: InteractionLog, seed: int) -> Halves:
    """Departments, the largest first, each to the half with fewer interactions so far."""
    departments = items.departments + 1  # 0: items without one
    counts = np.bincount(departments[log.rows], minlength=int(departments.max(initial=0)) + 1)
    if (counts > 0).sum() < 2:
        raise TrainingFault(
            "Transfer is measured between two halves of a catalog's departments, the first part "
            "of its category paths, and people picked from fewer than two. Import categories."
        )
    in_a, sums = np.zeros(len(counts), dtype=bool), [0, 0]
    for department in np.argsort(-counts, kind="stable").tolist():
        side = int(sums[1] < sums[0])
        in_a[department] = side == 0
        sums[side] += int(counts[department])
    people = np.unique(log.users)
    order = np.random.default_rng(seed).permutation(people)
    held = order[: int(HELD_OUT * len(people))]
    rest = order[len(held) :]
    valid = rest[: max(int(VALIDATION * len(rest)), 1)]
    return Halves(in_a[departments], np.isin(log.users, held), np.isin(log.users, valid))


def _fit(
    handle: RunHandle,
    items: ItemIndex,
    log: InteractionLog,
    halves: Halves,
    wanted: BoolArray,
    epochs: int | None,
    name: str,
) -> UserTower:
    """A tower that learns from what people who are not held out did with these items. (N,)"""
    until = wanted[log.rows] & ~halves.held
    training = TowerTraining(epochs=epochs)
    return fit_tower(
        handle, items, log, until & ~halves.valid, until, training, name=f"tower {name}"
    )


def _people(
    log: InteractionLog, halves: Halves, source: bool
) -> tuple[list[UserContext], list[IntArray]]:
    """Those held out: their history in one half, and what they picked later in the other."""
    contexts, answers = [], []
    places = np.flatnonzero(halves.held)
    for person in np.split(places, np.flatnonzero(np.diff(log.users[places])) + 1):
        early, late = person[: len(person) // 2], person[len(person) // 2 :]
        past = early[halves.in_a[log.rows[early]] == source]
        there = late[(halves.in_a[log.rows[late]] != source) & (log.weights[late] > 0)]
        picked = np.setdiff1d(log.rows[there], log.rows[early])
        if (log.weights[past] > 0).sum() >= LEAST_KNOWN and len(picked):
            moment = float(log.timestamps[late[0]])
            columns = (log.rows, log.types, log.timestamps, log.weights)
            rows, types, times, weights = (column[past] for column in columns)
            contexts.append(
                UserContext(int(log.users[late[0]]), rows, types, times, weights, moment)
            )
            answers.append(picked)
    return contexts, answers


def _rows(
    handle: RunHandle,
    direction: str,
    cases: Requests,
    own: UserTower,
    both: UserTower,
    wanted: NDArray[np.bool_],
) -> Iterator[dict[str, Any]]:
    state = cases.state
    popularity = state.popularity.blend
    scorers: dict[str, Scorer] = {
        gettext_noop("chance"): chance(state, handle.seed),
        gettext_noop("popular there"): lambda context: popularity,
        gettext_noop("text across"): text_scorer(state),
        gettext_noop("tower of there"): _scorer(state, own, wanted),
        gettext_noop("tower of both, by text"): _scorer(state, both, wanted),
        gettext_noop("tower of both"): _scorer(state, both, np.ones(len(wanted), dtype=bool)),
    }
    for name, scorer in scorers.items():
        handle.stage(f"{direction}, {name}", 0.9)
        handle.check()
        ndcg = cases.each(scorer)
        yield {
            "case": direction,
            "model": name,
            "requests": len(ndcg),
            "known": float(np.mean([len(context.rows) for context in cases.contexts])),
            "ndcg@10": with_interval(ndcg, cases.people),
        }


def _scorer(state: RankingState, learned: UserTower, with_ids: BoolArray) -> Scorer:
    """A tower over all items, of which only some have their id vector. (N,)"""
    items = state.items
    ids = np.where(with_ids, np.arange(len(items)), learned.config.item_count)
    vectors = all_item_vectors(learned, items.text_vectors, items.text_codes, ids)
    ready = replace(state, tower=learned, tower_items=vectors)
    nobody = np.zeros(0, dtype=np.int64)

    def scores(context: UserContext) -> FloatArray:
        found = tower(ready, context, nobody)
        assert found is not None  # everybody here has a history
        return found

    return scores


def told(row: dict[str, Any]) -> str:
    """A row of the table as text."""
    figure = row["ndcg@10"]
    return (
        f"{row['case']:8} {row['model']:24} {row['requests']:>6,} people, {row['known']:.0f} known "
        f"in one, 0 in the other   nDCG@10 {figure['value']:.4f} "
        f"[{figure['low']:.4f}, {figure['high']:.4f}]"
    )
