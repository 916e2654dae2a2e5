"""A personal model is kept where it surely pays, and only there."""

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import cast

import numpy as np
import pytest
import torch

from ranking.device import one_thread
from ranking.personalizer import HEAD, NO_TOKEN
from ranking.pipeline import Trace, rank
from ranking.rankers.examples import HISTORY, Examples
from ranking.sources import union
from ranking.state import RankingState
from ranking.types import DAY, FloatArray, IntArray
from tests.ranking.worlds import NOW, item_index, log_of, state
from training.fit_personal import (
    NAMES,
    Heads,
    PersonalTraining,
    choose_design,
    cross_fitted,
    heads_of,
)
from training.handle import RunHandle
from training.losses import listwise, softened
from training.splits import QUERY, context_of, leave_last
from training.words import SIZE, Words, principal, words_of

PEOPLE, SIZE_OF_HEAD, ITEMS = 160, 20, 12
DUE = NAMES.index("item_due")
TRAINING = PersonalTraining(epochs=6, learning_rate=5e-3)


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    with one_thread():
        yield


class Told:
    """Stands in for a run's handle."""

    seed = 1

    def __init__(self) -> None:
        self.lines: list[str] = []

    def check(self) -> None: ...
    def log(self, text: str) -> None:
        self.lines.append(text)


def heads(label: Callable[[FloatArray, IntArray, IntArray], FloatArray], seed: int = 0) -> Heads:
    """One head a person; `label` says who is picked: by a feature, the item, the last pick."""
    draw = np.random.default_rng(seed)
    total = PEOPLE * SIZE_OF_HEAD
    features = np.zeros((total, len(NAMES)), dtype=np.float32)
    features[:, DUE] = draw.normal(size=total)
    items = draw.integers(0, ITEMS, size=total)
    histories = np.full((PEOPLE, HISTORY), -1, dtype=np.int64)
    histories[:, :2] = draw.integers(0, ITEMS, size=(PEOPLE, 2))
    labels = label(features[:, DUE], items, np.repeat(histories[:, 0], SIZE_OF_HEAD))
    groups = np.full(PEOPLE, SIZE_OF_HEAD)
    examples = Examples(features, labels, groups, items, labels.astype(np.uint8), histories)
    picked = labels.reshape(PEOPLE, SIZE_OF_HEAD).sum(axis=1).astype(np.int64)
    return Heads(examples, np.arange(PEOPLE), np.maximum(picked, 1))


def words(count: int = ITEMS) -> Words:
    """Each item has one word, three items share it."""
    rows = np.full((count, 4), NO_TOKEN, dtype=np.int32)
    rows[:, 0] = np.arange(count) % 4
    return Words(rows, np.eye(4, SIZE, dtype=np.float32))


def then() -> RankingState:
    return state(log_of((1, 0, 1.0, 1.0)), item_index(ITEMS))


def handle() -> RunHandle:
    return cast(RunHandle, Told())


def test_what_surely_pays_is_kept() -> None:
    due = heads(lambda feature, items, last: (feature > 1.0).astype(np.float32))
    model, pays = choose_design(handle(), due, then(), words(), TRAINING)
    assert pays
    scores = [model.logits(rows) for rows in due.examples.requests()]
    assert due.ndcg(scores).mean() > due.ndcg(due.in_order()).mean() + 0.2


def test_chance_is_switched_off() -> None:
    draw = np.random.default_rng(7)
    noise = heads(
        lambda feature, items, last: (draw.random(len(items)) < 0.1).astype(np.float32), seed=7
    )
    told = Told()
    model, pays = choose_design(cast(RunHandle, told), noise, then(), words(), TRAINING)
    assert not pays
    assert model.network.config.design in ("features", "tokens")  # ships all the same
    assert "switched off" in told.lines[-1]
    assert all(re.search(r", \d+\.\d ms for a head of 20$", line) for line in told.lines[:-1])
    assert len(told.lines) == 3  # features, tokens; no attention where there is no tower


def test_words_in_common_are_learned_from() -> None:
    alike = heads(lambda feature, items, last: (items % 4 == last % 4).astype(np.float32))
    model, pays = choose_design(handle(), alike, then(), words(), TRAINING)
    assert pays
    assert model.network.config.design == "tokens"


def test_nobody_is_ordered_by_what_their_own_picks_taught() -> None:
    some = heads(lambda feature, items, last: (feature > 1.0).astype(np.float32))
    seen: list[Examples] = []

    def fit(examples: Examples) -> object:
        seen.append(examples)
        return Ordered()

    class Ordered:
        def logits(self, rows: object) -> FloatArray:
            return np.zeros(SIZE_OF_HEAD, dtype=np.float32)

    scores, _ = cross_fitted(handle(), some, fit)  # type: ignore[arg-type]
    assert len(scores) == PEOPLE
    assert [len(part.groups) for part in seen] == [PEOPLE * 3 // 4] * 4


def test_a_pick_outside_the_head_counts_as_missed() -> None:
    one = heads(lambda feature, items, last: (np.arange(len(items)) % 20 == 0).astype(np.float32))
    first = Heads(one.examples, one.users, one.picked + 1)
    alone, missed = one.ndcg(one.in_order()), first.ndcg(first.in_order())
    assert alone == pytest.approx(1.0)
    assert missed == pytest.approx(1 / (1 + 1 / np.log2(3)))


def test_heads_are_those_of_a_page(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        union, "SOURCES", {name: (source, 1) for name, (source, _) in union.SOURCES.items()}
    )
    events = [
        (user, (user + 1) * day % 40, 60.0 - day, 1.0) for user in range(4) for day in range(50)
    ]
    log, items = log_of(*events), replace(item_index(40), published=np.full(40, NOW - 99 * DAY))
    fold = leave_last(log, 1, repeats=True).valid
    before = state(log, items).as_of(log.keep(fold.known), fold.now)
    found = heads_of(handle(), before, log, fold)
    for rows, request in zip(found.examples.requests(), fold.requests, strict=True):
        page = rank(before, context_of(log, request), QUERY, Trace())
        assert rows.items.tolist() == page.rows[:HEAD].tolist()


def test_listwise_loss_by_hand() -> None:
    logits = torch.tensor([[0.0, np.log(3.0), 50.0], [1.0, 2.0, 3.0]])
    labels = torch.tensor([[1.0, 1.0, 0.0], [0.0, 0.0, 0.0]])
    real = torch.tensor([[True, True, False], [True, True, True]])
    # softmax of the first list: 1/4 and 3/4; −(log 1/4 + log 3/4) / 2; the second has no label
    assert float(listwise(logits, labels, real)) == pytest.approx(-np.log(3 / 16) / 2, rel=1e-5)


def test_loss_against_a_teacher_by_hand() -> None:
    logits = torch.tensor([[0.0, 0.0, 50.0], [1.0, 2.0, 3.0], [2.0, 7.0, 0.0]])
    taught = torch.tensor([[2 * np.log(3.0), 0.0, 0.0], [0.0, 0.0, 0.0], [2.0, 7.0, 9.0]])
    asked = torch.tensor([[True, True, False], [True, False, False], [True, True, False]])
    # of the first list, at T = 2: 3/4 and 1/4 against 1/2 and 1/2; the second says nothing, the
    # third is as its teacher wants it
    distance = 0.75 * np.log(1.5) + 0.25 * np.log(0.5)
    found = softened(logits, taught.float(), asked, 2.0)
    assert float(found) == pytest.approx(4 * distance / 2, rel=1e-5)


def test_principal_components_keep_distances_and_fill_up() -> None:
    vectors = np.random.default_rng(0).normal(size=(6, 3)).astype(np.float32)
    found = principal(vectors, np.array([1, 5, 2, 2, 2, 2]))
    assert found.shape == (6, SIZE)
    assert (found[:, 3:] == 0).all()
    assert np.linalg.norm(found[0] - found[1]) == pytest.approx(
        np.linalg.norm(vectors[0] - vectors[1]), rel=1e-4
    )


def test_items_without_an_encoder_have_no_words() -> None:
    none = words_of(item_index(ITEMS))
    assert (none.rows == NO_TOKEN).all()
    assert none.vectors.shape == (0, SIZE)
