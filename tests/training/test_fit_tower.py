"""The tower's training: what it reads, and that it reads no further."""

from dataclasses import replace
from pathlib import Path
from typing import cast

import numpy as np
import pytest
import torch

from ranking.types import DAY, InteractionLog
from ranking.user_tower import UserTower
from tests.ranking.worlds import NOW, item_index, log_of
from training.errors import TrainingFault
from training.fit_tower import TowerTrainer, TowerTraining, fit_tower, sequences
from training.handle import RunHandle
from training.splits import BoolArray

TRAIN_UNTIL, VALID_UNTIL = NOW - 5.5 * DAY, NOW - 2.5 * DAY


class Silent:
    """Stands in for a run's handle: keeps checkpoints, says nothing."""

    seed = 1

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def check(self) -> None: ...
    def log(self, text: str) -> None: ...
    def stage(self, name: str, fraction: float) -> None: ...
    def metric(self, name: str, step: int, value: float) -> None: ...


class Telling(Silent):
    """One that keeps what is said."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.said: list[str] = []

    def log(self, text: str) -> None:
        self.said.append(text)


def days_of_five(step_after_validation: int = 1) -> InteractionLog:
    """Five people, one pick a day for ten days; the last two days can be made different."""
    return log_of(
        *(
            (user, (user + day * (1 if day < 8 else step_after_validation)) % 12, 10.0 - day, 1.0)
            for user in range(5)
            for day in range(10)
        )
    )


def masks(log: InteractionLog) -> tuple[BoolArray, BoolArray]:
    """What the tower learns from, and that with what stops it."""
    return log.timestamps < TRAIN_UNTIL, log.timestamps < VALID_UNTIL


def trained(log: InteractionLog, folder: Path) -> UserTower:
    folder.mkdir()
    handle = cast(RunHandle, Silent(folder))
    training = TowerTraining(epochs=2, batch=2)
    return fit_tower(handle, item_index(), log, *masks(log), training)


def test_a_checkpoint_of_other_items_or_settings_is_not_gone_on_from(tmp_path: Path) -> None:
    telling = Telling(tmp_path)
    handle, said = cast(RunHandle, telling), telling.said
    log, training = days_of_five(), TowerTraining(epochs=2, batch=2)
    items = item_index()
    first = fit_tower(handle, items, log, *masks(log), training)
    again = fit_tower(handle, items, log, *masks(log), training)
    assert "Tower: resumed after epoch 2." in said
    assert torch.equal(first.ids.weight, again.ids.weight)
    said.clear()
    fit_tower(handle, items, log, *masks(log), replace(training, learning_rate=1e-4))
    assert any("Begun anew" in line for line in said)
    more = item_index(13)
    said.clear()
    assert fit_tower(handle, more, log, *masks(log), training).config.item_count == 13
    assert any("Begun anew" in line for line in said)


def test_a_piece_is_one_persons_and_ends_in_time() -> None:
    log = days_of_five()
    pieces = sequences(log, log.timestamps < TRAIN_UNTIL, 100)
    assert [np.unique(log.users[piece]).tolist() for piece in pieces] == [[0], [1], [2], [3], [4]]
    assert all((log.timestamps[piece] < TRAIN_UNTIL).all() for piece in pieces)
    assert all(len(piece) == 5 for piece in pieces)


def test_long_histories_are_cut_and_overlap_by_one_step() -> None:
    log = log_of(*((1, day % 12, 10.0 - day, 1.0) for day in range(10)))
    assert [piece.tolist() for piece in sequences(log, np.ones(10, dtype=bool), 4)] == [
        [5, 6, 7, 8, 9],
        [1, 2, 3, 4, 5],
        [0, 1],
    ]


def test_what_happens_later_changes_nothing(tmp_path: Path) -> None:
    one = trained(days_of_five(), tmp_path / "one")
    other = trained(days_of_five(step_after_validation=7), tmp_path / "other")
    for name, weights in one.state_dict().items():
        assert torch.equal(weights, other.state_dict()[name]), name


def test_a_resumed_training_ends_with_the_same_weights(tmp_path: Path) -> None:
    whole = trained(days_of_five(), tmp_path / "whole")
    halves = tmp_path / "halves"
    halves.mkdir()
    handle = cast(RunHandle, Silent(halves))
    for epochs in (1, 2):
        training = TowerTraining(epochs=epochs, batch=2)
        log = days_of_five()
        tower = fit_tower(handle, item_index(), log, *masks(log), training)
    for name, weights in whole.state_dict().items():
        assert torch.equal(weights, tower.state_dict()[name]), name


def test_a_tower_that_says_the_same_of_all_items_is_no_good_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = days_of_five()
    known, until = masks(log)
    trainer = TowerTrainer(item_index(), log, known, TowerTraining(), 1)
    held = sequences(log, until, 100, until & ~known)
    for value, worth in ((0.0, 1 / np.log2(7)), (np.nan, 1 / np.log2(14))):  # of 12: the middle,
        everything = torch.full((12, trainer.config.width), value)  # and behind all
        monkeypatch.setattr(trainer, "everything", lambda table=everything: table)
        assert trainer.validate(held, until & ~known) == pytest.approx(worth)


def test_a_training_that_diverges_says_so(tmp_path: Path) -> None:
    log, handle = days_of_five(), cast(RunHandle, Silent(tmp_path))
    training = TowerTraining(epochs=4, batch=2, learning_rate=1e30)
    with pytest.raises(TrainingFault, match="take a lower learning_rate"):
        fit_tower(handle, item_index(), log, *masks(log), training)
