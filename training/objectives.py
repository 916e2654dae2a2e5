"""What a trial of a search is worth: nDCG@10 on the validation fold of what its settings train.

What is the same for all trials, such as the rankers' examples, is made once a process. None of it
sees the test: see `without_test`.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from typing import Any

from catalog.models import EncoderVersion
from ranking.device import one_thread
from ranking.encoder import config_of
from ranking.item_index import ItemIndex
from ranking.loading import bare_state
from ranking.rankers.ensemble import Ranker
from ranking.rankers.gbdt import GbdtConfig, GbdtRanker
from ranking.rankers.network import NetworkConfig
from ranking.types import InteractionLog
from ranking.user_tower import TowerConfig
from training.errors import Diverged
from training.finetune import fit_texts, picks_of, vectors_of
from training.fit import Limits, fit_sources, with_tower
from training.fit_network import NetworkTraining, fit_network, ndcg
from training.fit_ranker import (
    CONFIGS,
    NAMES,
    best_prior,
    examples_of,
    network_config,
    ranker_config,
    watcher,
)
from training.fit_tower import TowerTraining, fit_tower
from training.handle import RunHandle
from training.scoring import FoldRequests, text_scorer, tower_scorer
from training.search_space import Search
from training.splits import Split
from training.text_config import FINETUNING, Finetuning
from training.tuned import changed

Settings = Mapping[str, Any]
Objective = Callable[[RunHandle, str, Settings], float]  # the trial's handle, branch, settings
Usual = list[tuple[str, dict[str, Any]]]  # branch, settings


def objective_of(
    handle: RunHandle,
    search: Search,
    version: EncoderVersion,
    items: ItemIndex,
    log: InteractionLog,
    split: Split,
) -> Objective:
    """Prepare what all trials share; log and split hold nothing of the test.

    Settings under which a training diverges are worth 0.
    """
    if search.what == "ranker":
        measure = _ranker_objective(handle, search, items, log, split)
    elif search.what == "tower":
        measure = _tower_objective(handle, search, items, log, split)
    else:
        measure = _encoder_objective(handle, search, version, items, log, split)

    def worth(trial: RunHandle, branch: str, settings: Settings) -> float:
        try:
            return measure(trial, branch, settings)
        except Diverged:
            return 0.0

    return worth


def usual_settings(search: Search) -> Usual:
    """What a training takes without a search, of each branch that is searched."""
    shape, network = NetworkConfig("dcn", (), (), ()), NetworkTraining()
    tower = asdict(TowerConfig(0, 0)) | asdict(TowerTraining())
    usual: dict[str, list[dict[str, Any]]] = {
        "trees": [asdict(GbdtConfig()) | change for change in CONFIGS.values()],
        "fm": [asdict(shape) | asdict(network)],
        "dcn": [asdict(shape) | asdict(network)],
        "tower": [tower],
        "projection": [asdict(Finetuning()) | asdict(FINETUNING["projection"])],
        "lora": [asdict(Finetuning()) | asdict(FINETUNING["lora"])],
    }
    return [
        (branch.name, {one.name: values[one.name] for one in branch.dimensions})
        for branch in search.branches
        for values in usual[branch.name]
    ]


def _ranker_objective(
    handle: RunHandle, search: Search, items: ItemIndex, log: InteractionLog, split: Split
) -> Objective:
    """The ranker alone, over the candidates of validation requests, as trainings compare them."""
    state = fit_sources(handle, handle.catalog, items, log, split, Limits(search.epochs))
    with one_thread():
        train, valid = examples_of(handle, state, log, split)
    usual = replace(
        ranker_config(state, search.rounds or GbdtConfig.rounds), prior=best_prior(state, valid)
    )

    def measure(trial: RunHandle, branch: str, settings: Settings) -> float:
        with one_thread():
            ranker: Ranker
            if branch == "trees":
                config = changed(usual, settings)
                watch = watcher(trial, branch, 0.0, config.rounds)
                ranker = GbdtRanker.fit(train, valid, NAMES, config, trial.seed, watch)
            else:
                shape, vectors = network_config(state, branch, train)
                training = changed(NetworkTraining(), settings)
                ranker, _ = fit_network(
                    trial, changed(shape, settings), train, valid, NAMES, vectors, training
                )
            return ndcg(ranker, valid)

    return measure


def _tower_objective(
    handle: RunHandle, search: Search, items: ItemIndex, log: InteractionLog, split: Split
) -> Objective:
    """The tower alone, over the whole catalog."""
    bare = bare_state(items, handle.catalog)
    requests = FoldRequests(bare, log, split.valid, handle.seed)
    usual = TowerTraining(epochs=search.epochs)
    shape = TowerConfig(len(items), items.text_vectors.shape[1])

    def measure(trial: RunHandle, branch: str, settings: Settings) -> float:
        training, config = changed(usual, settings), changed(shape, settings)
        tower = fit_tower(trial, items, log, split.tower, split.tower_valid, training, config)
        with one_thread():
            return requests.ndcg(tower_scorer(with_tower(bare, tower)))

    return measure


def _encoder_objective(
    handle: RunHandle,
    search: Search,
    version: EncoderVersion,
    items: ItemIndex,
    log: InteractionLog,
    split: Split,
) -> Objective:
    """The texts of the recent items alone, over the whole catalog."""
    picks = picks_of(handle.catalog, items, log, split)
    config = config_of(version)
    bare = bare_state(items, handle.catalog)
    requests = FoldRequests(bare, log, split.valid, handle.seed)

    def measure(trial: RunHandle, branch: str, settings: Settings) -> float:
        training = changed(FINETUNING[branch], settings)
        if search.steps:
            training = replace(
                training, steps=search.steps, every=min(training.every, search.steps)
            )
        wanted = changed(Finetuning(way=branch), settings)
        network, _ = fit_texts(trial, items, config, picks, wanted, training)
        vectors = vectors_of(network, len(items.text_vectors))
        with one_thread():
            return requests.ndcg(
                text_scorer(replace(bare, items=replace(items, text_vectors=vectors)))
            )

    return measure
