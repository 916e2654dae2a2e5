"""⑥ DNN: crosses of the features, and the history read with the candidate in mind.

DCN-v2 (Wang et al. 2021, arXiv:2008.13535) over the features of ranking/features.py, beside
attention over the recent items given the candidate (DIN: Zhou et al. 2018, arXiv:1706.06978).
`FactorizationMachine` (Rendle 2010) is the small sibling over the same features: prefer it where
there are few examples.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from ranking.types import FloatArray

CLIP = 4.0  # standard deviations


@dataclass(frozen=True)
class DnnConfig:
    """The shape of the network."""

    feature_count: int  # F
    vector_size: int  # d of the items' vectors; 0 = no attention
    kind: str = "dcn"  # or fm
    crosses: int = 2  # layers of DCN-v2
    rank: int = 32  # of each cross's weights, and of the factorisation machine's
    hidden: int = 64
    attention: int = 32
    dropout: float = 0.1


class Scaler(nn.Module):
    """Features as a network can read them: standardised, clipped, and whether they are missing."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(count))
        self.register_buffer("scale", torch.ones(count))
        self.mean: Tensor
        self.scale: Tensor

    def fit(self, features: FloatArray) -> None:
        """Mean and standard deviation of what is there. (M, F)"""
        with np.errstate(invalid="ignore"):
            mean = np.nan_to_num(np.nanmean(features, axis=0))
            scale = np.nan_to_num(np.nanstd(features, axis=0), nan=1.0)
        self.mean.copy_(torch.from_numpy(mean))
        self.scale.copy_(torch.from_numpy(np.maximum(scale, 1e-6)))

    def forward(self, features: Tensor) -> Tensor:
        """(…, F) with NaN → (…, 2F)"""
        missing = torch.isnan(features)
        known = ((features - self.mean) / self.scale).clamp(-CLIP, CLIP)
        return torch.cat([known.masked_fill(missing, 0.0), missing.float()], dim=-1)


class FactorizationMachine(nn.Module):
    """w·x + Σ_{i<j} ⟨v_i, v_j⟩ x_i x_j, Rendle 2010, equation 1."""

    def __init__(self, config: DnnConfig) -> None:
        super().__init__()
        width = 2 * config.feature_count
        self.scaler = Scaler(config.feature_count)
        self.linear = nn.Linear(width, 1)
        self.factors = nn.Parameter(0.01 * torch.randn(width, config.rank))

    def forward(self, features: Tensor, items: Tensor, history: Tensor, lengths: Tensor) -> Tensor:
        """features (B, N, F) → scores (B, N); the vectors are not looked at."""
        x = self.scaler(features)  # (B, N, 2F)
        summed = (x @ self.factors) ** 2  # (B, N, rank)
        squares = x**2 @ self.factors**2
        return self.linear(x).squeeze(-1) + 0.5 * (summed - squares).sum(dim=-1)


class DeepCross(nn.Module):
    """DCN-v2 with low-rank crosses, and attention over the history."""

    def __init__(self, config: DnnConfig) -> None:
        super().__init__()
        self.scaler = Scaler(config.feature_count)
        width = 2 * config.feature_count
        if config.vector_size:
            self.relevance = nn.Sequential(
                nn.Linear(3 * config.vector_size + 1, config.attention),
                nn.GELU(),
                nn.Linear(config.attention, 1),
            )
            width += config.attention
            self.meet = nn.Linear(3 * config.vector_size, config.attention)
        self.vector_size = config.vector_size
        self.down = nn.ModuleList(
            nn.Linear(width, config.rank, bias=False) for _ in range(config.crosses)
        )
        self.up = nn.ModuleList(nn.Linear(config.rank, width) for _ in range(config.crosses))
        self.deep = nn.Sequential(
            nn.Linear(width, config.hidden),
            nn.GELU(),
            nn.Dropout(config.dropout),
            nn.Linear(config.hidden, 1),
        )

    def forward(self, features: Tensor, items: Tensor, history: Tensor, lengths: Tensor) -> Tensor:
        """Scores of candidates. (B, N)

        features (B, N, F), items (B, N, d), history (B, H, d) newest first, lengths (B,)
        """
        x = self.scaler(features)  # (B, N, 2F)
        if self.vector_size:
            x = torch.cat([x, self.attend(items, history, lengths)], dim=-1)
        crossed = x  # x_{l+1} = x_0 ⊙ (U V x_l + b) + x_l
        for down, up in zip(self.down, self.up, strict=True):
            crossed = x * up(down(crossed)) + crossed
        scores: Tensor = self.deep(crossed).squeeze(-1)
        return scores

    def attend(self, items: Tensor, history: Tensor, lengths: Tensor) -> Tensor:
        """The history as each candidate sees it, met with the candidate. (B, N, attention)"""
        steps = history.shape[1]
        size = (*items.shape[:2], steps, items.shape[2])  # (B, N, H, d)
        one, other = items.unsqueeze(2).expand(size), history.unsqueeze(1).expand(size)
        back = torch.log1p(torch.arange(steps, device=items.device).float())
        back = back.view(1, 1, steps, 1).expand(*size[:3], 1)
        weights = self.relevance(torch.cat([one, other, one * other, back], dim=-1)).squeeze(-1)
        real = torch.arange(steps, device=items.device) < lengths.view(-1, 1, 1)  # (B, 1, H)
        weights = weights.masked_fill(~real, float("-inf"))
        weights = torch.nan_to_num(torch.softmax(weights, dim=-1))  # all zeros without a history
        seen = torch.einsum("bnh,bhd->bnd", weights, history)  # (B, N, d)
        met: Tensor = self.meet(torch.cat([items, seen, items * seen], dim=-1))
        return met


def network(config: DnnConfig) -> DeepCross | FactorizationMachine:
    """An untrained network of this kind."""
    return FactorizationMachine(config) if config.kind == "fm" else DeepCross(config)
