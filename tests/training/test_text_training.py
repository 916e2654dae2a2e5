"""The loop that trains a text model: what it goes on from."""

from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn

from tests.training.test_fit_tower import Telling
from training.handle import RunHandle
from training.text_config import TextTraining
from training.text_training import learn, rise_and_fall


def test_a_checkpoint_of_other_data_or_settings_is_not_gone_on_from(tmp_path: Path) -> None:
    telling = Telling(tmp_path)
    handle, said = cast(RunHandle, telling), telling.said
    training = TextTraining(steps=4, learning_rate=0.1, every=2)

    def learned(made_for: str, training: TextTraining = training) -> str:
        """What the log says first."""
        said.clear()
        torch.manual_seed(1)
        network = nn.Linear(2, 1)

        def loss_of(number: int) -> Tensor:
            loss: Tensor = (network(torch.ones(1, 2)) - 1.0).square().sum()
            return loss

        learn(
            handle,
            network,
            training,
            loss_of,
            lambda: -float(loss_of(0).detach()),
            made_for=made_for,
        )
        return said[0]

    assert learned("these items").startswith("Before training")
    assert learned("these items") == "Resumed after step 4."
    assert learned("one item more").startswith("Begun anew")
    assert learned("one item more") == "Resumed after step 4."
    faster = TextTraining(steps=4, learning_rate=0.2, every=2)
    assert learned("one item more", faster).startswith("Begun anew")


def test_the_learning_rate_rises_and_falls_within_any_number_of_steps() -> None:
    for steps in range(1, 13):
        rates = [rise_and_fall(number, steps, 0.1) for number in range(steps)]
        assert max(rates) == 1.0, steps
        assert min(rates) > 0.0, steps
    assert [rise_and_fall(number, 5, 0.4) for number in range(5)] == [0.5, 1.0, 1.0, 2 / 3, 1 / 3]
