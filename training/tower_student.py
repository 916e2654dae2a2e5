"""The user tower learns from a teacher how to order the heads that it has been shown."""

from copy import deepcopy
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from ranking.item_index import ItemIndex
from ranking.rankers.examples import Rows
from ranking.types import FloatArray, IntArray, UserContext
from ranking.user_tower import UserTower, all_item_vectors, gap_buckets, user_vector
from training.checkpoint import fingerprint
from training.handle import RunHandle
from training.losses import softened
from training.text_config import TextTraining
from training.text_training import learn, places_of

HELD = 8  # one head in so many stops it early


@dataclass(frozen=True)
class Taught:
    """One head: who asked, its candidates, and the teacher's logits of them, NaN = not asked."""

    context: UserContext
    items: IntArray  # (N,) item-index rows
    logits: FloatArray  # (N,)


class TowerTask:
    """Heads that a tower learns to order as their teacher does: loss and quality."""

    def __init__(
        self,
        tower: UserTower,
        items: ItemIndex,
        id_rows: IntArray,
        taught: list[Taught],
        training: TextTraining,
        temperature: float,
        seed: int,
    ) -> None:
        self.tower, self.temperature, self.seed = tower, temperature, seed
        self.batch = training.batch
        self.texts = torch.from_numpy(items.text_vectors)
        self.codes, self.ids = torch.from_numpy(items.text_codes), torch.from_numpy(id_rows)
        with_history = [one for one in taught if (one.context.weights > 0).any()]
        order = np.random.default_rng(seed).permutation(len(with_history))
        count = len(order) // HELD
        self.held = [with_history[place] for place in order[:count]]
        self.known = [with_history[place] for place in order[count:]]

    def loss_of(self, number: int) -> Tensor:
        """How far the tower's order is from the teacher's, over one batch of heads."""
        places = places_of(number, len(self.known), self.batch, self.seed)
        return self._loss([self.known[place] for place in places])

    @torch.no_grad()
    def quality_of(self) -> float:
        """That over the heads that are held out, negative; 0 where there are none."""
        size = self.batch
        parts = [self.held[start : start + size] for start in range(0, len(self.held), size)]
        total = sum(float(self._loss(part)) * len(part) for part in parts)
        return -total / max(len(self.held), 1)

    def _loss(self, heads: list[Taught]) -> Tensor:
        asked = [np.flatnonzero(~np.isnan(one.logits)) for one in heads]
        logits = [
            torch.from_numpy(one.logits[some]) for one, some in zip(heads, asked, strict=True)
        ]
        rows = [torch.from_numpy(one.items[some]) for one, some in zip(heads, asked, strict=True)]
        wanted = pad_sequence(logits, batch_first=True)  # (B, C)
        sizes = torch.tensor([len(one) for one in rows])
        real = torch.arange(wanted.shape[1]) < sizes.unsqueeze(1)
        candidates = self._vectors(pad_sequence(rows, batch_first=True))  # (B, C, d)
        found = (candidates @ self._people(heads).unsqueeze(-1)).squeeze(-1)  # (B, C)
        return softened(found, wanted, real, self.temperature)

    def _people(self, heads: list[Taught]) -> Tensor:
        """The vector of each person, as `user_vector` makes it. (B, d)"""
        rows, types, gaps = [], [], []
        for one in heads:
            steps = np.flatnonzero(one.context.weights > 0)[-self.tower.config.length :]
            times = np.append(one.context.timestamps[steps], one.context.now)
            rows.append(torch.from_numpy(one.context.rows[steps]))
            types.append(torch.from_numpy(one.context.types[steps].astype(np.int64)))
            gaps.append(torch.from_numpy(gap_buckets(np.diff(times))))
        lengths = torch.tensor([len(one) for one in rows])
        padded = [pad_sequence(part, batch_first=True) for part in (rows, types, gaps)]  # (B, L)
        states: Tensor = self.tower(self._vectors(padded[0]), padded[1], padded[2], lengths)
        return states[torch.arange(len(heads)), lengths - 1]

    def _vectors(self, rows: Tensor) -> Tensor:
        """Items as the tower sees them. (…) → (…, d)"""
        return self.tower.item_vectors(self.texts[self.codes[rows]], self.ids[rows])


def fit_tower_student(
    handle: RunHandle,
    name: str,
    tower: UserTower,
    items: ItemIndex,
    id_rows: IntArray,
    taught: list[Taught],
    training: TextTraining,
    temperature: float,
) -> UserTower:
    """A copy of a trained tower that has learned from a teacher; `name` is its checkpoint's."""
    torch.manual_seed(handle.seed)
    student = deepcopy(tower)
    student.requires_grad_(True)
    task = TowerTask(student, items, id_rows, taught, training, temperature, handle.seed)
    if task.known:
        made_for = fingerprint(
            *(items.ids, items.text_codes, items.text_vectors, id_rows, temperature),
            *(part for one in taught for part in (one.items, one.logits)),
        )
        learn(handle, student, training, task.loss_of, task.quality_of, name, made_for)
    return student.eval()


class TowerOrder:
    """A tower that orders heads by itself."""

    def __init__(self, tower: UserTower, items: ItemIndex, id_rows: IntArray) -> None:
        self.tower = tower
        self.vectors = all_item_vectors(tower, items.text_vectors, items.text_codes, id_rows)

    def logits(self, rows: Rows, context: UserContext) -> FloatArray:
        """(N,) higher is better; the ranker's order for people without a history."""
        if not (context.weights > 0).any():
            return -np.arange(len(rows.items), dtype=np.float32)
        found: FloatArray = self.vectors[rows.items] @ user_vector(
            self.tower, self.vectors, context
        )
        return found
