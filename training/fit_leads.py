"""How far language model, sources and popularity lead beside the rankers, learned on validation.

People are cut down to their newest interactions, so that each length of history has examples; that
of those of whom nothing is known is taken from real newcomers, where there are enough of them. For
each length the shares are taken whose lead over the rankers alone is the largest after a standard
error is taken off, so that few requests do not make shares large; of real newcomers it is the lead
over popularity alone, which rankers that learned from people with a history seldom beat. Neither
texts (of items that are picked often) nor what everybody does (sources and popularity together) may
lead further for people of whom more is known. How many lengths the leads reach is decided on people
that its shares were not learned from: two halves, each judged by what the other learned. From
RANKERS_FROM on none lead.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ranking.filters import allowed_items
from ranking.rankers.blend import parts_of
from ranking.rankers.ensemble import Ranker
from ranking.rankers.leads import UNTRIED, Leads, Parts
from ranking.sources.union import retrieve
from ranking.state import RankingState
from ranking.types import IntArray, InteractionLog
from training import metrics
from training.handle import RunHandle
from training.scoring import MISSED
from training.splits import QUERY, Fold, PastRequest, context_of, drawn, shortened

LENGTHS = (0, 1, 2, 3, 5, 10, 20, 50)  # what is left of histories: knots of the leads
# What interactions of a person weigh together where rankers begin to decide alone: of such people
# they have learned, and one month's word against them did not hold in the next (docs/results).
RANKERS_FROM = 100.0
PICKS = (0.0, 5.0, 20.0)  # of items, faded by the longest half-life: knots of the leads
RARE = ((0.0, 0.0, 0.0), *((high, low, 0.0) for high in (0.2, 0.4, 0.6) for low in (0.0, high)))
STEPS = 5  # shares are tried in fifths
REQUESTS = 400  # of each length, at most
LEAST = 30  # to learn from; lengths with fewer have no knot

Gains = NDArray[np.float64]


@dataclass(frozen=True)
class Shares:
    """One way of weighing: what is tried at each length."""

    rare: int  # which of RARE
    level: float  # share of the language model for items that are picked often
    sources: float  # share of the fusion of all sources
    popular: float  # share of what everybody picks lately

    @property
    def everybody(self) -> float:
        """What is left to others' behaviour beside the rankers."""
        return self.sources + self.popular

    @property
    def text(self) -> tuple[float, ...]:
        """The share of the language model at each of PICKS. (I,)"""
        most = round(1.0 - self.everybody, 6)
        return tuple(min(self.level + more, most) for more in RARE[self.rare])


def _tried() -> list[Shares]:
    """The rankers alone first; of equals the earlier one is taken."""
    parts = [step / STEPS for step in range(STEPS + 1)]
    return [
        Shares(rare, level, sources, popular)
        for rare in range(len(RARE))
        for level in parts
        for sources in parts
        for popular in parts
        if level + sources + popular < 1.0 + 1e-9
    ]


TRIED = _tried()
RANKERS = 0
POPULARITY = TRIED.index(Shares(rare=0, level=0.0, sources=0.0, popular=1.0))


@dataclass(frozen=True)
class Length:
    """The requests of one length of history, and what each way of weighing is worth for them."""

    known: float
    people: NDArray[np.int64]  # (R,) database ids
    gains: Gains  # (R, len(TRIED)) nDCG@10
    usual: int = RANKERS  # of TRIED the one that decides unless another is surely better

    @cached_property
    def lead(self) -> Gains:
        """The same, beside the usual one. (R, len(TRIED))"""
        return self.gains - self.gains[:, [self.usual]]


def fit_leads(
    handle: RunHandle,
    then: RankingState,
    log: InteractionLog,
    fold: Fold,
    ranker: Ranker,
) -> Leads:
    """The leads for this ranker, which has not learned from the fold; `then` is the state then.

    None where they help nobody. With too few requests to learn from, sources lead people in.
    """
    if len(fold.requests) < LEAST:
        return UNTRIED
    requests = drawn(fold.requests, 4 * REQUESTS, handle.seed)
    newcomers = [each for each in requests if each.start == each.stop]
    lengths = []
    for known in LENGTHS:
        if known == 0 and len(newcomers) >= LEAST:
            # who come back pick other things, also when nothing is told of them
            short, usual = newcomers, POPULARITY
        else:
            cut = (shortened(log, each, known) for each in requests)
            short, usual = [each for each in cut if each is not None], RANKERS
        if len(short) >= LEAST:
            asked = drawn(short, REQUESTS, handle.seed)
            gains = _measured(handle, then, ranker, log, asked)
            people = np.array([request.user_id for request in asked], dtype=np.int64)
            lengths.append(Length(float(known), people, gains, usual))
    return learn(lengths, handle.seed, handle.log)


def _measured(
    handle: RunHandle,
    state: RankingState,
    ranker: Ranker,
    log: InteractionLog,
    requests: list[PastRequest],
) -> Gains:
    gains = []
    for request in requests:
        handle.check()
        context = context_of(log, request)
        candidates = retrieve(state, context, QUERY, allowed_items(state, context, QUERY)[0])
        parts = parts_of(state, ranker, context, candidates, QUERY) if len(candidates) else None
        gains.append(_gains(parts, np.isin(candidates.rows, request.picked), len(request.picked)))
    return np.stack(gains)


def _gains(parts: Parts | None, picked: NDArray[np.bool_], wanted: int) -> Gains:
    """nDCG@10 of each way of weighing for one request. (len(TRIED),)"""
    if parts is None or not picked.any():
        return np.zeros(len(TRIED))
    texts = {one.text for one in TRIED}
    each = {text: np.interp(parts.picks, PICKS, text).astype(np.float32) for text in texts}
    scores = np.stack(
        [parts.weighed(each[one.text], one.sources, one.popular) for one in TRIED]
    )  # (Q, N)
    own = scores[:, picked]  # (Q, P)
    places = (scores[:, None, :] > own[:, :, None]).sum(axis=2)  # (Q, P)
    missed = np.full((len(TRIED), wanted - int(picked.sum())), MISSED)
    return metrics.ndcg(np.concatenate([places, missed], axis=1), 10)


def learn(lengths: list[Length], seed: int, say: Callable[[str], None]) -> Leads:
    """The leads that these requests teach, as far as they reach; newcomers' by themselves."""
    people = np.unique(np.concatenate([length.people for length in lengths]))
    half = people[np.random.default_rng(seed).permutation(len(people)) < len(people) // 2]
    newcomers = [length for length in lengths if length.usual == POPULARITY]
    chosen = (_reached(newcomers, half, say) or [POPULARITY]) if newcomers else []
    chosen += _reached(lengths[len(newcomers) :], half, say)
    leads = _leads(lengths, chosen)
    say(f"Leads: {leads.told() if chosen else 'none, the rankers alone decide'}")
    return leads


def _reached(lengths: list[Length], half: IntArray, say: Callable[[str], None]) -> list[int]:
    """Of TRIED one for each of these lengths, as far as they are surely better than the usual.

    Judged on people that they were not learned from: those of one half, and all others.
    """
    if not lengths:
        return []
    halves = [[np.isin(length.people, half) == side for length in lengths] for side in (0, 1)]
    paths = [best_path(_worth(lengths, some)) for some in halves]
    worth = []
    for place, length in enumerate(lengths):
        # (R,) each half is judged by what the other one taught
        taught = np.where(halves[0][place], paths[1][place], paths[0][place])
        lead = length.lead[np.arange(len(taught)), taught]
        mean, spread = _mean_and_error(lead, length.people)
        worth.append(float(mean - spread))
        say(
            f"Leads: {length.known:g} known: nDCG@10 {length.gains[:, length.usual].mean():.4f} by "
            f"{'the rankers' if length.usual == RANKERS else 'popularity'}, "
            f"{mean:+.4f} ± {spread:.4f} by what was learned"
        )
    reach = int(np.argmax(np.cumsum([0.0, *worth])))
    return best_path(_worth(lengths, [np.ones(len(one.people), bool) for one in lengths]))[:reach]


def _worth(lengths: list[Length], chosen: list[NDArray[np.bool_]]) -> Gains:
    """What each way of weighing surely adds for the chosen requests. (P, len(TRIED))"""
    worth = np.zeros((len(lengths), len(TRIED)))
    for row, length, some in zip(worth, lengths, chosen, strict=True):
        if len(np.unique(length.people[some])) > 1:  # else it says nothing
            mean, spread = _mean_and_error(length.lead[some], length.people[some])
            row[:] = mean - spread
    return worth


def _mean_and_error(gains: Gains, people: IntArray) -> tuple[Gains, Gains]:
    """Means over requests, and their standard errors over people. (R, …), (R,) who asked → (…)

    One standard error is what Breiman et al. 1984, § 3.4 ask for. Requests of one person are no
    news of each other: √(Σ over people of (Σ of their gain − mean)²) / R, times √(P / (P − 1)).
    """
    mean = gains.mean(axis=0)
    distinct, person = np.unique(people, return_inverse=True)
    sums = np.zeros((len(distinct), *gains.shape[1:]))
    np.add.at(sums, person, gains - mean)
    spread = np.sqrt((sums**2).sum(axis=0)) / len(gains)
    return mean, spread * np.sqrt(len(distinct) / max(len(distinct) - 1, 1))


def best_path(worth: Gains) -> list[int]:
    """Of TRIED one a length, with the largest sum of worths. (P, len(TRIED)) → P places

    All with the same bonus for rare items; neither level nor what is everybody's rises with length.
    Dynamic programming over the lengths.
    """
    rare, level, everybody = (
        np.array([getattr(shares, name) for shares in TRIED])
        for name in ("rare", "level", "everybody")
    )
    follows = (  # (Q, Q) whether the column may come after the row
        (rare[:, None] == rare)
        & (level[:, None] >= level - 1e-9)
        & (everybody[:, None] >= everybody - 1e-9)
    )
    value, before = worth[0], []
    for row in worth[1:]:
        reached = np.where(follows, value[:, None], -np.inf)  # (Q, Q)
        before.append(reached.argmax(axis=0))
        value = reached.max(axis=0) + row
    path = [int(value.argmax())]
    for came in reversed(before):
        path.append(int(came[path[-1]]))
    return path[::-1]


def _leads(lengths: list[Length], chosen: list[int]) -> Leads:
    """The shares of as many lengths; from the next one on the rankers alone decide."""
    if not chosen:
        return Leads.led_in(0.0)
    kept = [*(TRIED[place] for place in chosen), TRIED[RANKERS]]
    known = [*(length.known for length in lengths), RANKERS_FROM]
    return Leads(
        tuple(known[: len(kept)]),
        PICKS,
        tuple(shares.text for shares in kept),
        tuple(shares.sources for shares in kept),
        tuple(shares.popular for shares in kept),
    )
