"""How a training of a network is judged while it runs: by the places of what was picked."""

import math

import torch
from torch import Tensor

from training.errors import Diverged


def ndcg_of_targets(scores: Tensor, targets: Tensor, left_out: Tensor | None = None) -> Tensor:
    """The nDCG of one target each: 1 / log2(2 + its 0-based place). (P,)

    scores (P, N), targets (P,) columns of them, left_out (P, N) True where a candidate does not
    count. Of L candidates with the same score the target takes the middle place, (L − 1) // 2 from
    their first, so that a network that says the same of all is no good one; a score that is no
    number comes last.
    """
    own = scores.gather(1, targets.unsqueeze(1))  # (P, 1)
    above, level = (scores > own) | own.isnan(), scores == own  # (P, N)
    if left_out is not None:
        above, level = above & ~left_out, level & ~left_out
    place = above.sum(dim=1) + (level.sum(dim=1) - 1).clamp(min=0) // 2
    return 1.0 / torch.log2(place + 2.0)


def refuse_divergence(loss: float) -> float:
    """The loss, if it is a number.

    Raises
    ------
    Diverged
    """
    if not math.isfinite(loss):
        raise Diverged
    return loss
