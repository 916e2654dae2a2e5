"""⑧ R_θ: the personal model, which re-orders the head of the ranker's list for one person.

It corrects the ranker's order, from which it starts: logit = α · −log(1 + place) + correction. What
it reads besides depends on its design: `features`, those of ranking/features.py; `attention`, the
history as the candidate sees it (DIN: Zhou et al. 2018, arXiv:1706.06978) by the tower's vectors,
too; `tokens`, also the words of the history's texts against those of the candidate, token by token
(late interaction; ColBERT: Khattab & Zaharia 2020, arXiv:2004.12832). Which words an item has, and
what the language model knows of each, is worked out ahead of time; a request multiplies.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_model, save_model
from torch import Tensor, nn
from torch.nn.functional import normalize, scaled_dot_product_attention

from ranking.rankers.examples import HISTORY, Rows
from ranking.rankers.network import FeatureNetwork
from ranking.types import Candidates, FloatArray, IntArray

PERSONAL = "personal model"  # what traces and Query.without call this stage
HEAD = 100  # candidates that are re-ordered; the rest stay behind them
DESIGNS = ("features", "attention", "tokens")
NO_TOKEN = -1  # fills short texts, and those of items that are newer than the model
FAR = -1e4  # a logit that no softmax sees


@dataclass(frozen=True)
class PersonalConfig:
    """The shape of a personal model."""

    design: str  # features, attention or tokens
    features: tuple[str, ...]  # F names, those that it reads
    vector_size: int = 0  # d of the vectors of items, as the tower sees them
    token_count: int = 0  # V words that the catalog's texts use
    token_size: int = 32  # e of the vector of each
    width: int = 64
    dropout: float = 0.2

    @property
    def attends(self) -> bool:
        """Whether it reads the vectors of the history."""
        return self.design != "features" and self.vector_size > 0


class PersonalNetwork(FeatureNetwork):
    """Feature rows, vectors and words of a head → one logit a candidate."""

    words: Tensor

    def __init__(self, config: PersonalConfig) -> None:
        super().__init__(len(config.features))
        self.config = config
        inputs, width = 2 * len(config.features) + 1, config.width
        if config.attends:
            self.ask = nn.Linear(config.vector_size, width, bias=False)
            self.answer = nn.Linear(config.vector_size, width, bias=False)
            inputs += config.vector_size
        if config.design == "tokens":
            size = config.token_size
            self.register_buffer("words", torch.zeros(config.token_count + 1, size))  # last: none
            self.read = nn.Linear(size, size, bias=False)
            self.sharpness = nn.Parameter(torch.tensor(5.0))
            inputs += size + 1
        self.correct = nn.Sequential(
            nn.Linear(inputs, width),
            nn.GELU(),
            nn.Dropout(config.dropout),
            nn.Linear(width, width),
            nn.GELU(),
            nn.Linear(width, 1),
        )
        last = self.correct[-1]
        assert isinstance(last, nn.Linear)
        nn.init.zeros_(last.weight)  # before it has learned, the ranker's order stands
        nn.init.zeros_(last.bias)
        self.trust = nn.Parameter(torch.tensor(1.0))  # α

    def forward(
        self,
        features: Tensor,
        items: Tensor,
        history: Tensor,
        item_words: Tensor,
        history_words: Tensor,
        steps: Tensor,
    ) -> Tensor:
        """Logits of candidates, best first. (B, N)

        features (B, N, F) with NaN for missing; items (B, N, d) and history (B, H, d) vectors;
        item_words (B, N, T) and history_words (B, H, T) rows of `words`, NO_TOKEN fills;
        steps (B, H) whether there is such a step.
        """
        places = torch.arange(features.shape[1], device=features.device)
        prior = -torch.log1p(places.float()).expand(features.shape[:2])  # (B, N)
        parts = [self.known(features), prior.unsqueeze(-1)]
        if self.config.attends:
            parts.append(self._attend(items, history, steps))
        if self.config.design == "tokens":
            parts += self._meet_words(item_words, history_words)
        correction = self.correct(torch.cat(parts, dim=-1)).squeeze(-1)  # (B, N)
        logits: Tensor = self.trust * prior + correction
        return logits

    def _attend(self, items: Tensor, history: Tensor, steps: Tensor) -> Tensor:
        """The history as each candidate sees it, times the candidate. (B, N, d)"""
        scores = self.ask(items) @ self.answer(history).transpose(1, 2)  # (B, N, H)
        scores = scores / self.config.width**0.5
        real = steps.unsqueeze(1)  # (B, 1, H)
        weights = torch.softmax(scores.masked_fill(~real, FAR), dim=-1) * real
        return items * (weights @ history)

    def _meet_words(self, item_words: Tensor, history_words: Tensor) -> list[Tensor]:
        """How well each candidate's words are met by the history's. (B, N, e) and (B, N, 1)

        Attention as PyTorch fuses it, and a product of each word and the one nearest to it: tables
        of every word against every other, kept for the gradient, would take most of a training.
        """
        batch, count, length = item_words.shape
        asked = self._vectors_of(item_words).flatten(1, 2)  # (B, N·T, e)
        known = self._vectors_of(history_words).flatten(1, 2)  # (B, H·T, e)
        nothing = (history_words == NO_TOKEN).flatten(1).unsqueeze(1)  # (B, 1, H·T)
        bias = FAR * nothing.to(asked.dtype)
        query, key = (self.sharpness * asked).unsqueeze(1), known.unsqueeze(1)  # of one head
        met = scaled_dot_product_attention(query, key, key, bias.unsqueeze(1), scale=1.0)
        met = met.squeeze(1)  # (B, N·T, e)
        with torch.no_grad():
            nearest = torch.baddbmm(bias, asked, known.transpose(1, 2)).argmax(dim=-1)  # (B, N·T)
        nearest_words = known.gather(1, nearest.unsqueeze(-1).expand_as(asked))  # (B, N·T, e)
        best = (asked * nearest_words).sum(dim=-1, keepdim=True)  # (B, N·T, 1)
        many = (item_words != NO_TOKEN).sum(dim=2, keepdim=True).clamp(min=1)  # (B, N, 1)
        # Where there is no word both are 0, since its vector is.
        return [
            each.view(batch, count, length, -1).sum(dim=2) / many for each in (asked * met, best)
        ]

    def _vectors_of(self, words: Tensor) -> Tensor:
        """Rows of `words` → what is learned of them. (…,) → (…, e), unit length or 0"""
        return normalize(self.read(self.words[words]), dim=-1)  # NO_TOKEN is the last row: 0


class Personalizer:
    """A trained personal model, with what it needs of each item."""

    def __init__(
        self,
        network: PersonalNetwork,
        names: list[str],
        vectors: FloatArray,
        words: NDArray[np.int32],
    ) -> None:
        self.network = network.eval()
        self.vectors = vectors  # (I, d) of all items, as the tower sees them
        self.words = words  # (I, T) rows of the network's words
        self._columns = [names.index(name) for name in network.config.features]

    def rerank(self, candidates: Candidates, history: IntArray) -> Candidates:
        """The candidates with their head in this person's order; best first before and after.

        history: item-index rows of the recent items, newest first. The places keep their scores.
        """
        size = min(HEAD, len(candidates))
        head = Rows(candidates.features[:size], candidates.rows[:size], history)
        order = np.arange(len(candidates))
        order[:size] = np.argsort(-self.logits(head), kind="stable")
        moved = candidates.keep(order)
        moved.scores = candidates.scores
        return moved

    @torch.inference_mode()
    def logits(self, rows: Rows) -> FloatArray:
        """(N,) higher is better; rows in the ranker's order."""
        history = np.full(HISTORY, -1, dtype=np.int64)
        history[: len(rows.history)] = rows.history
        columns = torch.from_numpy(rows.features[:, self._columns])
        found = self.network(columns[None], *self.inputs(rows.items[None], history[None]))[0]
        return np.asarray(found.numpy(), dtype=np.float32)

    def inputs(self, items: IntArray, history: IntArray) -> tuple[Tensor, ...]:
        """What the network reads of items (B, N) and histories (B, H), −1 filling short ones."""
        steps = history >= 0
        history_words = np.where(steps[..., None], self.words[history], NO_TOKEN)
        return (
            torch.from_numpy(self.vectors[items]),
            torch.from_numpy(self.vectors[history]),
            torch.from_numpy(self.words[items].astype(np.int64)),
            torch.from_numpy(history_words.astype(np.int64)),
            torch.from_numpy(steps),
        )

    def save(self, path: Path) -> None:
        """Write the weights as safetensors; the configuration goes into the bundle's meta.json."""
        save_model(self.network, str(path))

    @classmethod
    def load(
        cls,
        path: Path,
        config: PersonalConfig,
        names: list[str],
        vectors: FloatArray,
        words: NDArray[np.int32],
    ) -> "Personalizer":
        """Read what `save` wrote, for feature rows with these columns."""
        network = PersonalNetwork(config)
        load_model(network, str(path))
        return cls(network, names, vectors, words)
