"""Fine-tuning: what is asked of a network, and that a broken one is no good one."""

from pathlib import Path
from typing import cast

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from ranking.types import IntArray, InteractionLog
from tests.ranking.worlds import item_index, log_of
from tests.training.test_fit_tower import Silent
from training.errors import TrainingFault
from training.finetune import Picks, Task
from training.handle import RunHandle
from training.text_config import Finetuning, TextTraining
from training.text_training import learn

ITEMS = item_index()
EVERYTHING = np.arange(len(ITEMS))


class Constant(nn.Module):
    """The same of every text."""

    def __init__(self, value: float) -> None:
        super().__init__()
        self.value = nn.Parameter(torch.full((8,), value))

    def forward(self, codes: IntArray) -> Tensor:
        return self.value.expand(len(codes), -1)


def everyday() -> InteractionLog:
    return log_of(
        *((user, (user + day) % 12, 10.0 - day, 1.0) for user in range(8) for day in range(9))
    )


def task_of(network: nn.Module, log: InteractionLog) -> Task:
    everything = np.ones(len(log), dtype=bool)
    picks = Picks.of(log, EVERYTHING, everything, everything)
    return Task(
        network,
        ITEMS,
        (picks, picks),
        Finetuning(),
        TextTraining(steps=4, learning_rate=1e-3, batch=8),
        0,
    )


@pytest.mark.parametrize("value", [1.0, 0.0, float("nan")])
def test_a_network_that_says_the_same_of_all_texts_is_no_good_one(value: float) -> None:
    assert task_of(Constant(value), everyday()).quality_of() < 0.6


def test_what_no_other_text_came_before_is_not_asked_for() -> None:
    log = log_of(
        *((1, 4, 9.0 - day, 1.0) for day in range(5)),  # the same again and again
        *((2, row, 9.0 - day, 1.0) for day, row in enumerate((3, 3, 5, 3))),
        (3, 7, 1.0, 1.0),
    )
    everything = np.ones(len(log), dtype=bool)
    picks = Picks.of(log, EVERYTHING, everything, everything)
    assert picks.asked.tolist() == [7, 8]  # 5 after 3, and 3 after 5
    assert (picks.histories(np.arange(2), 6) >= 0).any(axis=1).all()


def test_a_training_that_diverges_says_so(tmp_path: Path) -> None:
    handle, network = cast(RunHandle, Silent(tmp_path)), Constant(1.0)
    with pytest.raises(TrainingFault, match="take a lower learning_rate"):
        learn(
            handle,
            network,
            TextTraining(steps=4, learning_rate=1e-3, every=2),
            lambda number: network.value.sum() * (float("nan") if number == 2 else 1.0),
            lambda: 0.5,
        )
