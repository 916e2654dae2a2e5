"""⑪ – ⑬ A whole training: snapshot → models → evaluation → bundle, on one screen."""

import shutil
import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save_file
from safetensors.torch import save_model

from catalog.models import Catalog, EncoderVersion
from ranking.bundle import BundleMeta, bundle_path, write_bundle
from ranking.device import one_thread
from ranking.item_index import ItemIndex
from ranking.personalizer import Personalizer
from ranking.rankers.ensemble import Ensemble
from ranking.rankers.gbdt import GbdtRanker
from ranking.rankers.network import NetworkRanker
from ranking.serving import load_state
from ranking.state import RankingState
from ranking.types import InteractionLog
from training.encode import encode
from training.encoders import encoder_of_run, refuse_later_picks, refuse_leak
from training.errors import TrainingFault
from training.evaluation import evaluate_state
from training.fit import Limits, fit_pipeline, with_tuned
from training.fit_ranker import RankerLimits
from training.handle import RunHandle
from training.impressions import read_impressions, with_impressions
from training.rehearsal import UNFIT
from training.report import by_name, table
from training.snapshot import Snapshot, read_log, snapshot_of
from training.splits import Moments, make_split

NUMBERS = ("epochs", "rounds", "network_epochs", "personal_epochs")  # limits
PARAMETERS = (
    *NUMBERS,
    "evaluate_people",
    "promote_if_first",
    "encoder",
    "tuned",
)


def train(handle: RunHandle) -> Path:
    """Train a catalog's models and publish them as a bundle; returns its folder.

    Parameters of the run: `epochs`, `rounds`, `network_epochs`, `personal_epochs` (limits of tower,
    trees, networks and personal model; 0 leaves out the last two), `evaluate_people` (at most so
    many in the evaluation), `encoder` (see `choose_encoder`), `tuned` (the search whose settings
    are taken: see `searches`); `promote_if_first` is read by training/kinds.py.

    Raises
    ------
    TrainingFault
        An unknown parameter, or too little to learn from.
    """
    limits = with_tuned(handle, _limits(handle.parameters))
    encoder = encoder_of_run(handle, str(handle.parameters.get("encoder", "")))
    refuse_leak(encoder, "time")
    with handle.part(0.0, 0.03):
        encode(handle, encoder)  # vectors for whatever is new
    handle.stage("snapshot", 0.03)
    snapshot = snapshot_of(handle)
    items = ItemIndex.load(handle.catalog, encoder)
    log = read_log(snapshot, items, handle.catalog)
    split = with_impressions(
        make_split("time", log, handle.catalog), log, read_impressions(snapshot, items)
    )
    refuse_later_picks(encoder, split.moments)
    handle.log(f"{len(log):,} interactions, {len(items):,} items, {split}")
    state = fit_pipeline(handle, handle.catalog, items, log, split, limits)
    handle.stage("evaluating", 0.85)
    most = handle.parameters.get("evaluate_people")
    with one_thread():
        live = _live(handle, items)
        result = evaluate_state(state, log, split, handle.check, most, handle.seed, live=live)
    for line in table(result):
        handle.log(line)
    handle.stage("writing the bundle", 0.97)
    assert split.moments is not None
    metrics = by_name(result, live.bundle_id if live is not None else "")
    return _publish(handle, encoder, state, log, split.moments, snapshot, metrics)


def _live(handle: RunHandle, items: ItemIndex) -> RankingState | None:
    """The live model over the same rows, to be asked the same requests; None where that fails.

    It never saw the test: that is the newest part of the log, and its own test was no later.
    """
    catalog = Catalog.objects.get(pk=handle.catalog.pk)  # it may have changed since the run began
    if not catalog.live_bundle:
        return None
    try:
        state, _ = load_state(catalog, catalog.live_bundle)
    except UNFIT as fault:
        handle.log(f"Not compared with the live model: {fault}")
        return None
    if not np.array_equal(state.items.ids, items.ids):
        handle.log("Not compared with the live model: items came or went meanwhile.")
        return None
    return state


def _limits(parameters: Mapping[str, Any]) -> Limits:
    """A parameter that nothing reads is a mistake, and is said before hours of training."""
    unknown = sorted(set(parameters) - set(PARAMETERS))
    if unknown:
        raise TrainingFault(
            f"A training has no parameter {', '.join(unknown)}; it has {', '.join(PARAMETERS)}."
        )
    numbers = {name: int(parameters[name]) for name in NUMBERS if name in parameters}
    usual = RankerLimits()
    ranker = RankerLimits(
        numbers.get("rounds", usual.rounds),
        numbers.get("network_epochs", usual.network_epochs),
        numbers.get("personal_epochs", usual.personal_epochs),
    )
    return Limits(numbers.get("epochs"), ranker)


def _publish(
    handle: RunHandle,
    encoder: EncoderVersion,
    state: RankingState,
    log: InteractionLog,
    moments: Moments,
    snapshot: Snapshot,
    metrics: dict[str, Any],
) -> Path:
    """Write the bundle: the weights as evaluated, the tables as of the whole snapshot."""
    assert state.tower is not None
    assert isinstance(state.ranker, Ensemble)
    folder = handle.folder / "bundle"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    newest = state.as_of(log, moments.end)
    save_file(_tables(newest), folder / "tables.safetensors")
    save_model(state.tower, str(folder / "tower.safetensors"))
    rankers = _save_rankers(state.ranker, folder)
    meta = BundleMeta(
        catalog=handle.catalog.slug,
        encoder_digest=encoder.digest,
        dimensions={"items": len(state.items), "vector": state.items.text_vectors.shape[1]},
        snapshot_digest=snapshot.digest,
        parameters={
            **handle.parameters,
            "seed": handle.seed,
            "as_of": moments.end,
            "split": asdict(moments),
            "tower": asdict(state.tower.config),
            "recipes": {name: asdict(recipe) for name, recipe in state.recipes.items()},
            "rankers": rankers,
            "personalizer": _save_personalizer(state.personalizer, folder),
            "personal_on": state.personal_on,
            "leads": state.leads.told(),
            "traits": asdict(newest.affinity.traits),
            "near_duplicate": state.near_duplicate,
            "trained_at": time.time(),
        },
        metrics=metrics,
    )
    return bundle_path(write_bundle(folder, meta))


def _save_rankers(ensemble: Ensemble, folder: Path) -> dict[str, Any]:
    """Write each ranker's file; what is needed to read them again goes into meta.json."""
    networks = {}
    for name, member in ensemble.members.items():
        if isinstance(member, GbdtRanker):
            member.save(folder / "ranker.ubj")
        elif isinstance(member, NetworkRanker):
            member.save(folder / f"{name}.safetensors")
            networks[name] = asdict(member.network.config)
    return {"shares": dict(ensemble.shares), "networks": networks}


def _save_personalizer(personalizer: Personalizer | None, folder: Path) -> dict[str, Any] | None:
    """Write the personal model, if there is one; its configuration goes into meta.json."""
    if personalizer is None:
        return None
    personalizer.save(folder / "personalizer.safetensors")
    return asdict(personalizer.network.config)


def _tables(state: RankingState) -> dict[str, NDArray[Any]]:
    """What is counted from the log, by name; rows are the state's items."""
    tables: dict[str, NDArray[Any]] = {
        "item_ids": state.items.ids,
        "popularity": state.popularity.counts,
        "first_visit_counts": state.popularity.first_visit_counts,
        "first": state.popularity.first,
        "repurchase": state.repurchase.columns,
        "offer_response": state.response.columns,
        "affinity": state.affinity.table,
        "mean_affinity": state.affinity.mean,
    }
    if state.personalizer is not None:
        tables["words"] = state.personalizer.words
    for name, found in state.neighbours.items():
        tables[f"{name}.rows"] = found.rows
        tables[f"{name}.weights"] = found.weights
    return tables
