"""⑬ What each part is worth: the pipeline without one source, feature group, ranker or stage.

All of it happens before the test: models learn from the folds that come before validation, and are
measured on the validation fold, so that what is taken out because of it was not chosen by the test.
A source or a feature group is taken from the trees by growing them without it.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ranking.affinity import Affinity
from ranking.device import one_thread
from ranking.features import LEVELS
from ranking.filters import allowed_items
from ranking.pipeline import NEAR_DUPLICATES
from ranking.rankers.blend import LEADS
from ranking.rankers.ensemble import Ensemble
from ranking.rankers.examples import Examples
from ranking.rankers.gbdt import GbdtConfig, GbdtRanker
from ranking.rerank import DIVERSITY
from ranking.sources import union
from ranking.sources.union import retrieve
from ranking.state import RankingState
from ranking.types import FloatArray, IntArray, InteractionLog, Query
from training.fit_ranker import (
    NAMES,
    RankerLimits,
    best_prior,
    compare_rankers,
    examples_of,
    settled,
)
from training.handle import RunHandle
from training.report import with_interval
from training.scoring import slate_ndcg
from training.splits import QUERY, PastRequest, Split, context_of, drawn

PEOPLE = 2_000  # requests of the validation fold, at most
SLATE = 100
GROUPS: dict[str, tuple[str, ...]] = {  # feature group → how the names of its features begin
    "the item in the history": ("item_", "in_last_session"),
    "category, department, brand": ("category_", "department_", "brand_"),
    "popularity": ("popularity_",),
    "repurchase": ("repurchase_",),
    "offers": ("offers_", "offer_share", "response_", *(f"{each}_on_offer" for each in LEVELS)),
    "text similarity": ("similarity_",),
    "price and age": ("log_price", "price_gap", "age_days"),
    "rhythm": ("session_", "days_since_session", "history_length", "repeat_rate"),
    "hour and weekday": ("hour", "weekday"),
    "ranks of sources": tuple(f"{name}_rank" for name in union.NAMES),
    "scores of sources": tuple(f"{name}_score" for name in union.NAMES),
}


def source_recall(
    handle: RunHandle, state: RankingState, log: InteractionLog, requests: list[PastRequest]
) -> list[dict[str, Any]]:
    """Of each source: its quota, the share of picked items in it, and of those in no other."""
    found, alone, total = np.zeros(len(union.NAMES)), np.zeros(len(union.NAMES)), 0
    for request in requests:
        handle.check()
        context = context_of(log, request)
        allowed, _ = allowed_items(state, context, QUERY)
        candidates = retrieve(state, context, QUERY, allowed)
        picked = np.isin(candidates.rows, request.picked)
        here = ~np.isnan(candidates.source_ranks[picked])  # (P, S)
        found += here.sum(axis=0)
        alone += (here & (here.sum(axis=1, keepdims=True) == 1)).sum(axis=0)
        total += len(request.picked)
    return [
        {
            "kind": "recall",
            "name": name,
            "quota": union.SOURCES[name][1],
            "recall": float(found[place] / max(total, 1)),
            "alone": float(alone[place] / max(total, 1)),
        }
        for place, name in enumerate(union.NAMES)
    ]


@dataclass(frozen=True)
class Part:
    """One thing that is taken away, and what is left."""

    kind: str  # source, features, ranker or stage; nothing: what chance alone does
    name: str  # several sources with commas between
    state: RankingState
    of_trees: bool  # compared with the trees alone, not with all rankers together
    query: Query


def ablate(
    handle: RunHandle,
    state: RankingState,
    log: InteractionLog,
    split: Split,
    limits: RankerLimits,
) -> list[dict[str, Any]]:
    """A row a source with its recall; then a row a part: nDCG@10 with and without it, paired.

    The last ones: without the two sources that are worth least, the three, and so on, as long as
    that does not surely cost: several may find the same items.
    """
    with one_thread():
        train, valid = examples_of(handle, state, log, split)
        learned = compare_rankers(handle, state, train, valid, limits)
        then = state.as_of(log.keep(split.valid.known), split.valid.now)
        whole = settled(handle, then, log, split.valid, learned.ensemble)
        trees = learned.ensemble.members["gbdt"]
        alone = replace(whole, ranker=Ensemble({"gbdt": trees}, {"gbdt": 1.0}))
        requests = drawn(split.valid.requests, PEOPLE, handle.seed)
        usual = replace(QUERY, size=SLATE)
        people = np.array([request.user_id for request in requests], dtype=np.int64)
        bases = [slate_ndcg(each, log, requests, usual, handle.check) for each in (whole, alone)]
        rows = source_recall(handle, whole, log, requests)
        for row in rows:
            handle.log(told(row))

        def measure(part: Part) -> None:
            handle.stage(f"without {part.name}", 0.9)
            less = slate_ndcg(part.state, log, requests, part.query, handle.check)
            rows.append(_row(part, bases[part.of_trees], less, people))
            handle.log(told(rows[-1]))
            if part.kind == "nothing":  # what follows is compared with the mean of both seeds
                bases[part.of_trees] = (bases[part.of_trees] + less) / 2

        ablation = Ablation(handle, whole, alone, learned.trees, train, valid, usual)
        for part in ablation.single():
            measure(part)
        weak = sorted(filter(_is_weak, rows), key=lambda row: row["worth"]["value"])
        names = tuple(row["name"] for row in weak)
        for count in range(2, len(names) + 1):
            measure(ablation.sources(names[:count]))
            if not _is_weak(rows[-1]):
                break
    return rows


def _is_weak(row: dict[str, Any]) -> bool:
    """Whether it is a source, or several, that are not surely worth anything."""
    return bool(row["kind"] == "source" and row["worth"]["low"] <= 0)


@dataclass(frozen=True)
class Ablation:
    """What can be taken away, from whom, and what trees are grown anew with."""

    handle: RunHandle
    whole: RankingState
    alone: RankingState  # the same with trees alone
    config: GbdtConfig
    train: Examples
    valid: Examples
    usual: Query

    def single(self) -> Iterator[Part]:
        """One thing at a time; what cannot tell candidates apart here is passed over."""
        yield Part("nothing", "another seed", self._regrown(seed=1), True, self.usual)
        for stage in (DIVERSITY, NEAR_DUPLICATES, LEADS):
            query = replace(self.usual, without=(stage,))
            yield Part("stage", stage, self.whole, False, query)
        if (traits := self.whole.affinity.traits).pairs:
            silent = Affinity.unknown(len(self.whole.items), traits)
            nobody = replace(self.whole, affinity=silent)
            yield Part("stage", "traits of newcomers", nobody, False, self.usual)
        assert isinstance(self.whole.ranker, Ensemble)
        members, shares = self.whole.ranker.members, self.whole.ranker.shares
        for name, share in shares.items():
            if 0 < share < 1:
                rest = {other: part for other, part in shares.items() if other != name}
                less = replace(self.whole, ranker=Ensemble(members, rest))
                yield Part("ranker", name, less, False, self.usual)
        told = tuple(NAMES[place] for place in tells_apart(self.train.features))
        for name in union.NAMES:
            if any(each.startswith(_columns(name)) for each in told):
                yield self.sources((name,))
        for name, begins in GROUPS.items():
            if any(each.startswith(begins) for each in told):
                yield Part("features", name, self._regrown(*begins), True, self.usual)

    def sources(self, names: tuple[str, ...]) -> Part:
        """These sources, and what the features say of them."""
        columns = tuple(column for name in names for column in _columns(name))
        query = replace(self.usual, without=names)
        return Part("source", ", ".join(names), self._regrown(*columns), True, query)

    def _regrown(self, *left_out: str, seed: int = 0) -> RankingState:
        """The trees, grown without these features; `seed` is added to the run's."""
        less = replace(self.config, left_out=(*self.config.left_out, *left_out))
        if self.config.prior.feature.startswith(left_out):
            less = replace(less, prior=best_prior(self.whole, self.valid, left_out))
        seed += self.handle.seed
        ranker = GbdtRanker.fit(self.train, None, NAMES, less, seed, lambda *_: self.handle.check())
        return replace(self.alone, ranker=Ensemble({"gbdt": ranker}, {"gbdt": 1.0}))


def _columns(source: str) -> tuple[str, str]:
    return (f"{source}_score", f"{source}_rank")


def tells_apart(features: FloatArray) -> IntArray:
    """The columns in which not all rows are the same. (M, F) → (C,)"""
    low, high = np.fmin.reduce(features), np.fmax.reduce(features)  # NaN only where all are
    return np.flatnonzero((low < high) | (np.isnan(features).any(axis=0) & ~np.isnan(low)))


def _row(
    part: Part, base: NDArray[np.float64], less: NDArray[np.float64], people: IntArray
) -> dict[str, Any]:
    """What nDCG@10 of these requests is with the part and without it, by whom. (R,)"""
    return {
        "kind": part.kind,
        "name": part.name,
        "with": float(base.mean()),
        "without": float(less.mean()),
        "worth": with_interval(base - less, people),
    }


def told(row: dict[str, Any]) -> str:
    """A row of the table as text."""
    if row["kind"] == "recall":
        return (
            f"recall    {row['name']:28} {row['recall']:.4f} at {row['quota']}, "
            f"{row['alone']:.4f} found by no other source"
        )
    worth = row["worth"]
    return (
        f"{row['kind']:9} {row['name']:28} {row['with']:.4f} → {row['without']:.4f}   "
        f"worth {worth['value']:+.4f} [{worth['low']:+.4f}, {worth['high']:+.4f}]"
    )
