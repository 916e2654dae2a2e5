"""Training of the ranker: examples from the folds, rounds by validation, then all of them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ranking import features
from ranking.rankers.ensemble import Ensemble, Ranker, by_rank
from ranking.rankers.examples import Examples
from ranking.rankers.gbdt import GbdtConfig, GbdtRanker, OnRound, Prior
from ranking.rankers.network import NetworkConfig
from ranking.sources import union
from ranking.state import RankingState
from ranking.types import FloatArray, InteractionLog
from training.errors import TrainingFault
from training.fit_filters import fit_near_duplicate
from training.fit_leads import fit_leads
from training.fit_network import NetworkTraining, fit_network, ndcg_of
from training.fit_personal import PersonalTraining, fit_personalizer
from training.handle import RunHandle
from training.negatives import fold_examples
from training.scoring import greedy_shares
from training.splits import Fold, Split
from training.tuned import changed

REQUESTS = 9_600  # the ranker's examples, from all folds together
VALIDATION_REQUESTS = 2_000
LEAST_VISITS = 20  # to learn ranking from
LEAST_VALIDATION = 5
NAMES = features.names(union.NAMES)
CONFIGS: dict[str, dict[str, Any]] = {  # ways of growing trees that are tried on validation
    "usual": {},
    "shallow": {"depth": 3, "min_child_weight": 50.0},
    "pointwise": {"objective": "binary:logistic", "depth": 3, "min_child_weight": 10.0},
}
SELDOM = 0.1  # the quantile of a table's scores that counts as next to nothing
NETWORKS = ("fm", "dcn")


@dataclass(frozen=True)
class RankerLimits:
    """How much is tried; what is found works within it."""

    rounds: int = GbdtConfig.rounds  # trees
    # at most; None: as usual, or as a search found; 0: trees only
    network_epochs: int | None = None
    personal_epochs: int = PersonalTraining.epochs  # 0: no personal model
    # what a search found: settings of trees, and of networks by kind
    trees: Mapping[str, Any] = field(default_factory=dict)
    networks: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


def fit_ranker(
    handle: RunHandle, state: RankingState, log: InteractionLog, split: Split, limits: RankerLimits
) -> RankingState:
    """The state with trees, FM, DCN and the personal model, switched on where it pays.

    Rankers are chosen on validation, then learned anew on all examples.

    What is compared learns from the folds before validation; what is kept learns, in the way that
    was best, from all folds up to where the test begins.
    """
    train, valid = examples_of(handle, state, log, split)
    learned = compare_rankers(handle, state, train, valid, limits)
    del valid  # large, and so is what comes now

    then = state.as_of(log.keep(split.valid.known), split.valid.now)
    then = settled(handle, then, log, split.valid, learned.ensemble)
    if limits.personal_epochs:
        personal = PersonalTraining(epochs=limits.personal_epochs)
        then = fit_personalizer(handle, then, log, split.valid, personal)
    leads, near_duplicate = then.leads, then.near_duplicate
    personalizer, personal_on = then.personalizer, then.personal_on
    del then
    new_parts = fold_examples(
        state, log, split.newest, handle.seed + 200, handle.check, _share(split)
    )
    everything = Examples.joined([train, *new_parts])
    del train, new_parts
    plans, ensemble = learned.plans, learned.ensemble
    members = {name: plans[name](everything) for name, part in ensemble.shares.items() if part > 0}
    handle.log(f"Rankers: learned anew on all {len(everything.groups):,} visits")
    trees = members.get("gbdt")
    if isinstance(trees, GbdtRanker):
        best = sorted(trees.importance().items(), key=lambda pair: -pair[1])[:10]
        handle.log("Trees: " + ", ".join(f"{name} {share:.0%}" for name, share in best))
    known = Ensemble(members, {name: ensemble.shares[name] for name in members})
    return replace(
        state,
        ranker=known,
        leads=leads,
        near_duplicate=near_duplicate,
        personalizer=personalizer,
        personal_on=personal_on,
    )


def settled(
    handle: RunHandle, then: RankingState, log: InteractionLog, fold: Fold, ranker: Ranker
) -> RankingState:
    """`then` with a ranker that has not learned from the fold, and what is chosen on it for that.

    Its leads, and which near-duplicates are dropped.
    """
    handle.stage("the leads", 0.8)
    leads = fit_leads(handle, then, log, fold, ranker)
    then = replace(then, ranker=ranker, leads=leads)
    return replace(then, near_duplicate=fit_near_duplicate(handle, then, log, fold))


def examples_of(
    handle: RunHandle, state: RankingState, log: InteractionLog, split: Split
) -> tuple[Examples, Examples]:
    """What rankers learn from while they are compared, and what they are compared on."""
    handle.stage("the ranker's examples", 0.55)
    seed, check = handle.seed, handle.check
    train = Examples.joined(fold_examples(state, log, split.train, seed, check, _share(split)))
    (valid,) = fold_examples(state, log, [split.valid], seed + 100, check, VALIDATION_REQUESTS)
    _refuse_too_few(train, valid)
    handle.log(
        f"Rankers: {len(train.groups):,} visits with {len(train.labels):,} candidates, "
        f"{len(valid.groups):,} visits to validate"
    )
    return train, valid


def _share(split: Split) -> int:
    return REQUESTS // (len(split.train) + len(split.newest))


def _refuse_too_few(train: Examples, valid: Examples) -> None:
    if len(train.groups) < LEAST_VISITS or len(valid.groups) < LEAST_VALIDATION:
        raise TrainingFault(
            f"Only {len(train.groups)} visits to learn ranking from and "
            f"{len(valid.groups)} to validate it on; {LEAST_VISITS} and {LEAST_VALIDATION} "
            "are needed. Until then the site ranks by the encoder and popularity."
        )


Plan = Callable[[Examples], Ranker]  # learns in the way that was found best


@dataclass(frozen=True)
class Learned:
    """What a comparison of rankers found."""

    ensemble: Ensemble  # learned from the folds before validation
    plans: dict[str, Plan]  # how each is learned best
    trees: GbdtConfig


def compare_rankers(
    handle: RunHandle,
    state: RankingState,
    train: Examples,
    valid: Examples,
    limits: RankerLimits,
) -> Learned:
    """How each ranker is learned best, and their shares of the sum with the best nDCG@10."""
    config, trees = _best_trees(handle, state, train, valid, limits)
    members: dict[str, Ranker] = {"gbdt": trees}

    def grow(examples: Examples) -> Ranker:
        watch = watcher(handle, "trees on everything", 0.82, config.rounds)
        return GbdtRanker.fit(examples, None, NAMES, config, handle.seed, watch)

    plans: dict[str, Plan] = {"gbdt": grow}
    for kind in NETWORKS if limits.network_epochs != 0 else ():
        handle.stage(f"ranker {kind}", 0.78)
        members[kind], plans[kind] = _network(handle, state, kind, train, valid, limits)
    scores = {
        name: [by_rank(member.score(rows)) for rows in valid.requests()]
        for name, member in members.items()
    }
    names = list(members)

    def quality(shares: NDArray[np.float64]) -> float:
        parts = [scores[name] for name in names]
        summed = [
            np.sum([part * one for part, one in zip(shares, each, strict=True)], axis=0)
            for each in zip(*parts, strict=True)
        ]
        return ndcg_of(summed, valid)

    for place, name in enumerate(names):
        handle.log(f"Ranker {name}: nDCG@10 {quality(np.eye(len(names))[place]):.4f}")
    shares = greedy_shares(quality, len(names))
    handle.log(
        "Rankers together: "
        + ", ".join(f"{name} {part:.0%}" for name, part in zip(names, shares, strict=True))
        + f": nDCG@10 {quality(shares):.4f}"
    )
    ensemble = Ensemble(members, dict(zip(names, shares.tolist(), strict=True)))
    return Learned(ensemble, plans, config)


def _network(
    handle: RunHandle,
    state: RankingState,
    kind: str,
    train: Examples,
    valid: Examples,
    limits: RankerLimits,
) -> tuple[Ranker, Plan]:
    """One network as validation left it, and how to train it again."""
    config, vectors = network_config(state, kind, train)
    settings = limits.networks.get(kind, {})
    config = changed(config, settings)
    training = network_training(limits, settings)
    ranker, epochs = fit_network(handle, config, train, valid, NAMES, vectors, training)
    again = replace(training, epochs=max(epochs, 1))

    def train_again(examples: Examples) -> Ranker:
        return fit_network(handle, config, examples, None, NAMES, vectors, again)[0]

    return ranker, train_again


def network_training(limits: RankerLimits, settings: Mapping[str, Any]) -> NetworkTraining:
    """How a network is trained: as a search found, but for no more epochs than are allowed."""
    most = limits.network_epochs
    usual = NetworkTraining() if most is None else NetworkTraining(epochs=most)
    training = changed(usual, settings)
    return training if most is None else replace(training, epochs=min(training.epochs, most))


def network_config(
    state: RankingState, kind: str, train: Examples
) -> tuple[NetworkConfig, FloatArray]:
    """The usual shape of a network, and the vectors of items that it reads. (N, d)"""
    vectors = state.tower_items
    if vectors is None:
        vectors = np.zeros((len(state.items), 0), dtype=np.float32)
    left_out = ranker_config(state).left_out
    types = [code for code in range(8) if (train.types & (1 << code)).any()]
    config = NetworkConfig(
        kind,
        tuple(name for name in NAMES if not name.startswith(left_out)),
        tuple(types),
        tuple(state.event_values[code] for code in types),
        vectors.shape[1] if kind == "dcn" else 0,
    )
    return config, vectors


def _best_trees(
    handle: RunHandle,
    state: RankingState,
    train: Examples,
    valid: Examples,
    limits: RankerLimits,
) -> tuple[GbdtConfig, GbdtRanker]:
    """The way of growing trees with the best nDCG@10 on validation, with its number of trees."""
    rounds = limits.rounds
    usual = replace(ranker_config(state, rounds), prior=best_prior(state, valid))
    ways = CONFIGS | ({"tuned": dict(limits.trees)} if limits.trees else {})
    handle.log(f"Trees: they start from {usual.prior.feature}")
    grown: list[tuple[float, GbdtConfig, GbdtRanker]] = []
    for number, (name, change) in enumerate(ways.items()):
        config = replace(usual, **change)
        watch = watcher(handle, f"trees, {name}", 0.7 + 0.015 * number, rounds)
        ranker = GbdtRanker.fit(train, valid, NAMES, config, handle.seed, watch)
        handle.log(f"Trees, {name}: {ranker.rounds}, nDCG@10 {ranker.validation:.4f}")
        grown.append((ranker.validation, replace(config, rounds=ranker.rounds), ranker))
    _, config, ranker = max(grown, key=lambda one: one[0])
    return config, ranker


def best_prior(state: RankingState, valid: Examples, left_out: tuple[str, ...] = ()) -> Prior:
    """Where people pick again their own counts; else the source that orders candidates best.

    Never a feature whose name begins like one of `left_out`, unless all do.
    """
    if state.repeat_consumption and not Prior().feature.startswith(left_out):
        return Prior()
    names = [f"{name}_score" for name in union.NAMES]
    allowed = [name for name in names if not name.startswith(left_out)] or names
    columns = {name: NAMES.index(name) for name in allowed}
    borders = np.cumsum(valid.groups)[:-1]
    quality = {
        name: ndcg_of(np.split(np.nan_to_num(valid.features[:, place]), borders), valid)
        for name, place in columns.items()
    }
    best = max(quality, key=lambda name: quality[name])
    values = valid.features[:, columns[best]]
    found = values[values > 0]
    return Prior(best, float(np.quantile(found, SELDOM)) if len(found) else Prior().floor)


def watcher(handle: RunHandle, name: str, begin: float, rounds: int) -> OnRound:
    """Reports each round of one fit."""

    def on_round(number: int, ndcg: float | None) -> None:
        handle.check()
        handle.stage(f"{name}, tree {number + 1}", begin + 0.03 * (number + 1) / rounds)
        if ndcg is not None and number % 5 == 0:
            handle.metric(f"{name}/valid_ndcg@10", number, ndcg)

    return on_round


def ranker_config(state: RankingState, rounds: int = GbdtConfig.rounds) -> GbdtConfig:
    """How a catalog's trees grow: where people pick again, without the passing features."""
    return GbdtConfig(rounds=rounds, left_out=features.PASSING if state.repeat_consumption else ())
