"""⑫ Fine-tuning of the encoder from the feedback: the texts of a history against the next one's.

A history is read as the source `similar` reads it: the sum of its last items' vectors, the newest
weighing most. Of the texts of a batch, some of them hard to tell from it, the target should fit
best. The loss is a sampled softmax, corrected for how often popular items come up (Yi et al. 2019,
RecSys). Three ways: all weights (full), low-rank additions (LoRA: Hu et al. 2021,
arXiv:2106.09685), or a projection of vectors that stay as they are.
"""

from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from peft import LoraConfig, PeftModel, get_peft_model
from torch import Tensor, nn
from torch.nn.functional import embedding

from catalog.models import Catalog
from ranking.device import best_device
from ranking.encoder import config_of, pad
from ranking.encoder_files import EncoderConfig
from ranking.item_index import ItemIndex
from ranking.sources.similar import FADING, MOST
from ranking.text_model import TextModel, load_text_model, load_tokenizer
from ranking.types import FloatArray, IntArray, InteractionLog
from training.checkpoint import Standing, fingerprint
from training.encode import encode
from training.encoders import LEARNED_UNTIL, refuse_later_picks, refuse_leak, start_of_training
from training.errors import TrainingFault
from training.handle import RunHandle
from training.learned import (
    better_than_before,
    from_parameters,
    publish_and_measure,
    tokens_within,
)
from training.losses import sampled_softmax
from training.snapshot import read_log, snapshot_of
from training.splits import BoolArray, Split, make_split
from training.text_config import FINETUNING, Finetuning, TextTraining
from training.text_training import learn, mixed_precision, places_of, refuse_too_large, thinned
from training.tuned import best_of, found_by, in_words
from training.validation import ndcg_of_targets
from training.words import texts_of

LEAST_PICKS = 200  # with a history, to learn from
ASKED = 1_000  # picks of the validation, each ranked among all texts or MOST_TEXTS of them
MOST_TEXTS = 4_000
NEAR = 50  # hard negatives are drawn from that many nearest texts


@dataclass(frozen=True)
class Picks:
    """What people picked, as rows of `ItemIndex.text_vectors`; some of it is asked for."""

    texts: IntArray  # (S,) people one after another
    starts: IntArray  # (S,) where this person's begin
    asked: IntArray  # (P,) places in `texts` of picks that another text came before

    @classmethod
    def of(
        cls, log: InteractionLog, codes: IntArray, known: BoolArray, asked: BoolArray
    ) -> "Picks":
        """What is `known` of a log, of which `asked` are targets; codes is each item's text.

        Masks are over the log (M,), codes over the items (N,).
        """
        places = np.flatnonzero(known & (log.weights > 0))
        users = log.users[places]
        starts = np.searchsorted(users, users)
        texts = codes[log.rows[places]]
        other = texts != texts[starts]  # (S,) than this person's first
        others = np.cumsum(other)  # so far; other[starts] is False
        wanted = np.flatnonzero(asked[places] & (other | (others > others[starts])))
        return cls(texts, starts, wanted)

    def __len__(self) -> int:
        return len(self.asked)

    def histories(self, places: IntArray, size: int) -> IntArray:
        """The last distinct texts before these of the asked, newest first; −1 fills. (B, size)"""
        found = np.full((len(places), size), -1, dtype=np.int64)
        for row, stop in enumerate(self.asked[places].tolist()):
            begin = max(int(self.starts[stop]), stop - 4 * size)
            before = self.texts[begin:stop][::-1]
            before = before[before != self.texts[stop]]
            _, first = np.unique(before, return_index=True)
            distinct = before[np.sort(first)[:size]]
            found[row, : len(distinct)] = distinct
        return found


def user_vectors(vectors: Tensor, histories: Tensor) -> Tensor:
    """What `similar` makes of histories. vectors (U, D), histories (B, H) rows of it → (B, D)

    Read as an embedding, whose gradients several threads sum up in the same order each time.
    """
    places = torch.arange(histories.shape[1], device=histories.device)
    strengths = torch.exp2(-places / FADING) * (histories >= 0)  # (B, H)
    read = embedding(histories.clamp(min=0), vectors)  # (B, H, D)
    summed = torch.einsum("bh,bhd->bd", strengths, read)
    return nn.functional.normalize(summed, dim=1)


class TextVectors(nn.Module):
    """Rows of the catalog's texts → their vectors, by a network that learns."""

    def __init__(self, model: TextModel, tokens: list[list[int]], filler: int) -> None:
        super().__init__()
        self.model = model
        self.tokens, self.filler = tokens, filler
        self.word_drop = 0.0

    def forward(self, codes: IntArray) -> Tensor:
        """(U,) → (U, D) unit length"""
        chosen = [self.tokens[code] for code in codes]
        if self.training and self.word_drop > 0:
            chosen = [thinned(row, self.word_drop) for row in chosen]
        ids, mask = pad(chosen, self.filler)
        with mixed_precision():
            vectors: Tensor = self.model(ids.to(best_device()), mask.to(best_device()))
        return vectors


class ProjectedVectors(nn.Module):
    """Rows of the catalog's texts → their vectors of before, under a projection that learns."""

    def __init__(self, table: FloatArray, dropout: float = 0.0) -> None:
        super().__init__()
        self.drop = nn.Dropout(dropout)
        self.table = torch.from_numpy(table).to(best_device())
        self.projection = nn.Linear(table.shape[1], table.shape[1], bias=False)
        nn.init.eye_(self.projection.weight)

    def forward(self, codes: IntArray) -> Tensor:
        """(U,) → (U, D) unit length"""
        rows = self.table[torch.from_numpy(codes).to(self.table.device)]
        return nn.functional.normalize(self.projection(self.drop(rows)), dim=1)


class Task:
    """Picks to learn from and picks to validate on, and the loss and the quality of a network."""

    def __init__(
        self,
        network: nn.Module,
        items: ItemIndex,
        picks: tuple[Picks, Picks],
        wanted: Finetuning,
        training: TextTraining,
        seed: int,
    ) -> None:
        self.network, self.wanted, self.batch, self.seed = network, wanted, training.batch, seed
        self.known, self.held = picks
        self.table = items.text_vectors  # (U, D) as they were before
        counts = np.bincount(self.known.texts[self.known.asked], minlength=len(self.table)) + 0.1
        self.shares = counts / counts.sum()  # (U,) of the targets
        generator = np.random.default_rng(seed)
        self.asked = generator.permutation(len(self.held))[:ASKED]
        targets = np.unique(self.held.texts[self.held.asked[self.asked]])
        others = np.setdiff1d(generator.permutation(len(self.table))[:MOST_TEXTS], targets)
        self.pool = np.sort(np.concatenate([targets, others[: max(MOST_TEXTS - len(targets), 0)]]))

    def loss_of(self, number: int) -> Tensor:
        """The loss of one batch of picks."""
        places = places_of(number, len(self.known), self.batch, self.seed)
        targets = self.known.texts[self.known.asked[places]]  # (B,)
        histories = self._augmented(self.known.histories(places, self.wanted.history))
        hard = self._hard(targets)
        codes = np.unique(np.concatenate([targets, histories[histories >= 0], hard]))  # (K,)
        vectors = self.network(codes)  # (K, D)
        rows = np.where(histories >= 0, np.searchsorted(codes, histories), -1)  # (B, H)
        states = user_vectors(vectors, _tensor(rows)) / self.wanted.temperature
        own = (codes[None, :, None] == histories[:, None, :]).any(axis=2)  # (B, K) in the history
        own |= codes[None, :] == targets[:, None]
        drawn = self.batch * (1 + self.wanted.history)
        # each is there once, so by the chance that it is among the drawn, not by how often
        absent = drawn * np.log1p(-self.shares[np.concatenate([targets, codes])])
        logs = _tensor(np.log(-np.expm1(absent)).astype(np.float32))
        positives = embedding(_tensor(np.searchsorted(codes, targets)), vectors)
        return sampled_softmax(states, positives, vectors, logs, _tensor(own))

    def _hard(self, targets: IntArray) -> IntArray:
        """Texts that are near to some of the targets. (hard,)"""
        if self.wanted.hard == 0:
            return np.zeros(0, dtype=np.int64)
        some = targets[torch.randperm(len(targets)).numpy()[: self.wanted.hard]]
        near = self.table[some] @ self.table.T  # (S, U)
        most = min(NEAR, near.shape[1] - 1)
        best = np.argpartition(-near, most, axis=1)[:, :most]
        column = torch.randint(most, (len(some),)).numpy()
        return np.setdiff1d(best[np.arange(len(some)), column], targets)

    def _augmented(self, histories: IntArray) -> IntArray:
        """Histories cropped, thinned out and reordered, each by its chance. (B, H)"""
        wanted = self.wanted
        if not (wanted.crop or wanted.drop or wanted.reorder):
            return histories
        size = histories.shape[1]
        place = np.arange(size)
        draw = torch.rand(3, len(histories)).numpy()
        newest = np.where(draw[0] < wanted.crop, (draw[1] * size / 2).astype(int), 0)  # (B,)
        gone = (place < newest[:, None]) | (torch.rand(histories.shape).numpy() < wanted.drop)
        gone &= (histories >= 0) & (place != (histories >= 0).sum(axis=1, keepdims=True) - 1)
        kept = np.where(gone, -1, histories)
        shuffled = torch.rand(histories.shape).numpy()
        key = np.where((draw[2] < wanted.reorder)[:, None], shuffled, place)
        key = np.where(kept < 0, np.inf, key)
        return np.take_along_axis(kept, np.argsort(key, axis=1, kind="stable"), axis=1)

    @torch.no_grad()
    def quality_of(self) -> float:
        """The nDCG of the validation's picks, each among the texts of the pool."""
        parts = np.array_split(self.pool, max(len(self.pool) // 256, 1))
        vectors = torch.cat([self.network(part) for part in parts])  # (U', D)
        histories = self.held.histories(self.asked, MOST)  # (R, H)
        targets = self.held.texts[self.held.asked[self.asked]]
        texts = np.unique(histories[histories >= 0])
        parts = np.array_split(texts, max(len(texts) // 256, 1))
        read = torch.cat([self.network(part) for part in parts])
        rows = np.where(histories >= 0, np.searchsorted(texts, histories), -1)
        scores = user_vectors(read, _tensor(rows)) @ vectors.T  # (R, U')
        seen = _tensor((self.pool[None, :, None] == histories[:, None, :]).any(axis=2))
        own = _tensor(np.searchsorted(self.pool, targets))
        return float(ndcg_of_targets(scores, own, seen).mean())


def _tensor(values: NDArray[Any]) -> Tensor:
    return torch.from_numpy(values).to(best_device())


def finetune(handle: RunHandle) -> None:
    """Train an encoder on what people pick next, register it, and say what it does.

    Parameters of the run: the fields of `Finetuning` and of `TextTraining`; `encoder`, from which
    it starts (see `start_of_training`); `split`, whose tower part
    is learned from, so that neither rankers' examples nor the test are; `tuned`, the search (see
    `searches`) whose way and settings are taken where none are said.

    Raises
    ------
    TrainingFault
        An unknown parameter, or too little feedback; says how much there is.
    """
    parameters = with_tuned(handle)
    way = str(parameters.get("way", Finetuning.way))
    if way not in FINETUNING:
        raise TrainingFault(f"There is no way {way!r} to fine-tune; say {', '.join(FINETUNING)}.")
    wanted, training, told = from_parameters(parameters, Finetuning(), FINETUNING[way])
    catalog = handle.catalog
    parent = start_of_training(handle, told.get("encoder", ""))
    refuse_leak(parent, told.get("split", "time"))
    config = config_of(parent)
    if wanted.way == "full":
        refuse_too_large(config)
    with handle.part(0.0, 0.05):
        encode(handle, parent)
    items = ItemIndex.load(catalog, parent)
    log = read_log(snapshot_of(handle), items, catalog)
    split = make_split(told.get("split", "time"), log, catalog)
    refuse_later_picks(parent, split.moments)
    picks = picks_of(catalog, items, log, split)
    wanted = replace(wanted, max_tokens=tokens_within(handle, wanted.max_tokens, config))
    network, standing = fit_texts(handle, items, config, picks, wanted, training)
    if not better_than_before(handle, standing):
        return
    facts = {
        "valid_ndcg": standing.best,
        "picks": len(picks[0]),
        "seed": handle.seed,
        "parameters": asdict(wanted) | asdict(training),
        "split": told.get("split", "time"),
    }
    if split.moments is not None:
        facts[LEARNED_UNTIL] = split.moments.valid_start  # what stopped it early included
    publish_and_measure(handle, _learned(network, config), config, parent, way, facts, told)


def with_tuned(handle: RunHandle) -> dict[str, Any]:
    """The run's parameters, with what a search found where they say nothing."""
    parameters = dict(handle.parameters)
    wanted = str(parameters.pop("tuned", ""))
    if not wanted:
        return parameters
    (search,) = found_by(handle, wanted, str(parameters.get("split", "time")), "encoder")
    better = [best for best in best_of(search.trials.all()) if best.is_better]
    if not better:
        handle.log("The search found nothing better than the usual settings; these are taken.")
        return parameters
    best = max(better, key=lambda one: one.trial.value or 0.0)
    if parameters.get("way", best.branch) != best.branch:
        raise TrainingFault(
            f"The search found way={best.branch} to be best; say that, or no way, or not tuned."
        )
    handle.log(f"Settings that the search found: {best.branch}, {in_words(best.trial.settings)}")
    found: dict[str, Any] = {"way": best.branch, **best.trial.settings}
    return found | parameters


def fit_texts(
    handle: RunHandle,
    items: ItemIndex,
    config: EncoderConfig,
    picks: tuple[Picks, Picks],
    wanted: Finetuning,
    training: TextTraining,
) -> tuple[nn.Module, Standing]:
    """The network with the best weights that were found, and how it came to them."""
    torch.manual_seed(handle.seed)
    network: nn.Module
    if wanted.way == "projection":
        network = ProjectedVectors(items.text_vectors, wanted.dropout)
    else:
        network = _text_vectors(items, config, wanted)
    task = Task(network.to(best_device()), items, picks, wanted, training, handle.seed)
    learning = sum(part.numel() for part in network.parameters() if part.requires_grad)
    handle.log(
        f"{len(picks[0]):,} picks to learn from, {len(picks[1]):,} to validate on; {wanted.way}: "
        f"{learning:,} weights learn"
    )
    made_for = fingerprint(
        *(items.ids, items.text_codes, items.text_vectors, config.model, wanted),
        *(part for one in picks for part in (one.texts, one.starts, one.asked)),
    )
    standing = learn(handle, network, training, task.loss_of, task.quality_of, made_for=made_for)
    return network, standing


@torch.no_grad()
def vectors_of(network: nn.Module, count: int) -> FloatArray:
    """What a network makes of each text of the catalog. (U, D)"""
    parts = np.array_split(np.arange(count), max(count // 256, 1))
    return np.concatenate([network(part).float().cpu().numpy() for part in parts])


def picks_of(
    catalog: Catalog, items: ItemIndex, log: InteractionLog, split: Split
) -> tuple[Picks, Picks]:
    """What is learned from, and what stops it early.

    Raises
    ------
    TrainingFault
        Too little of either; says how much there is.
    """
    known = Picks.of(log, items.text_codes, split.tower, split.tower)
    held = Picks.of(log, items.text_codes, split.tower_valid, split.tower_valid & ~split.tower)
    if len(known) < LEAST_PICKS or len(held) == 0:
        raise TrainingFault(
            f"{catalog.name} has {len(known):,} picks with a history to learn from and "
            f"{len(held):,} to validate on; {LEAST_PICKS} and one are needed. Until then use the "
            "encoder as it is, or pre-train it on the catalog's text."
        )
    return known, held


def _text_vectors(items: ItemIndex, config: EncoderConfig, wanted: Finetuning) -> TextVectors:
    """The network that reads the texts, all of its weights learning, or LoRA's additions only."""
    model = load_text_model(config, torch.float32)
    if wanted.way == "lora":
        additions = LoraConfig(
            r=wanted.rank,
            lora_alpha=2 * wanted.rank,
            lora_dropout=wanted.dropout,
            target_modules="all-linear",
        )
        model.requires_grad_(False)
        model.transformer = get_peft_model(model.transformer, additions)
    tokenizer = load_tokenizer(config)
    texts = [config.item_prefix + text for text in texts_of(items)]
    tokens = tokenizer(texts, truncation=True, max_length=wanted.max_tokens)["input_ids"]
    network = TextVectors(model, tokens, int(tokenizer.pad_token_id or 0))
    network.word_drop = wanted.word_drop
    return network


def _learned(network: nn.Module, config: EncoderConfig) -> TextModel:
    """The text model with what was learned in its plain weights."""
    if isinstance(network, ProjectedVectors):
        model = load_text_model(config, torch.float32)
        weight = network.projection.weight.detach().cpu()
        if model.projection is not None:  # one after the other is one
            weight = weight @ model.projection.weight.detach()
        model.projection = nn.Linear(weight.shape[1], weight.shape[0], bias=False)
        model.projection.load_state_dict({"weight": weight})
        return model
    assert isinstance(network, TextVectors)
    model = network.model
    if isinstance(model.transformer, PeftModel):
        model.transformer = model.transformer.merge_and_unload()
    return model.cpu()
