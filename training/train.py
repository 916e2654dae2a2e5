"""⑪ – ⑬ A whole training: snapshot → tower → ranker → evaluation → bundle, on one screen."""

import shutil
import time
from dataclasses import asdict, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file
from safetensors.torch import save_model

from ranking import features
from ranking.bundle import BundleMeta, bundle_path, write_bundle
from ranking.covisitation import CoVisitation
from ranking.device import one_thread
from ranking.encoder import load_encoder
from ranking.item_index import ItemIndex
from ranking.popularity import Popularity
from ranking.rankers.gbdt import Examples, GbdtConfig, GbdtRanker
from ranking.repurchase import Repurchase
from ranking.serving import bare_state
from ranking.sources import union
from ranking.state import RankingState
from ranking.types import InteractionLog
from ranking.user_tower import UserTower, all_item_vectors
from training.encode import encode
from training.errors import TrainingFault
from training.evaluation import by_name, evaluate_state, table
from training.fit_tower import TowerTraining, fit_tower
from training.handle import RunHandle
from training.items import catalog_items
from training.negatives import window_examples
from training.snapshot import Snapshot, Split, open_snapshot, read_log, split_by_time, take_snapshot

RANKER_WINDOWS = 8  # from rank_start to valid_start
NEWEST_WINDOWS = 4  # as long, from valid_start to test_start
REQUESTS_A_WINDOW = 1_200  # people drawn for the ranker's examples, a window
VALIDATION_REQUESTS = 2_000
LEAST_VISITS = 20  # to learn ranking from
PARAMETERS = ("epochs", "rounds", "evaluate_people", "promote_if_first")


def train(handle: RunHandle) -> Path:
    """Train a catalog's models and publish them as a bundle; returns its folder.

    Parameters of the run: `epochs`, `rounds` (limits of tower and ranker), `evaluate_people` (at
    most so many in the evaluation); `promote_if_first` is read by training/kinds.py.

    Raises
    ------
    TrainingFault
        An unknown parameter, or too little to learn from.
    """
    _refuse_unknown(handle.parameters)
    with handle.part(0.0, 0.03):
        encode(handle)  # vectors for whatever is new
    handle.stage("snapshot", 0.03)
    snapshot = _snapshot(handle)
    items = catalog_items(handle.catalog)
    log = read_log(snapshot, items, handle.catalog)
    split = split_by_time(log, handle.catalog)
    handle.log(f"{len(log):,} interactions, {len(items):,} items, {split}")
    tower = fit_tower(handle, items, log, split.rank_start, split.valid_start, _tower(handle))
    state = _state(handle, items, tower)
    with one_thread():
        ranker = _fit_ranker(handle, state, log, split)
    state = replace(state, ranker=ranker)
    handle.stage("evaluating", 0.85)
    most = handle.parameters.get("evaluate_people")
    with one_thread():
        result = evaluate_state(state, log, split, handle.check, most, handle.seed)
    for line in table(result):
        handle.log(line)
    handle.stage("writing the bundle", 0.97)
    return _publish(handle, state, log, split, snapshot, by_name(result))


def _refuse_unknown(parameters: dict[str, Any]) -> None:
    """A parameter that nothing reads is a mistake, and is said before hours of training."""
    unknown = sorted(set(parameters) - set(PARAMETERS))
    if unknown:
        raise TrainingFault(
            f"A training has no parameter {', '.join(unknown)}; it has {', '.join(PARAMETERS)}."
        )


def _snapshot(handle: RunHandle) -> Snapshot:
    """The run's snapshot; the one it began with if it is resumed."""
    if digest := handle.run.snapshot_digest:
        return open_snapshot(digest)
    snapshot = take_snapshot(handle.catalog)
    handle.record(snapshot_digest=snapshot.digest)
    return snapshot


def _tower(handle: RunHandle) -> TowerTraining:
    return TowerTraining(epochs=int(handle.parameters.get("epochs", TowerTraining.epochs)))


def _state(handle: RunHandle, items: ItemIndex, tower: UserTower) -> RankingState:
    """The models that the ranker's examples are built with; each window has its own statistics."""
    vectors = all_item_vectors(tower, items.text_vectors, items.text_codes, np.arange(len(items)))
    return replace(bare_state(items, handle.catalog), tower=tower, tower_items=vectors)


def _fit_ranker(
    handle: RunHandle, state: RankingState, log: InteractionLog, split: Split
) -> GbdtRanker:
    """Trees until the validation nDCG stops rising, then as many on all examples.

    The first trees learn from the windows before validation; the ranker that is kept learns from
    all windows up to where the test begins.
    """
    handle.stage("the ranker's examples", 0.55)
    before = np.linspace(split.rank_start, split.valid_start, RANKER_WINDOWS + 1).tolist()
    newest = np.linspace(split.valid_start, split.test_start, NEWEST_WINDOWS + 1).tolist()

    def examples(borders: list[float], most: int, seed: int) -> list[Examples]:
        windows = list(pairwise(borders))
        return window_examples(state, log, windows, seed, handle.check, most)

    old_parts = examples(before, REQUESTS_A_WINDOW, handle.seed)
    new_parts = examples(newest, REQUESTS_A_WINDOW, handle.seed + 200)
    validation = [split.valid_start, split.test_start]
    (valid_part,) = examples(validation, VALIDATION_REQUESTS, handle.seed + 100)
    train_part = Examples.joined(old_parts)
    if len(train_part.groups) < LEAST_VISITS or len(valid_part.groups) < 5:
        raise TrainingFault(
            f"Only {len(train_part.groups)} visits to learn ranking from and "
            f"{len(valid_part.groups)} to validate it on; {LEAST_VISITS} and 5 are needed. Until "
            "then the site ranks by the encoder and popularity."
        )
    handle.log(
        f"Ranker: {len(train_part.groups):,} visits with {len(train_part.labels):,} candidates, "
        f"{len(valid_part.groups):,} visits to validate"
    )
    handle.stage("ranker", 0.7)
    config = ranker_config(state, int(handle.parameters.get("rounds", GbdtConfig.rounds)))

    def on_round(number: int, ndcg: float | None) -> None:
        handle.check()
        begin = 0.7 if ndcg is not None else 0.78
        handle.stage(f"ranker, tree {number + 1}", begin + 0.07 * (number + 1) / config.rounds)
        if ndcg is not None and number % 5 == 0:
            handle.metric("ranker/valid_ndcg@10", number, ndcg)

    names = features.names(union.NAMES)
    ranker = GbdtRanker.fit(train_part, valid_part, names, config, handle.seed, on_round)
    del train_part, valid_part  # large, and so is what comes now
    everything = Examples.joined([*old_parts, *new_parts])
    config = replace(config, rounds=ranker.rounds)
    ranker = GbdtRanker.fit(everything, None, names, config, handle.seed, on_round)
    handle.log(
        f"Ranker: {ranker.rounds} trees, grown anew on all {len(everything.groups):,} visits"
    )
    best = sorted(ranker.importance().items(), key=lambda pair: -pair[1])[:10]
    handle.log("Ranker: " + ", ".join(f"{name} {share:.0%}" for name, share in best))
    return ranker


def ranker_config(state: RankingState, rounds: int) -> GbdtConfig:
    """How a catalog's trees grow: where people pick again, without the passing features."""
    return GbdtConfig(rounds, left_out=features.PASSING if state.repeat_consumption else ())


def _publish(
    handle: RunHandle,
    state: RankingState,
    log: InteractionLog,
    split: Split,
    snapshot: Snapshot,
    metrics: dict[str, Any],
) -> Path:
    """Write the bundle: the weights as evaluated, the tables as of the whole snapshot."""
    assert state.tower is not None
    assert state.ranker is not None
    folder = handle.folder / "bundle"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    covisitation = CoVisitation.fit(log, len(state.items), split.end)
    save_file(
        {
            "item_ids": state.items.ids,
            "popularity": Popularity.fit(log, len(state.items), split.end).counts,
            "repurchase": Repurchase.fit(log, len(state.items), split.end).columns,
            "neighbours": covisitation.neighbours,
            "weights": covisitation.weights,
        },
        folder / "tables.safetensors",
    )
    save_model(state.tower, str(folder / "tower.safetensors"))
    state.ranker.save(folder / "ranker.ubj")
    meta = BundleMeta(
        catalog=handle.catalog.slug,
        encoder_digest=load_encoder().digest,
        dimensions={"items": len(state.items), "vector": state.items.text_vectors.shape[1]},
        snapshot_digest=snapshot.digest,
        parameters={
            **handle.parameters,
            "seed": handle.seed,
            "as_of": split.end,
            "split": asdict(split),
            "tower": asdict(state.tower.config),
            "trained_at": time.time(),
        },
        metrics=metrics,
    )
    return bundle_path(write_bundle(folder, meta))
