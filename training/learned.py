"""What a training of an encoder ends with: a registered version, and what it does downstream."""

import shutil
from collections.abc import Mapping
from dataclasses import asdict, fields, replace
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from catalog.models import EncoderVersion
from ranking.encoder import publish_encoder
from ranking.encoder_files import EncoderConfig
from ranking.item_index import ItemIndex
from ranking.loading import bare_state
from ranking.text_model import TextModel, load_tokenizer, save_text_model
from ranking.types import IntArray
from training.checkpoint import Standing
from training.encode import encode
from training.errors import TrainingFault
from training.handle import RunHandle
from training.report import with_interval
from training.scoring import FoldRequests, text_scorer
from training.snapshot import read_log, snapshot_of
from training.splits import make_split
from training.text_config import TextTraining

Wanted = TypeVar("Wanted")
TOLD = ("encoder", "split")  # parameters of every run that trains an encoder


def from_parameters(
    parameters: Mapping[str, Any], wanted: Wanted, training: TextTraining
) -> tuple[Wanted, TextTraining, dict[str, str]]:
    """What the run's parameters change about these two, and those that every such run has.

    Raises
    ------
    TrainingFault
        A parameter that nothing reads, or a value of the wrong kind.
    """
    parts: list[dict[str, Any]] = [{}, {}, {}]
    known = [set(asdict(wanted)), set(asdict(training)), set(TOLD)]  # type: ignore[call-overload]
    for name, value in parameters.items():
        places = [place for place, names in enumerate(known) if name in names]
        if not places:
            names = ", ".join(sorted(set().union(*known)))
            raise TrainingFault(f"There is no parameter {name}; there are {names}.")
        parts[places[0]][name] = value
    try:
        return (
            replace(wanted, **_cast(wanted, parts[0])),  # type: ignore[type-var]
            replace(training, **_cast(training, parts[1])),
            {name: str(value) for name, value in parts[2].items()},
        )
    except ValueError as fault:
        raise TrainingFault(f"A parameter has a value of the wrong kind: {fault}.") from None


def _cast(usual: Any, changes: dict[str, Any]) -> dict[str, Any]:
    """Values as the fields' own kinds."""
    kinds = {one.name: type(getattr(usual, one.name)) for one in fields(usual)}
    return {name: kinds[name](value) for name, value in changes.items()}


def tokens_within(handle: RunHandle, asked: int, config: EncoderConfig) -> int:
    """How many tokens of a text are read while training: no more than the encoder can read."""
    if asked > config.max_tokens:
        handle.log(f"max_tokens is {config.max_tokens}, the most that the encoder reads.")
    return min(asked, config.max_tokens)


def better_than_before(handle: RunHandle, standing: Standing) -> bool:
    """Whether anything was learned; says so in the log where nothing was."""
    if standing.best_at == 0:
        handle.log(
            "On held-out data nothing was better than the encoder as it was before, so none is "
            "registered. Try another learning rate, or wait for more data."
        )
    return standing.best_at > 0


def publish_and_measure(
    handle: RunHandle,
    model: TextModel,
    config: EncoderConfig,
    parent: EncoderVersion,
    way: str,
    facts: dict[str, Any],
    told: dict[str, str],
) -> EncoderVersion:
    """Register what was learned, encode the items with it, and measure both encoders.

    Downstream is what people pick next, found by the texts of their recent items alone, on the
    validation fold.
    """
    handle.stage("registering the encoder", 0.8)
    folder = handle.folder / "encoder"
    shutil.rmtree(folder, ignore_errors=True)
    save_text_model(model, load_tokenizer(config), config, folder)
    version = publish_encoder(folder, handle.catalog, parent, way, facts)
    handle.record(encoder=version.digest)
    handle.log(f"Registered {version}.")
    with handle.part(0.8, 0.95):
        for one in (parent, version):
            encode(handle, one)
    split = told.get("split", "time")
    try:
        (before, people), (after, _) = (text_ndcg(handle, one, split) for one in (parent, version))
    except TrainingFault as fault:
        handle.log(f"What it does downstream cannot be said yet: {fault}")
        return version
    gain = with_interval(after - before, people)
    handle.log(
        f"By text alone, split {split}, {len(after):,} requests to validate: nDCG@10 "
        f"{before.mean():.4f} → {after.mean():.4f}, {gain['value']:+.4f} "
        f"[{gain['low']:+.4f}, {gain['high']:+.4f}]"
    )
    version.metrics |= {
        "split": split,
        "text_ndcg@10": {"before": float(before.mean()), "after": float(after.mean())},
        "gain": gain,
    }
    version.save(update_fields=["metrics"])
    return version


def text_ndcg(
    handle: RunHandle, version: EncoderVersion, split_name: str
) -> tuple[NDArray[np.float64], IntArray]:
    """nDCG@10 of each request of the validation fold by the texts alone, and who asked. (R,)"""
    trial = text_trial(handle, ItemIndex.load(handle.catalog, version), split_name)
    return trial.each(text_scorer(trial.state)), trial.people


def text_trial(handle: RunHandle, items: ItemIndex, split_name: str) -> FoldRequests:
    """The requests of the validation fold, over items that no model ranks."""
    catalog = handle.catalog
    log = read_log(snapshot_of(handle), items, catalog)
    fold = make_split(split_name, log, catalog).valid
    return FoldRequests(bare_state(items, catalog), log, fold, handle.seed)
