"""How the models that are served learn from a teacher: the personal model and the user tower."""

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from ranking.personalizer import PersonalConfig, Personalizer
from ranking.state import RankingState
from ranking.types import FloatArray, IntArray, InteractionLog, UserContext
from ranking.user_tower import UserTower
from training.course import Course
from training.fit_personal import HeadBatch, Loss, Order, PersonalTraining, fit_design
from training.handle import RunHandle
from training.losses import listwise, softened
from training.splits import BoolArray, context_of
from training.text_config import TextTraining
from training.tower_student import Taught, TowerOrder, fit_tower_student
from training.words import Words

ANOTHER_SEED = 1_000  # between two members of an ensemble


def taught_by(verdict: FloatArray, alpha: float, temperature: float) -> Loss:
    """(1 − α) · the labels' listwise loss + α · T² · KL to the teacher's verdict, (M,).

    Hinton et al. 2015 (arXiv:1503.02531). Lists without a label have the second part only.
    """

    def loss(logits: Tensor, batch: HeadBatch) -> Tensor:
        told = torch.from_numpy(verdict[batch.place])  # (B, N)
        asked = batch.real & ~told.isnan()
        soft = softened(logits, told.nan_to_num(), asked, temperature)
        return (1 - alpha) * listwise(logits, batch.labels, batch.real) + alpha * soft

    return loss


@dataclass(frozen=True)
class Students:
    """How the models that are served learn from labels and from a teacher."""

    handle: RunHandle
    course: Course
    then: RankingState  # as of the fold, with rankers that have not learned from it
    log: InteractionLog
    id_rows: IntArray  # (I,) rows of the tower's id vectors
    words: Words
    config: PersonalConfig
    personal: PersonalTraining
    tower: TextTraining
    alpha: float
    temperature: float

    def alone(self, group: int, member: int = 0) -> Personalizer:
        """A personal model of what the other groups picked, without a teacher."""
        course = self.course
        training = replace(self.personal, seed=member * ANOTHER_SEED)
        examples = course.examples.keep(course.learners(group, labelled=True))
        return fit_design(self.handle, self.config, self.then, self.words, examples, training)

    def ensemble(self, group: int, members: int) -> tuple[Personalizer, FloatArray]:
        """The first of so many such models, and the log of their mean softmax. (M,)"""
        models = [self.alone(group, member) for member in range(members)]
        parts = []
        for rows in self.course.rows:
            self.handle.check()
            logits = torch.from_numpy(np.stack([model.logits(rows) for model in models]))
            parts.append(logits.softmax(dim=1).mean(dim=0).log().numpy())
        return models[0], np.concatenate(parts)

    def personal_model(self, verdict: FloatArray, learn: BoolArray) -> Personalizer:
        """A personal model of the labels and of a teacher's verdict (M,), over some heads. (R,)"""
        examples = self.course.examples
        some = verdict[np.repeat(learn, examples.groups)]
        loss = taught_by(some, self.alpha, self.temperature)
        return fit_design(
            self.handle,
            self.config,
            self.then,
            self.words,
            examples.keep(learn),
            self.personal,
            loss,
        )

    def tower_student(self, name: str, verdict: FloatArray, learn: BoolArray) -> UserTower:
        """The tower after a teacher's verdict (M,) over some heads (R,); `name`: its checkpoint."""
        assert self.then.tower is not None
        verdicts = self.course.split(verdict)
        taught = [
            Taught(self.context(head), self.course.rows[head].items, verdicts[head])
            for head in np.flatnonzero(learn).tolist()
        ]
        return fit_tower_student(
            self.handle,
            name,
            self.then.tower,
            self.then.items,
            self.id_rows,
            taught,
            self.tower,
            self.temperature,
        )

    def by_tower(self, tower: UserTower) -> Order:
        """Heads in the order of a tower alone."""
        order = TowerOrder(tower, self.then.items, self.id_rows)
        return lambda head: order.logits(self.course.rows[head], self.context(head))

    def by_model(self, model: Personalizer) -> Order:
        """Heads in the order of a personal model."""
        return lambda head: model.logits(self.course.rows[head])

    def context(self, head: int) -> UserContext:
        """Who asked for a head, and what was known of them."""
        return context_of(self.log, self.course.requests[head])
