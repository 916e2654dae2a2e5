"""⑥ FM: factorisation machine (Rendle 2010) over the features of ranking/features.py."""

import torch
from torch import Tensor, nn


class FactorizationMachine(nn.Module):
    """w·x + Σ_{i<j} ⟨v_i, v_j⟩ x_i x_j for each head; Rendle 2010, equation 1.

    The smallest network: prefer it to DeepCross where there are few examples.
    """

    def __init__(self, width: int, heads: int, rank: int) -> None:
        super().__init__()
        self.linear = nn.Linear(width, heads)
        self.factors = nn.Parameter(0.01 * torch.randn(heads, width, rank))

    def forward(self, x: Tensor, items: Tensor, history: Tensor, lengths: Tensor) -> Tensor:
        """X (B, N, W) → logits (B, N, heads); items and history are not looked at."""
        summed = torch.einsum("bnw,twr->bntr", x, self.factors).square()
        squares = torch.einsum("bnw,twr->bntr", x.square(), self.factors.square())
        crosses = 0.5 * (summed - squares).sum(dim=-1)  # (B, N, heads)
        logits: Tensor = self.linear(x) + crosses
        return logits
