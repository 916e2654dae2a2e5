"""What a distillation can be told, in numbers: read by the run, and by the form that starts it.

Nothing here imports torch, so that a page or a command can say what is usual at once.
"""

from dataclasses import dataclass

from training.text_config import TextTraining

TEACHER = TextTraining(steps=80, learning_rate=2e-4, batch=8, every=20, patience=2)
LEAST = {
    "groups": 2,
    "candidates": 2,
    "depth": 10,
    "layers": 1,
    "members": 1,
    "personal_epochs": 1,
    "tower_steps": 1,
}


@dataclass(frozen=True)
class TeacherShape:
    """What a cross-encoder reads, what of it learns, and whom it is asked about."""

    history: int = 4  # picks whose titles it reads
    max_tokens: int = 64  # of a pair; more is cut off
    layers: int = 3  # of the encoder, from the top, that learn
    candidates: int = 16  # of a head that it learns from, and that students learn of
    depth: int = 50  # of a head that it orders where it is measured


@dataclass(frozen=True)
class Distillation(TeacherShape):
    """What is taught, and to whom; how the teacher learns, says TextTraining (a batch is of heads).

    Raises
    ------
    ValueError
        A value that nothing can be made of.
    """

    requests: int = 1_000  # of the validation fold, at most
    unlabelled: int = 400  # heads of people who did not come in it, at most
    groups: int = 2  # of people, each ordered by what the others taught
    members: int = 3  # personal models of an ensemble
    design: str = "tokens"  # of the personal model
    personal_epochs: int = 3
    alpha: float = 0.5  # how far the teacher is listened to, and how far (1 − α) the labels
    temperature: float = 2.0
    tower_steps: int = 100
    tower_rate: float = 1e-4
    epochs: int = 0  # of a tower that is fitted for measuring; 0: by the size of the log
    rounds: int = 500  # trees of the run's own rankers, at most
    network_epochs: int = 6  # of their networks; 0: trees only
    evaluate_people: int = 0  # of the new model's evaluation, at most; 0: all

    def __post_init__(self) -> None:
        for name, least in LEAST.items():
            if getattr(self, name) < least:
                raise ValueError(f"{name} must be {least} or more")
        if not 0 <= self.alpha <= 1 or self.temperature <= 0:
            raise ValueError("alpha must be 0 to 1, temperature more than 0")
