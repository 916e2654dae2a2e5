"""⑥ DCN: crosses of the features, and the history read with the candidate in mind.

DCN-v2 (Wang et al. 2021, arXiv:2008.13535) with low-rank crosses, beside attention over the recent
items given the candidate (DIN: Zhou et al. 2018, arXiv:1706.06978).
"""

import torch
from torch import Tensor, nn

ATTENTION = 32  # hidden units


class DeepCross(nn.Module):
    """Crosses of features and of what the history says of a candidate; a logit a head."""

    def __init__(
        self, width: int, heads: int, rank: int, vector_size: int, hidden: int, crosses: int
    ) -> None:
        super().__init__()
        self.vector_size = vector_size
        if vector_size:
            self.of_item = nn.Linear(vector_size, ATTENTION)
            self.of_step = nn.Linear(vector_size + 1, ATTENTION, bias=False)
            self.of_both = nn.Parameter(torch.randn(vector_size, ATTENTION) / vector_size)
            self.relevance = nn.Linear(ATTENTION, 1)
            self.meet = nn.Linear(3 * vector_size, ATTENTION)
            width += ATTENTION
        self.down = nn.ModuleList(nn.Linear(width, rank, bias=False) for _ in range(crosses))
        self.up = nn.ModuleList(nn.Linear(rank, width) for _ in range(crosses))
        self.deep = nn.Sequential(
            nn.Linear(width, hidden), nn.GELU(), nn.Dropout(0.1), nn.Linear(hidden, heads)
        )

    def forward(self, x: Tensor, items: Tensor, history: Tensor, lengths: Tensor) -> Tensor:
        """Logits of candidates. (B, N, heads)

        x (B, N, W) features, items (B, N, d), history (B, H, d) newest first, lengths (B,)
        """
        if self.vector_size:
            x = torch.cat([x, self.attend(items, history, lengths)], dim=-1)
        crossed = x  # x_{l+1} = x_0 ⊙ (U V x_l + b) + x_l
        for down, up in zip(self.down, self.up, strict=True):
            crossed = x * up(down(crossed)) + crossed
        logits: Tensor = self.deep(crossed)
        return logits

    def attend(self, items: Tensor, history: Tensor, lengths: Tensor) -> Tensor:
        """The history as each candidate sees it, met with the candidate. (B, N, ATTENTION)"""
        places = torch.arange(history.shape[1], device=items.device)
        back = torch.log1p(places.float()).view(1, -1, 1).expand(len(history), -1, 1)  # (B, H, 1)
        # a hidden layer over [item, step, item × step, places back], added up from its parts, so
        # that nothing of size N × H × d is ever made
        both = history.unsqueeze(-1) * self.of_both  # (B, H, d, ATTENTION)
        hidden = torch.matmul(items.unsqueeze(1), both).transpose(1, 2)  # (B, N, H, ATTENTION)
        hidden = hidden + self.of_item(items).unsqueeze(2)
        hidden = hidden + self.of_step(torch.cat([history, back], dim=-1)).unsqueeze(1)
        weights = self.relevance(torch.relu(hidden)).squeeze(-1)  # (B, N, H)
        real = places < lengths.view(-1, 1, 1)  # (B, 1, H)
        weights = torch.softmax(weights.masked_fill(~real, -1e4), dim=-1) * real  # (B, N, H)
        seen = torch.einsum("bnh,bhd->bnd", weights, history)  # (B, N, d)
        met: Tensor = self.meet(torch.cat([items, seen, items * seen], dim=-1))
        return met
