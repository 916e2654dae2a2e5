"""⑫ Self-supervised training of the encoder on the catalog's own text.

Two objectives, summed. Masked language model (Devlin et al. 2019, arXiv:1810.04805): guess hidden
tokens, so that the catalog's words are known. Contrastive: of all texts in a batch, find the other
view of the same item; views are its title and the rest of its text, or its text twice under
different dropout (SimCSE: Gao et al. 2021, arXiv:2104.08821). An encoder that drops nothing would
see the same text twice; there, some of its tokens are left out.
"""

from dataclasses import asdict

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from transformers import AutoModelForMaskedLM, PreTrainedTokenizerBase

from catalog.models import Item
from ranking.device import best_device
from ranking.encoder import config_of, pad
from ranking.encoder_files import EncoderConfig
from ranking.text_model import TextModel, folder_of, load_text_model, load_tokenizer
from training.checkpoint import fingerprint
from training.encoders import refuse_leak, start_of_training
from training.errors import TrainingFault
from training.handle import RunHandle
from training.learned import (
    better_than_before,
    from_parameters,
    publish_and_measure,
    tokens_within,
)
from training.text_config import PRETRAINING, Pretraining, check_objectives
from training.text_training import learn, mixed_precision, places_of, refuse_too_large, thinned

LEAST_TEXTS = 50
HELD_OUT, MOST_HELD_OUT = 0.1, 512  # share of the texts, and at most so many
MASKED = 0.15  # share of the tokens; of these 80 % hidden, 10 % exchanged, 10 % left as they are
TEMPERATURE = 0.05
WORD_DROP = 0.1  # of each view's tokens, where the encoder has no dropout
NOT_ASKED = -100  # a token that nothing is asked of


class PretrainingModel(nn.Module):
    """A text model under both objectives; without a head for words where its kind has none."""

    def __init__(self, text: TextModel, words: nn.Module | None) -> None:
        super().__init__()
        self.text = text
        self.words = words

    @classmethod
    def load(cls, config: EncoderConfig, wanted: Pretraining) -> "PretrainingModel":
        """The network that a configuration names, in float32; both objectives share its weights."""
        text = load_text_model(config, torch.float32)
        if wanted.masked <= 0:
            return cls(text, None)
        try:
            words = AutoModelForMaskedLM.from_pretrained(
                str(folder_of(config)),
                use_safetensors=True,
                trust_remote_code=False,
                dtype=torch.float32,
            )
        except ValueError:  # decoders, and kinds that transformers knows no such head of
            return cls(text, None)
        text.transformer = words.base_model
        return cls(text, words)

    @torch.no_grad()
    def is_steady(self, ids: Tensor, mask: Tensor) -> bool:
        """Whether a text, read twice while training, is read the same: nothing drops out."""
        self.text.train()
        return torch.equal(self.text(ids, mask), self.text(ids, mask))

    def masked_loss(self, ids: Tensor, mask: Tensor, labels: Tensor) -> Tensor:
        """Cross-entropy of the hidden tokens. ids, mask, labels (B, T) → scalar"""
        assert self.words is not None
        logits = self.words(ids, attention_mask=mask).logits  # (B, T, V)
        asked = labels != NOT_ASKED
        if not asked.any():  # short texts: chance has hidden nothing
            nothing: Tensor = logits.sum() * 0.0
            return nothing
        return cross_entropy(logits[asked].float(), labels[asked])

    def contrastive_loss(self, one: tuple[Tensor, Tensor], two: tuple[Tensor, Tensor]) -> Tensor:
        """InfoNCE, both ways, between two views of each text; ids and mask, each (B, T) → scalar"""
        scores = self.text(*one) @ self.text(*two).T / TEMPERATURE  # (B, B)
        own = torch.arange(len(scores), device=scores.device)
        return 0.5 * (cross_entropy(scores, own) + cross_entropy(scores.T, own))


class CatalogText:
    """The distinct texts of a catalog as token ids: whole, the title, and the rest."""

    def __init__(
        self,
        items: list[tuple[str, str, str]],
        tokenizer: PreTrainedTokenizerBase,
        most: int,
        prefix: str = "",  # as the encoder reads items
    ) -> None:
        rest = ["\n".join(part for part in parts[1:] if part) for parts in items]
        whole = ["\n".join(part for part in parts if part) for parts in items]
        self.whole = _ids(tokenizer, [prefix + text for text in whole], most)
        self.title = _ids(tokenizer, [prefix + parts[0] for parts in items], most)
        self.rest = _ids(tokenizer, [prefix + text for text in rest], most)
        self.has_rest = np.array([bool(text) for text in rest])  # (N,)
        self.filler = int(tokenizer.pad_token_id or 0)
        self.hidden = tokenizer.mask_token_id
        self.special = torch.tensor(tokenizer.all_special_ids)
        self.vocabulary = len(tokenizer)
        self.word_drop = 0.0  # chance of each token of a view to be left out

    def __len__(self) -> int:
        return len(self.whole)

    def masked(self, places: NDArray[np.int64]) -> tuple[Tensor, Tensor, Tensor]:
        """Texts with some tokens hidden, which tokens are real, and what was hidden. Each (B, T)"""
        ids, mask = pad([self.whole[place] for place in places], self.filler)
        asked = (torch.rand(ids.shape) < MASKED) & ~torch.isin(ids, self.special)
        labels = torch.where(asked, ids, NOT_ASKED)
        kind = torch.rand(ids.shape)
        exchanged = torch.randint(self.vocabulary, ids.shape)
        ids = torch.where(asked & (kind < 0.8), self.hidden, ids)
        ids = torch.where(asked & (kind >= 0.9), exchanged, ids)
        return ids.to(best_device()), mask.to(best_device()), labels.to(best_device())

    def views(self, places: NDArray[np.int64]) -> list[tuple[Tensor, Tensor]]:
        """Two views of each text: title and rest, or the whole twice, by the throw of a coin."""
        coin = torch.rand(len(places)).numpy() < 0.5
        apart = coin & self.has_rest[places]  # (B,)
        views = []
        for part in (self.title, self.rest):
            chosen = [
                (part if split else self.whole)[place]
                for place, split in zip(places, apart, strict=True)
            ]
            if self.word_drop > 0:
                chosen = [thinned(row, self.word_drop) for row in chosen]
            ids, mask = pad(chosen, self.filler)
            views.append((ids.to(best_device()), mask.to(best_device())))
        return views


def _ids(tokenizer: PreTrainedTokenizerBase, texts: list[str], most: int) -> list[list[int]]:
    ids: list[list[int]] = tokenizer(texts, truncation=True, max_length=most)["input_ids"]
    return ids


class Task:
    """Texts to learn from and texts held out, and the loss and the quality of a network."""

    def __init__(
        self,
        network: PretrainingModel,
        texts: CatalogText,
        wanted: Pretraining,
        batch: int,
        seed: int,
    ) -> None:
        self.network, self.texts, self.wanted = network, texts, wanted
        self.batch, self.seed = batch, seed
        order = np.random.default_rng(seed).permutation(len(texts))
        held = min(int(HELD_OUT * len(texts)), MOST_HELD_OUT)
        self.held, self.known = order[:held], order[held:]

    def loss_of(self, number: int) -> Tensor:
        """The loss of one batch of texts."""
        return self._loss(self.known[places_of(number, len(self.known), self.batch, self.seed)])

    @torch.no_grad()
    def quality_of(self) -> float:
        """The loss over the texts that are held out, negative."""
        self.network.train()  # two views of one text may differ by dropout alone
        torch.manual_seed(self.seed)
        batches = np.array_split(self.held, max(len(self.held) // self.batch, 1))
        return -float(np.mean([float(self._loss(places)) for places in batches]))

    def _loss(self, places: NDArray[np.int64]) -> Tensor:
        total = torch.zeros((), device=best_device())
        with mixed_precision():
            if self.network.words is not None:
                masked = self.network.masked_loss(*self.texts.masked(places))
                total = total + self.wanted.masked * masked
            if self.wanted.contrastive > 0:
                contrastive = self.network.contrastive_loss(*self.texts.views(places))
                total = total + self.wanted.contrastive * contrastive
        return total


def pretrain(handle: RunHandle) -> None:
    """Train an encoder further on the catalog's text, register it, and say what it does.

    Parameters of the run: the fields of `Pretraining` and of `TextTraining`; `encoder`, from which
    it starts (see `start_of_training`); `split`, on which it is
    measured afterwards.

    Raises
    ------
    TrainingFault
        An unknown parameter, or too little text; says how much there is.
    """
    wanted, training, told = from_parameters(handle.parameters, Pretraining(), PRETRAINING)
    check_objectives(asdict(wanted))
    parent = start_of_training(handle, told.get("encoder", ""))
    refuse_leak(parent, told.get("split", "time"))
    config = config_of(parent)
    refuse_too_large(config)
    most = tokens_within(handle, wanted.max_tokens, config)
    words = _texts(handle)
    texts = CatalogText(words, load_tokenizer(config), most, config.item_prefix)
    torch.manual_seed(handle.seed)  # a head that the weights come without starts by chance
    network = PretrainingModel.load(config, wanted).to(best_device())
    _suit(handle, network, texts, wanted)
    task = Task(network, texts, wanted, training.batch, handle.seed)
    handle.log(f"{len(task.known):,} texts to learn from, {len(task.held):,} held out")
    made_for = fingerprint(parent.digest, wanted, words, config.item_prefix)
    standing = learn(handle, network, training, task.loss_of, task.quality_of, made_for=made_for)
    if not better_than_before(handle, standing):
        return
    facts = {
        "held_out_loss": -standing.best,
        "texts": len(texts),
        "seed": handle.seed,
        "parameters": asdict(wanted) | asdict(training),
    }
    publish_and_measure(handle, network.text, config, parent, "pre-trained", facts, told)


def _suit(
    handle: RunHandle, network: PretrainingModel, texts: CatalogText, wanted: Pretraining
) -> None:
    """Leave out what this kind of encoder cannot do, and say so.

    Raises
    ------
    TrainingFault
        Nothing is left to learn.
    """
    if wanted.masked > 0 and (network.words is None or texts.hidden is None):
        network.words = None
        handle.log("Without the masked language model: this kind of encoder has no head for it.")
        if wanted.contrastive <= 0:
            raise TrainingFault(
                "This kind of encoder has no head that guesses hidden words, so nothing is "
                "learned: give contrastive a weight."
            )
    ids, mask = pad(texts.whole[:4], texts.filler)
    if wanted.contrastive > 0 and network.is_steady(ids.to(best_device()), mask.to(best_device())):
        texts.word_drop = WORD_DROP
        handle.log(f"It has no dropout, so views lack {WORD_DROP:.0%} of their tokens, drawn.")


def _texts(handle: RunHandle) -> list[tuple[str, str, str]]:
    """Title, category and body of each distinct text."""
    rows = Item.objects.filter(catalog=handle.catalog).order_by("text_digest", "pk")
    found = list(rows.distinct("text_digest").values_list("title", "category", "body"))
    if len(found) < LEAST_TEXTS:
        raise TrainingFault(
            f"{handle.catalog.name} has {len(found)} different texts; {LEAST_TEXTS} are needed to "
            "learn its language from. Until then the encoder is used as it was downloaded."
        )
    return found
