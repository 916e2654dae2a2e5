"""How an encoder is trained, in numbers: read by the trainings, and by the form that starts them.

Nothing here imports torch, so that a page or a command can say what is usual at once.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext as _

from training.errors import TrainingFault


@dataclass(frozen=True)
class TextTraining:
    """How a text model is trained."""

    steps: int  # optimiser steps, at most
    learning_rate: float
    batch: int = 32  # texts, or picks
    accumulate: int = 1  # batches a step
    weight_decay: float = 0.01
    clip: float = 1.0  # gradient norm
    warm_up: float = 0.1  # share of the steps in which the learning rate rises
    every: int = 50  # steps between two validations, and between two checkpoints
    patience: int = 4  # validations without a better one


@dataclass(frozen=True)
class Pretraining:
    """What is learned from a catalog's own text; how, says TextTraining."""

    masked: float = 1.0  # weight of the masked language model; 0 = without
    contrastive: float = 1.0  # weight of the contrastive objective; 0 = without
    max_tokens: int = 64  # of a text; more is cut off while training


@dataclass(frozen=True)
class Finetuning:
    """What is learned from the feedback; how, says TextTraining."""

    way: str = "lora"  # full, lora or projection
    temperature: float = 0.07
    history: int = 6  # texts of a history that are read while training
    hard: int = 16  # negatives a batch that are near to a target
    crop: float = 0.0  # chance that a history loses its newest part
    drop: float = 0.0  # chance of each of its items to be left out
    reorder: float = 0.0  # chance that its order is thrown away
    word_drop: float = 0.0  # chance of each token to be left out
    dropout: float = 0.05  # of what LoRA's additions or the projection read; a network has its own
    rank: int = 16  # of LoRA
    max_tokens: int = 64  # of a text; more is cut off while training


def check_objectives(parameters: Mapping[str, Any]) -> None:
    """Refuse a pre-training that gives both objectives no weight.

    Raises
    ------
    TrainingFault
        There is nothing to learn then.
    """
    usual = Pretraining()
    weights = (parameters.get(name, getattr(usual, name)) for name in ("masked", "contrastive"))
    if not any(float(weight) > 0 for weight in weights):
        raise TrainingFault(
            _("With masked=0 and contrastive=0 nothing is learned; give one of them a weight.")
        )


PRETRAINING = TextTraining(steps=600, learning_rate=3e-5)
FINETUNING: dict[str, TextTraining] = {  # by way
    "full": TextTraining(steps=400, learning_rate=5e-5),
    "lora": TextTraining(steps=400, learning_rate=5e-4),
    "projection": TextTraining(steps=3_000, learning_rate=1e-3, batch=128, every=250),
}
