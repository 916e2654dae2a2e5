"""Encoders made smaller for a CPU: other number formats and fewer layers, each measured.

The forms are made in training/variants.py. The fastest that keeps what the encoder is worth (see
`Measured.keeps`) becomes the one that the next model is trained with on a CPU: `choose_encoder`.
"""

import json
import statistics
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from django.utils import timezone

from catalog.models import EncoderVersion
from ranking.device import best_device, one_thread
from ranking.encoder import Encoder, config_of, publish_encoder
from ranking.encoder_files import EncoderConfig, weight_bytes
from ranking.errors import RankingFault
from ranking.item_index import ItemIndex
from ranking.text_model import folder_of, load_tokenizer
from ranking.types import FloatArray
from training.checkpoint import ANEW, fingerprint
from training.encode import encode
from training.encoders import encoder_of_run, original_of, refuse_leak
from training.errors import TrainingFault
from training.handle import RunHandle
from training.learned import text_trial
from training.registry import quantised
from training.report import with_interval
from training.scoring import FoldRequests, text_scorer
from training.variants import VARIANTS, NotExportable, Variant, make
from training.words import texts_of

MOST_LOSS = 0.005  # of nDCG@10, relative
CLOSE = 0.95  # cosine to fp32 that is needed: search reads the vectors, too, without feedback
SAME = 0.999  # cosine that is needed where requests are too few to tell what is lost
QUERY_TOKENS, QUERIES = 12, 100  # tokens of a query, its two special ones too; queries timed
AT_ONCE = 512  # texts read between two looks whether the run has to stop
PARAMETERS = ("encoder", "split")


@dataclass(frozen=True)
class Measured:
    """What a variant costs and is worth; a row of the table."""

    name: str
    query_ms: float  # median of one query, one thread, tokenising included
    texts_per_second: float  # of the catalog's own texts, with the run's threads
    megabytes: float  # of its weights on the disk
    cosine: float  # to fp32, mean over the texts
    ndcg: list[float]  # nDCG@10 by text alone of each request; [] where there is no feedback
    people: list[int]  # who asked each

    @property
    def mean_ndcg(self) -> float:
        return float(np.mean(self.ndcg)) if self.ndcg else 0.0

    def loss(self, full: "Measured") -> float:
        """Relative loss of nDCG@10 against the full encoder; negative = better."""
        return 1.0 - self.mean_ndcg / max(full.mean_ndcg, 1e-9)

    def interval(self, full: "Measured") -> tuple[float, float]:
        """95 % interval of the relative change, over the people whose requests both answered."""
        gain, mean = self.gain(full), max(full.mean_ndcg, 1e-9)
        return gain["low"] / mean, gain["high"] / mean

    def gain(self, full: "Measured") -> dict[str, float]:
        """The change of nDCG@10 with its 95 % interval."""
        return with_interval(np.array(self.ndcg) - np.array(full.ndcg), np.array(self.people))

    def tells(self, full: "Measured") -> bool:
        """Whether the requests are enough to tell a loss of MOST_LOSS."""
        low, high = self.interval(full)
        return high - low <= 2 * MOST_LOSS

    def keeps(self, full: "Measured") -> bool:
        """Whether it stays close and loses less than MOST_LOSS.

        Chance hides a loss as well as it feigns one: where it may, only next to the same will do.
        """
        needed = CLOSE if self.tells(full) else SAME
        return self.cosine >= needed and self.loss(full) < MOST_LOSS

    def row(self, full: "Measured") -> dict[str, Any]:
        """What is kept of it with an encoder."""
        told = asdict(self) | {"ndcg": self.mean_ndcg, "loss_percent": 100 * self.loss(full)}
        del told["people"]
        return told


def quantize(handle: RunHandle) -> None:
    """Make the variants of an encoder, measure each, register the best for a CPU.

    Parameters of the run: `encoder` (see `choose_encoder`; of a quantised one, its original) and
    `split`, on whose validation fold they are measured. A run that was killed goes on behind the
    variants that it has measured.

    Raises
    ------
    TrainingFault
        An unknown parameter, no CPU, or an encoder that knows what this split asks for.
    """
    unknown = sorted(set(handle.parameters) - set(PARAMETERS))
    if unknown:
        raise TrainingFault(
            f"There is no parameter {', '.join(unknown)}; there are {', '.join(PARAMETERS)}."
        )
    if best_device().type != "cpu":
        raise TrainingFault("What a CPU takes is measured on one: start with RECSITE_DEVICE=cpu.")
    told = {name: str(value) for name, value in handle.parameters.items()}
    split = told.get("split", "time")
    parent = original_of(encoder_of_run(handle, told.get("encoder", "")))
    refuse_leak(parent, split)
    with handle.part(0.0, 0.1):
        encode(handle, parent)
    found = _measure_all(handle, parent, split)
    for line in table(found):
        handle.log(line)
    if too_few := unsure(found):
        handle.log(too_few)
    best = fastest(found)
    if best is None:
        handle.log(_why_none(handle, parent, found))
        return
    handle.stage("registering the encoder", 0.85)
    facts = _facts(found, best, split)
    folder = _folder(handle, best.name)
    version = publish_encoder(folder, handle.catalog, parent, best.name, facts)
    version.metrics, version.created_at = facts, timezone.now()  # the same weights may come again
    version.save(update_fields=["metrics", "created_at"])
    handle.record(encoder=version.digest)
    handle.log(f"Registered {version}: on a CPU, the next training uses it.")
    with handle.part(0.85, 1.0):
        encode(handle, version)


def _why_none(handle: RunHandle, parent: EncoderVersion, found: list[Measured]) -> str:
    """A sentence for the log, and what the next training uses instead."""
    earlier = quantised(parent, handle.catalog)
    stays = f" {earlier}, of an earlier run, stays the one for a CPU." if earlier else ""
    if not found[0].ndcg:
        return f"There is no feedback yet to tell what each loses, so none is registered.{stays}"
    return (
        f"None is faster, close (cosine {CLOSE}, or {SAME} where requests are few) and loses "
        f"less than {MOST_LOSS:.1%} of nDCG@10, so none is registered.{stays}"
    )


def fastest(found: list[Measured]) -> Measured | None:
    """The fastest for a query of those that keep what the encoder is worth.

    None if that is the encoder as it is, or nothing shows what is lost.
    """
    full = found[0]
    if not full.ndcg:
        return None
    good = [one for one in found if one.keeps(full)]
    best = min(good, key=lambda one: one.query_ms)
    return None if best is full else best


def unsure(found: list[Measured]) -> str:
    """A sentence for the log where the requests are too few to tell a loss of MOST_LOSS."""
    full = found[0]
    if not full.ndcg:
        return ""
    close = [one for one in found if one.cosine >= CLOSE and not one.tells(full)]
    wide = {one.name: one.interval(full) for one in close}
    if not wide:
        return ""
    told = ", ".join(f"{name} ± {(high - low) / 2:.1%}" for name, (low, high) in wide.items())
    return (
        f"{len(full.ndcg):,} requests of {len(set(full.people)):,} people are too few to tell a "
        f"loss of {MOST_LOSS:.1%}: {told}. So it takes a cosine of {SAME} as well."
    )


def table(found: list[Measured]) -> list[str]:
    """The variants side by side, a line each, as Markdown."""
    lines = [
        "| variant | nDCG@10 by text | change | 95 % interval | cosine | query ms | texts/s | MB |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for one in found:
        ndcg = change = interval = "–"
        if one.ndcg:
            ndcg, change = f"{one.mean_ndcg:.4f}", f"{0.0 - one.loss(found[0]):+.2%}"
            low, high = one.interval(found[0])
            interval = f"{low:+.2%} … {high:+.2%}"
        lines.append(
            f"| {one.name} | {ndcg} | {change} | {interval} | {one.cosine:.4f} "
            f"| {one.query_ms:.2f} | {one.texts_per_second:,.0f} | {one.megabytes:.1f} |"
        )
    return lines


def _facts(found: list[Measured], best: Measured, split: str) -> dict[str, Any]:
    """The table, and the loss with its interval, for the registry."""
    full = found[0]
    return {
        "split": split,
        "variants": [one.row(full) for one in found],
        "text_ndcg@10": {"before": full.mean_ndcg, "after": best.mean_ndcg},
        "gain": best.gain(full),
    }


def _measure_all(handle: RunHandle, parent: EncoderVersion, split: str) -> list[Measured]:
    """Each variant that can be made, measured; those of before a kill are read."""
    items = ItemIndex.load(handle.catalog, parent)
    texts = texts_of(items)
    trial: FoldRequests | None = None
    try:
        trial = text_trial(handle, items, split)
    except TrainingFault as fault:
        handle.log(f"What each loses cannot be said yet: {fault}")
    config = replace(config_of(parent), owner=handle.catalog.slug)
    kept = handle.folder / "measured.json"
    made_for = fingerprint(parent.digest, split, items.ids, texts)
    done = {one["name"]: Measured(**one) for one in _read(kept, made_for)}
    if done:
        handle.log(f"Resumed after {', '.join(done)}.")
    elif kept.exists():
        handle.log(ANEW)
    for place, variant in enumerate(VARIANTS):
        handle.check()
        handle.stage(variant.name, 0.1 + 0.75 * place / len(VARIANTS))
        if variant.name in done:
            continue
        try:
            made = make(config, variant, _folder(handle, variant.name))
            done[variant.name] = _measured(handle, variant, made, texts, trial)
        except (RankingFault, NotExportable) as fault:
            if variant is VARIANTS[0]:
                raise
            handle.log(f"Without {variant.name}: {fault}")
            continue
        staging = kept.with_suffix(".new")
        found = [asdict(one) for one in done.values()]
        staging.write_text(json.dumps({"made_for": made_for, "variants": found}))
        staging.rename(kept)
    return list(done.values())


def _read(path: Path, made_for: str) -> list[dict[str, Any]]:
    """What was measured of the same texts and encoder."""
    told = json.loads(path.read_text()) if path.exists() else {}
    found: list[dict[str, Any]] = told["variants"] if told.get("made_for") == made_for else []
    return found


def _folder(handle: RunHandle, name: str) -> Path:
    return handle.folder / name.replace(" ", "-").replace("/", "of")


def _measured(
    handle: RunHandle,
    variant: Variant,
    config: EncoderConfig,
    texts: list[str],
    trial: FoldRequests | None,
) -> Measured:
    """Load a variant, read all texts with it, and see what that took and is worth."""
    encoder = Encoder(config)
    began = time.perf_counter()
    vectors = _vectors(handle, encoder, texts)
    seconds = time.perf_counter() - began
    kept = handle.folder / "fp32.npy"
    if variant is VARIANTS[0]:
        np.save(kept, vectors)
    ndcg: list[float] = []
    people: list[int] = []
    if trial is not None:
        items = replace(trial.state.items, text_vectors=vectors)
        ndcg = trial.each(text_scorer(replace(trial.state, items=items))).tolist()
        people = trial.people.tolist()
    return Measured(
        variant.name,
        query_ms(config, texts),
        len(texts) / max(seconds, 1e-9),
        weight_bytes(folder_of(config)) / 1e6,
        float((np.load(kept) * vectors).sum(axis=1).mean()),
        ndcg,
        people,
    )


def _vectors(handle: RunHandle, encoder: Encoder, texts: list[str]) -> FloatArray:
    """The vectors of all texts. (U, D)"""
    parts = []
    for start in range(0, len(texts), AT_ONCE):
        handle.check()
        parts.append(encoder.encode_items(texts[start : start + AT_ONCE]))
    return np.concatenate(parts)


def query_ms(config: EncoderConfig, texts: list[str]) -> float:
    """Median time of one query of QUERY_TOKENS tokens, tokenising included, one thread."""
    tokenizer = load_tokenizer(config)
    tokens = tokenizer(" ".join(texts[:500]), add_special_tokens=False)["input_ids"]
    size = QUERY_TOKENS - 2
    starts = range(0, max(len(tokens) - size, 1), size)
    queries = [str(tokenizer.decode(tokens[start : start + size])) for start in starts][:QUERIES]
    took = []  # seconds
    with one_thread():
        encoder = Encoder(config)  # loaded anew: ONNX Runtime fixes its threads when it loads
        for query in queries[:5]:
            encoder.encode_query(query)
        for query in queries:
            began = time.perf_counter()
            encoder.encode_query(query)
            took.append(time.perf_counter() - began)
    return 1e3 * statistics.median(took)
