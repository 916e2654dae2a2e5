"""Losses of the user tower, of encoders, and of the personal model."""

import torch
from torch import Tensor
from torch.nn import functional


def full_softmax(states: Tensor, items: Tensor, targets: Tensor) -> Tensor:
    """Cross-entropy over the whole catalog: −log exp(s·v_t) / Σ_j exp(s·v_j).

    states (P, d), items (N, d), targets (P,) rows of items → scalar. For catalogs of up to a few
    thousand items; prefer `sampled_softmax` above.
    """
    return functional.cross_entropy(states @ items.T, targets)


def sampled_softmax(
    states: Tensor,
    positives: Tensor,
    negatives: Tensor,
    log_expected: Tensor,
    same: Tensor,
) -> Tensor:
    """Cross-entropy over the target and shared negatives, each logit corrected by log q.

    states (P, d), positives (P, d), negatives (K, d); log_expected (P + K) log of how often each
    target, then each negative, is expected among K draws (of distinct ones: the log of its chance
    to be there); same (P, K) True where a negative is the target itself. s·v − log(K·q) makes the
    sampled loss estimate the full one: Bengio & Senécal 2008; Yi et al. 2019 (RecSys).
    """
    count = len(states)
    positive = (states * positives).sum(-1) - log_expected[:count]  # (P,)
    negative = states @ negatives.T - log_expected[count:]  # (P, K)
    negative = negative.masked_fill(same, float("-inf"))
    total = torch.logsumexp(torch.cat([positive.unsqueeze(1), negative], dim=1), dim=1)
    return (total - positive).mean()


def listwise(logits: Tensor, labels: Tensor, real: Tensor) -> Tensor:
    """Cross-entropy between a list's labels, scaled to sum to 1, and its softmax (ListNet).

    logits (B, N), labels (B, N) ≥ 0, real (B, N) false for padding → scalar, the mean over lists
    with a label. Cao et al. 2007 (ICML), equation 4, with the top-one probabilities of the labels.
    """
    logs = functional.log_softmax(logits.masked_fill(~real, -1e9), dim=1)
    total = labels.sum(dim=1)
    lost = -(logs * labels).sum(dim=1)[total > 0] / total[total > 0]
    return lost.sum() / max(len(lost), 1)


def softened(logits: Tensor, taught: Tensor, asked: Tensor, temperature: float) -> Tensor:
    """How far a list's softmax is from its teacher's: T² · KL(softmax(t / T) ‖ softmax(s / T)).

    logits s (B, N), taught t (B, N) the teacher's logits, asked (B, N) of whom it gave any →
    scalar, the mean over lists in which it gave two and more. Hinton et al. 2015
    (arXiv:1503.02531), § 2; T² keeps the size of the gradients.
    """
    wanted, found = (
        functional.log_softmax((part / temperature).masked_fill(~asked, -1e9), dim=1)
        for part in (taught, logits)
    )
    lost = (wanted.exp() * (wanted - found)).sum(dim=1)[asked.sum(dim=1) > 1]
    return temperature**2 * lost.sum() / max(len(lost), 1)
