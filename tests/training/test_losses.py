"""The sampled loss against the full one."""

import torch

from training.losses import full_softmax, sampled_softmax


def test_sampled_softmax_over_everything_is_the_full_one() -> None:
    torch.manual_seed(0)
    states, items = torch.randn(5, 4), torch.randn(7, 4)
    targets = torch.tensor([0, 3, 6, 2, 2])
    # each item drawn exactly once: expected count 1, its log 0; the target is masked among them
    same = targets.unsqueeze(1) == torch.arange(7)
    sampled = sampled_softmax(states, items[targets], items, torch.zeros(5 + 7), same)
    assert torch.allclose(sampled, full_softmax(states, items, targets), atol=1e-5)


def test_frequent_negatives_weigh_less() -> None:
    states, items = torch.ones(1, 2), torch.ones(3, 2)
    same = torch.zeros(1, 2, dtype=torch.bool)
    often = sampled_softmax(states, items[:1], items[1:], torch.tensor([0.0, 2.0, 2.0]), same)
    seldom = sampled_softmax(states, items[:1], items[1:], torch.zeros(3), same)
    assert often < seldom
