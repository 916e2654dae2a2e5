"""Places of targets beside those that evaluations count, and a loss that is no number."""

import numpy as np
import pytest
import torch

from training.errors import TrainingFault
from training.scoring import ranks_of
from training.validation import ndcg_of_targets, refuse_divergence


def test_places_are_those_of_an_evaluation() -> None:
    scores = torch.randint(4, (30, 9), generator=torch.Generator().manual_seed(1)).float()
    targets = torch.arange(30) % 9
    places = [
        int(ranks_of(row, np.array([target]))[0])
        for row, target in zip(scores.numpy(), targets.tolist(), strict=True)
    ]
    expected = 1 / np.log2(np.array(places) + 2)
    assert ndcg_of_targets(scores, targets).tolist() == pytest.approx(expected.tolist())


def test_by_hand() -> None:
    nan = float("nan")
    scores = torch.tensor([[3.0, 9.0, 3.0, 3.0], [nan, 1.0, 1.0, 1.0], [5.0, nan, nan, nan]])
    left_out = torch.tensor([[False, True, False, False]] * 3)
    found = ndcg_of_targets(scores, torch.zeros(3, dtype=torch.long), left_out)
    # the middle of three; behind all three that count; before those that are no numbers
    assert found.tolist() == pytest.approx([1 / np.log2(3), 1 / np.log2(5), 1.0])


def test_a_loss_that_is_no_number_is_refused() -> None:
    assert refuse_divergence(2.5) == 2.5
    for loss in (float("nan"), float("inf")):
        with pytest.raises(TrainingFault, match="take a lower learning_rate"):
            refuse_divergence(loss)
