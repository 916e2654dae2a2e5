"""f(X): histories → (B, d). A causal transformer over what a person did last.

An item enters as a projection of its language-model vector plus a learned id vector, which training
drops at random, so that items without one (new since training) work as well. Each step also carries
its interaction type and the time until the next step; at serving time that is the time until now.
Kang & McAuley 2018 (SASRec, arXiv:1808.09781); item vectors from text: Hou et al. 2022 (UniSRec,
arXiv:2206.05941).
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ranking.types import FloatArray, UserContext

GAP_BUCKETS = 24  # log2 of the seconds between two steps


@dataclass(frozen=True)
class TowerConfig:
    """The shape of a tower."""

    item_count: int  # items with an id vector
    vector_size: int  # D of the language model
    width: int = 64  # d
    layers: int = 2
    heads: int = 2
    length: int = 100  # steps of history that it reads
    dropout: float = 0.2
    id_dropout: float = 0.3  # share of items whose id vector is dropped in a training step
    type_count: int = 8


class UserTower(nn.Module):
    """The network. Rows below `item_count` have an id vector, rows above do without."""

    def __init__(self, config: TowerConfig) -> None:
        super().__init__()
        self.config = config
        width = config.width
        self.project = nn.Linear(config.vector_size, width)
        self.ids = nn.Embedding(config.item_count, width)
        self.item_norm = nn.LayerNorm(width)
        self.positions = nn.Embedding(config.length, width)
        self.types = nn.Embedding(config.type_count, width)
        self.gaps = nn.Embedding(GAP_BUCKETS, width)
        layer = nn.TransformerEncoderLayer(
            width, config.heads, 4 * width, config.dropout, batch_first=True, norm_first=True
        )
        layer.self_attn.dropout = 0.0  # drawing the zeros takes longer than the attention, and
        layer.dropout.p = 0.0  # those of what each half of a layer adds are enough
        self.layers = nn.TransformerEncoder(layer, config.layers, enable_nested_tensor=False)
        self.drop = nn.Dropout(config.dropout)
        self.out_norm = nn.LayerNorm(width)
        for table in (self.ids, self.positions, self.types, self.gaps):
            nn.init.normal_(table.weight, std=0.02)

    def item_vectors(self, texts: Tensor, rows: Tensor) -> Tensor:
        """Items as the tower sees them. texts (…, D) and rows (…) → (…, d)"""
        known = rows < self.config.item_count  # (…)
        ids = self.ids(torch.where(known, rows, 0))  # (…, d)
        keep = known
        if self.training:
            keep = known & (torch.rand(rows.shape, device=rows.device) >= self.config.id_dropout)
        vectors: Tensor = self.item_norm(self.project(texts) + ids * keep.unsqueeze(-1))
        return vectors

    def forward(self, items: Tensor, types: Tensor, gaps: Tensor, lengths: Tensor) -> Tensor:
        """Steps, left-aligned → one vector after each step.

        items (B, L, d), types (B, L), gaps (B, L) buckets, lengths (B,) → (B, L, d)
        """
        steps = items.shape[1]
        place = torch.arange(steps, device=items.device)
        # positions count back from the newest step, so that short and long histories end alike
        back = (lengths.unsqueeze(1) - 1 - place).clamp(0, self.config.length - 1)  # (B, L)
        x = items + self.positions(back) + self.types(types) + self.gaps(gaps)  # (B, L, d)
        causal = torch.triu(torch.ones(steps, steps, dtype=torch.bool, device=x.device), 1)
        # (B, L, d); padding follows, so is never seen
        x = self.layers(self.drop(x), mask=causal, is_causal=True)
        out: Tensor = self.out_norm(x)
        return out


def gap_buckets(seconds: NDArray[np.float64]) -> NDArray[np.int64]:
    """log2 of 1 + seconds, capped to GAP_BUCKETS."""
    return np.clip(np.log2(1.0 + np.maximum(seconds, 0)), 0, GAP_BUCKETS - 1).astype(np.int64)


@torch.inference_mode()
def all_item_vectors(
    tower: UserTower,
    text_vectors: FloatArray,
    text_codes: NDArray[np.int64],
    id_rows: NDArray[np.int64],
) -> FloatArray:
    """Every item of an index as the tower sees it. (N, d)

    text_vectors (U, D), text_codes (N,) into them; id_rows (N,) rows of the tower's id vectors,
    `item_count` where an item has none.
    """
    tower.eval()
    projected = tower.project(torch.from_numpy(text_vectors))  # (U, d), once per distinct text
    ids = torch.cat([tower.ids.weight, torch.zeros(1, tower.config.width)])  # (M + 1, d)
    vectors = projected[torch.from_numpy(text_codes)] + ids[torch.from_numpy(id_rows)]  # (N, d)
    return np.asarray(tower.item_norm(vectors).numpy(), dtype=np.float32)


@torch.inference_mode()
def user_vector(tower: UserTower, item_vectors: FloatArray, context: UserContext) -> FloatArray:
    """The vector of a person now, including what they did a second ago. (d,)"""
    tower.eval()
    wanted = np.flatnonzero(context.weights > 0)[-tower.config.length :]
    times = np.append(context.timestamps[wanted], context.now)
    states = tower(
        torch.from_numpy(item_vectors[context.rows[wanted]])[None],
        torch.from_numpy(context.types[wanted].astype(np.int64))[None],
        torch.from_numpy(gap_buckets(np.diff(times)))[None],
        torch.tensor([len(wanted)]),
    )  # (1, L, d)
    return np.asarray(states[0, -1].numpy(), dtype=np.float32)
