"""Training of the user tower: next-item prediction over everybody's sequences."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ranking.item_index import ItemIndex
from ranking.types import IntArray, InteractionLog
from ranking.user_tower import TowerConfig, UserTower, gap_buckets
from training import checkpoint
from training.handle import RunHandle
from training.losses import full_softmax, sampled_softmax
from training.splits import BoolArray
from training.validation import ndcg_of_targets, refuse_divergence

SMALL_CATALOG = 4_000  # items up to which the softmax runs over all of them
ASKED = 2_000  # steps, at most, that validation asks for
STEPS = 4_000_000  # of histories, read in all epochs together where no number is given
POOL = 40  # batches whose pieces are sorted by length together
LEAST_EPOCHS, MOST_EPOCHS = 4, 60  # where no number is given


@dataclass(frozen=True)
class TowerTraining:
    """How the tower is trained."""

    epochs: int | None = None  # at most; None: as many as STEPS allow
    patience: int = 8  # epochs without a better ranking of the validation's steps
    batch: int = 64  # sequences
    learning_rate: float = 2e-3
    weight_decay: float = 0.01
    clip: float = 1.0  # gradient norm
    negatives: int = 1_024  # shared by a batch, where the softmax is sampled


@dataclass(frozen=True)
class Batch:
    """Sequences, left-aligned; −1 marks the padding."""

    rows: Tensor  # (B, L) item rows
    targets: Tensor  # (B, L) the row of the step after each one; −1 where nothing is asked
    types: Tensor  # (B, L)
    gaps: Tensor  # (B, L) buckets of the time to the next step
    lengths: Tensor  # (B,)


def sequences(
    log: InteractionLog, known: BoolArray, length: int, fresh: BoolArray | None = None
) -> list[IntArray]:
    """Positions in this very log, cut per person into pieces of up to length + 1 steps.

    With `fresh`, only pieces whose last step is fresh. Both masks are over the log. (M,)
    """
    positive = np.flatnonzero((log.weights > 0) & known)
    borders = np.flatnonzero(np.diff(log.users[positive])) + 1
    pieces = []
    for person in np.split(positive, borders):
        for stop in range(len(person), 1, -length):
            piece = person[max(0, stop - length - 1) : stop]
            if fresh is not None and not fresh[piece[-1]]:
                break
            pieces.append(piece)
    return pieces


def batches(
    log: InteractionLog, pieces: list[IntArray], size: int, order: IntArray, asked: BoolArray
) -> Iterator[Batch]:
    """Pad pieces to batches, in this order; steps under `asked` are targets. (M,)"""
    for start in range(0, len(order), size):
        chosen = [pieces[place] for place in order[start : start + size]]
        longest = max(len(piece) for piece in chosen)
        rows = np.zeros((len(chosen), longest - 1), dtype=np.int64)
        targets, types, gaps = np.full_like(rows, -1), np.zeros_like(rows), np.zeros_like(rows)
        for place, piece in enumerate(chosen):
            steps, after = piece[:-1], piece[1:]
            rows[place, : len(steps)] = log.rows[steps]
            targets[place, : len(steps)] = np.where(asked[after], log.rows[after], -1)
            types[place, : len(steps)] = log.types[steps]
            gaps[place, : len(steps)] = gap_buckets(np.diff(log.timestamps[piece]))
        lengths = torch.tensor([len(piece) - 1 for piece in chosen])
        yield Batch(
            torch.from_numpy(rows),
            torch.from_numpy(targets),
            torch.from_numpy(types),
            torch.from_numpy(gaps),
            lengths,
        )


def shuffled(pieces: list[IntArray], size: int, seed: int) -> IntArray:
    """An order of these pieces in which those of one batch are about as long as each other."""
    generator = np.random.default_rng(seed)
    lengths = np.array([len(piece) for piece in pieces])
    order = generator.permutation(len(pieces))
    whole = len(order) // size * size
    pools = np.split(order, range(POOL * size, len(order), POOL * size))
    order = np.concatenate([pool[np.argsort(lengths[pool], kind="stable")] for pool in pools])
    full = generator.permutation(order[:whole].reshape(-1, size))  # batches, in any order
    return np.concatenate([full.ravel(), order[whole:]])


class TowerTrainer:
    """One training: network, optimiser, and where it stands; can be saved and resumed."""

    def __init__(
        self,
        items: ItemIndex,
        log: InteractionLog,
        known: BoolArray,
        training: TowerTraining,
        seed: int,
        config: TowerConfig | None = None,
    ) -> None:
        torch.manual_seed(seed)
        self.log, self.known, self.training, self.seed = log, known, training, seed
        self.config = config or TowerConfig(len(items), items.text_vectors.shape[1])
        self.tower = UserTower(self.config)
        self.texts = torch.from_numpy(items.text_vectors)
        self.codes = torch.from_numpy(items.text_codes)
        with torch.no_grad():  # what all texts share tells no items apart
            shared = self.texts[self.codes].mean(dim=0)  # (D,)
            self.tower.project.bias.copy_(-self.tower.project.weight @ shared)
        self.optimiser = torch.optim.AdamW(
            self.tower.parameters(), training.learning_rate, weight_decay=training.weight_decay
        )
        counts = np.bincount(log.rows[known], minlength=len(items)) + 1.0
        picked = known & (log.weights > 0)
        touched = np.bincount(log.rows[picked], minlength=len(items)) > 0
        self.untouched = torch.from_numpy(~touched)  # (N,)
        self.draw = torch.from_numpy(counts**0.75 / (counts**0.75).sum())  # (N,) q of a negative
        self.standing = checkpoint.Standing()

    def states(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """What the tower makes of the history before each step that is asked for, and that step.

        (P, d) and (P,) item rows.
        """
        texts = self.texts[self.codes[batch.rows]]  # (B, L, D)
        embedded = self.tower.item_vectors(texts, batch.rows)  # (B, L, d)
        states = self.tower(embedded, batch.types, batch.gaps, batch.lengths)  # (B, L, d)
        real = batch.targets >= 0
        return states[real], batch.targets[real]

    def everything(self) -> Tensor:
        """All items as the tower sees them. (N, d)"""
        return self.tower.item_vectors(self.texts[self.codes], torch.arange(len(self.codes)))

    def loss(self, batch: Batch, generator: torch.Generator) -> Tensor:
        """The mean loss over the real steps of a batch."""
        states, wanted = self.states(batch)
        if len(self.codes) <= SMALL_CATALOG:
            return full_softmax(states, self.everything(), wanted)
        drawn = torch.multinomial(
            self.draw, self.training.negatives, replacement=True, generator=generator
        )  # (K,)
        rows = torch.cat([wanted, drawn])  # (P + K,)
        distinct, place = torch.unique(rows, return_inverse=True)
        vectors = self.tower.item_vectors(self.texts[self.codes[distinct]], distinct)[place]
        expected = torch.log(self.draw[rows] * self.training.negatives).float()
        same = wanted.unsqueeze(1) == drawn.unsqueeze(0)  # (P, K)
        positives, negatives = vectors[: len(wanted)], vectors[len(wanted) :]
        return sampled_softmax(states, positives, negatives, expected, same)

    def run_epoch(self, pieces: list[IntArray], handle: RunHandle) -> float:
        """One pass over the training sequences; the mean loss.

        Raises
        ------
        Diverged
            The loss of a batch is no number.
        """
        self.tower.train()
        seed = self.seed * 1_000 + self.standing.done
        generator = torch.Generator().manual_seed(seed)
        torch.manual_seed(seed)  # dropout: the same after a resume
        order = shuffled(pieces, self.training.batch, seed)
        losses = []
        for batch in batches(self.log, pieces, self.training.batch, order, self.known):
            handle.check()
            loss = self.loss(batch, generator)
            losses.append(refuse_divergence(float(loss.detach())))
            self.optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(self.tower.parameters(), self.training.clip)
            self.optimiser.step()
        self.standing.done += 1
        return float(np.mean(losses))

    @torch.no_grad()
    def validate(self, pieces: list[IntArray], asked: BoolArray) -> float:
        """The nDCG of a draw of the steps under `asked`, each among all items. (M,)

        The loss would stop too early: it goes up again, because the tower is too sure, long before
        the ranking is at its best.
        """
        self.tower.eval()
        items = self.everything()
        gains: list[Tensor] = []
        left, size = ASKED, self.training.batch
        order = np.random.default_rng(self.seed).permutation(len(pieces))
        for batch in batches(self.log, pieces, size, order, asked):
            states, wanted = (part[:left] for part in self.states(batch))
            left -= len(wanted)
            for start in range(0, len(wanted), size):
                scores = states[start : start + size] @ items.T  # (P, N)
                gains.append(ndcg_of_targets(scores, wanted[start : start + size]))
            if left <= 0:
                break
        return float(torch.cat(gains).mean())

    def finish(self) -> UserTower:
        """The tower with its best weights; without an id vector for items that nobody picked.

        As negatives those learned that they are never picked, which says nothing of tomorrow.
        """
        checkpoint.restore_best(self.tower, self.standing)
        with torch.no_grad():
            self.tower.ids.weight[self.untouched] = 0.0
        return self.tower.eval()


def epochs_for(pieces: list[IntArray]) -> int:
    """How often to read these sequences at most, so that a large log takes no longer than most."""
    steps = sum(map(len, pieces))
    return int(np.clip(STEPS // max(steps, 1), LEAST_EPOCHS, MOST_EPOCHS))


def fit_tower(
    handle: RunHandle,
    items: ItemIndex,
    log: InteractionLog,
    known: BoolArray,
    until: BoolArray,
    training: TowerTraining,
    config: TowerConfig | None = None,
    name: str = "tower",
) -> UserTower:
    """Train on what is known, with early stopping on the steps that `until` holds besides. (M,)

    A run that trains several towers gives each a name: of its checkpoint and its curves.
    """
    trainer = TowerTrainer(items, log, known, training, handle.seed, config)
    length = trainer.config.length
    pieces = sequences(log, known, length)  # positions in the trainer's own log
    held = sequences(log, until, length, until & ~known)[:2_000]
    path = handle.folder / f"{name}.checkpoint"
    made_for = checkpoint.fingerprint(
        *(items.ids, items.text_codes, items.text_vectors),
        *(log.users, log.rows, log.timestamps, log.weights, known, until),
        *(training, trainer.config, handle.seed),
    )
    standing = trainer.standing = checkpoint.resume(
        path, trainer.tower, trainer.optimiser, made_for
    )
    if standing.done:
        handle.log(f"Tower: resumed after epoch {standing.done}.")
    elif path.exists():
        handle.log(f"Tower: {checkpoint.ANEW}")
    epochs = training.epochs or epochs_for(pieces)
    handle.log(
        f"Tower: {len(pieces):,} sequences, {len(held):,} to validate; at most "
        f"{epochs} epochs, in batches of {training.batch}"
    )
    while standing.done < epochs and standing.bad < training.patience and pieces:
        share = standing.done / epochs
        handle.stage(f"{name}, epoch {standing.done + 1}", 0.05 + 0.45 * share)
        train_loss = trainer.run_epoch(pieces, handle)
        quality = trainer.validate(held, until & ~known) if held else float(standing.done)
        standing.note(quality, trainer.tower)
        handle.metric(f"{name}/train_loss", standing.done, train_loss)
        handle.metric(f"{name}/valid_ndcg", standing.done, quality)
        handle.log(f"Tower: epoch {standing.done}: loss {train_loss:.4f}, nDCG {quality:.4f}")
        checkpoint.save(path, trainer.tower, trainer.optimiser, standing, made_for)
    return trainer.finish()
