"""Training of the ranker: examples from the folds, rounds by validation, then all of them."""

from dataclasses import replace
from typing import Any

from ranking import features
from ranking.rankers.gbdt import Examples, GbdtConfig, GbdtRanker, OnRound
from ranking.sources import union
from ranking.state import RankingState
from ranking.types import InteractionLog
from training.errors import TrainingFault
from training.handle import RunHandle
from training.negatives import fold_examples
from training.splits import Split

REQUESTS = 14_400  # the ranker's examples, from all folds together
VALIDATION_REQUESTS = 2_000
LEAST_VISITS = 20  # to learn ranking from
LEAST_VALIDATION = 5
NAMES = features.names(union.NAMES)
CONFIGS: tuple[dict[str, Any], ...] = (  # what is tried on validation in place of the usual
    {},
    {"depth": 3, "min_child_weight": 50.0},
    {"depth": 6, "min_child_weight": 100.0},
    {"objective": "binary:logistic", "depth": 3},
)


def fit_ranker(
    handle: RunHandle, state: RankingState, log: InteractionLog, split: Split, rounds: int
) -> GbdtRanker:
    """Trees until the validation nDCG stops rising, then as many on all examples.

    The first trees learn from the folds before validation; the ranker that is kept learns from
    all folds up to where the test begins.
    """
    handle.stage("the ranker's examples", 0.55)
    seed, check = handle.seed, handle.check
    share = REQUESTS // (len(split.train) + len(split.newest))
    old_parts = fold_examples(state, log, split.train, seed, check, share)
    new_parts = fold_examples(state, log, split.newest, seed + 200, check, share)
    (valid_part,) = fold_examples(state, log, [split.valid], seed + 100, check, VALIDATION_REQUESTS)
    train_part = Examples.joined(old_parts)
    if len(train_part.groups) < LEAST_VISITS or len(valid_part.groups) < LEAST_VALIDATION:
        raise TrainingFault(
            f"Only {len(train_part.groups)} visits to learn ranking from and "
            f"{len(valid_part.groups)} to validate it on; {LEAST_VISITS} and {LEAST_VALIDATION} "
            "are needed. Until then the site ranks by the encoder and popularity."
        )
    handle.log(
        f"Ranker: {len(train_part.groups):,} visits with {len(train_part.labels):,} candidates, "
        f"{len(valid_part.groups):,} visits to validate"
    )
    config = _best_config(handle, state, train_part, valid_part, rounds)
    del train_part, valid_part  # large, and so is what comes now
    everything = Examples.joined([*old_parts, *new_parts])
    watch = _watcher(handle, "ranker on everything", 0.82, config.rounds)
    ranker = GbdtRanker.fit(everything, None, NAMES, config, seed, watch)
    handle.log(f"Ranker: grown anew on all {len(everything.groups):,} visits")
    best = sorted(ranker.importance().items(), key=lambda pair: -pair[1])[:10]
    handle.log("Ranker: " + ", ".join(f"{name} {share:.0%}" for name, share in best))
    return ranker


def _best_config(
    handle: RunHandle, state: RankingState, train: Examples, valid: Examples, rounds: int
) -> GbdtConfig:
    """The way of growing trees with the best nDCG@10 on validation, and how many it took."""
    usual = ranker_config(state, rounds)
    quality: dict[GbdtConfig, float] = {}
    for number, change in enumerate(CONFIGS):
        config = replace(usual, **change)
        name = ", ".join(f"{field} {value}" for field, value in change.items()) or "usual"
        watch = _watcher(handle, f"ranker ({name})", 0.7 + 0.03 * number, rounds)
        ranker = GbdtRanker.fit(train, valid, NAMES, config, handle.seed, watch)
        handle.log(f"Ranker ({name}): {ranker.rounds} trees, nDCG@10 {ranker.validation:.4f}")
        quality[replace(config, rounds=ranker.rounds)] = ranker.validation
    return max(quality, key=lambda config: quality[config])


def _watcher(handle: RunHandle, name: str, begin: float, rounds: int) -> OnRound:
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
