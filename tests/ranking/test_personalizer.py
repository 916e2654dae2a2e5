"""The personal model: where it starts, what it moves, and what it does without."""

from pathlib import Path

import numpy as np
import pytest
import torch

from ranking.personalizer import (
    DESIGNS,
    HEAD,
    NO_TOKEN,
    PersonalConfig,
    Personalizer,
    PersonalNetwork,
)
from ranking.rankers.examples import Rows
from ranking.types import Candidates

NAMES = ["noise", "due"]
COUNT = 120  # candidates, more than the head
DRAW = np.random.default_rng(0)
FEATURES = DRAW.normal(size=(COUNT, 2)).astype(np.float32)
HISTORY = np.array([3, 1])


def personalizer(design: str, seed: int = 0) -> Personalizer:
    torch.manual_seed(seed)
    network = PersonalNetwork(PersonalConfig(design, tuple(NAMES), 4, token_count=5, token_size=3))
    if design == "tokens":
        network.words[:5] = torch.randn(5, 3)
    vectors = DRAW.normal(size=(COUNT, 4)).astype(np.float32)
    words = DRAW.integers(0, 5, size=(COUNT, 6)).astype(np.int32)
    words[::3, 2:] = NO_TOKEN
    return Personalizer(network, NAMES, vectors, words)


def taught(model: Personalizer) -> Personalizer:
    """With a last layer that is not 0, as if it had learned something."""
    last = model.network.correct[-1]
    assert isinstance(last, torch.nn.Linear)
    torch.nn.init.normal_(last.weight)
    return model


def candidates() -> Candidates:
    nothing = np.zeros((COUNT, 0), dtype=np.float32)
    scores = np.linspace(1, 0, COUNT, dtype=np.float32)
    return Candidates(np.arange(COUNT), nothing, nothing, (), scores, FEATURES)


@pytest.mark.parametrize("design", DESIGNS)
def test_before_it_has_learned_the_order_stands(design: str) -> None:
    moved = personalizer(design).rerank(candidates(), HISTORY)
    assert moved.rows.tolist() == list(range(COUNT))


def test_words_meet_the_words_of_the_history() -> None:
    """Two dimensions by hand: right, up, one with a length of 1 in between, and left."""
    network = PersonalNetwork(PersonalConfig("tokens", (), token_count=4, token_size=2))
    network.words[:4] = torch.tensor([[2.0, 0.0], [0.0, 3.0], [0.6, 0.8], [-1.0, 0.0]])
    torch.nn.init.eye_(network.read.weight)
    torch.nn.init.constant_(network.sharpness, np.log(3))
    none = NO_TOKEN
    candidates = torch.tensor([[[0, none], [1, 2], [none, none]]])  # (1, N, T)
    history = torch.tensor([[[0, 1], [none, none]]])  # (1, H, T)
    met, best = network._meet_words(candidates, history)
    # Right is met by right three times as much as by up: (¾, ¼). The other way round up.
    weight = 3**0.6 / (3**0.6 + 3**0.8)  # of right, for the word in between
    between = (0.6 * weight, 0.8 * (1 - weight))
    expected = [[0.75, 0.0], [between[0] / 2, (0.75 + between[1]) / 2], [0.0, 0.0]]
    torch.testing.assert_close(met[0], torch.tensor(expected))
    torch.testing.assert_close(best[0, :, 0], torch.tensor([1.0, 0.9, 0.0]))
    left, right = torch.tensor([[[3]]]), torch.tensor([[[0], [none]]])
    met, best = network._meet_words(left, right)  # what fills a history is not nearer
    torch.testing.assert_close(met[0], torch.tensor([[-1.0, 0.0]]))
    assert best.item() == -1.0
    met, best = network._meet_words(candidates, torch.full_like(history, none))
    assert not met.any()
    assert not best.any()


@pytest.mark.parametrize("design", DESIGNS)
def test_only_the_head_moves_and_places_keep_their_scores(design: str) -> None:
    before = candidates()
    moved = taught(personalizer(design)).rerank(before, HISTORY)
    assert moved.rows.tolist() != before.rows.tolist()
    assert sorted(moved.rows[:HEAD].tolist()) == list(range(HEAD))
    assert moved.rows[HEAD:].tolist() == list(range(HEAD, COUNT))
    assert (moved.scores == before.scores).all()
    assert (moved.features == FEATURES[moved.rows]).all()


@pytest.mark.parametrize("design", DESIGNS)
def test_people_without_a_history_and_items_without_words_have_an_order(design: str) -> None:
    model = taught(personalizer(design))
    model.words[:] = NO_TOKEN
    rows = Rows(FEATURES[:5], np.arange(5), np.zeros(0, dtype=np.int64))
    assert np.isfinite(model.logits(rows)).all()


@pytest.mark.parametrize("design", DESIGNS)
def test_what_is_saved_is_what_is_loaded(design: str, tmp_path: Path) -> None:
    model = taught(personalizer(design))
    model.save(tmp_path / "personalizer.safetensors")
    again = Personalizer.load(
        tmp_path / "personalizer.safetensors",
        model.network.config,
        NAMES,
        model.vectors,
        model.words,
    )
    rows = Rows(FEATURES[:7], np.arange(7), HISTORY)
    assert (again.logits(rows) == model.logits(rows)).all()


def test_a_history_counts_whatever_the_order_of_its_words() -> None:
    model = taught(personalizer("tokens"))
    rows = Rows(FEATURES[:7], np.arange(7), HISTORY)
    before = model.logits(rows)
    model.words[HISTORY] = model.words[HISTORY][:, ::-1]
    assert model.logits(rows) == pytest.approx(before, abs=1e-5)
    model.words[HISTORY] = NO_TOKEN
    assert not np.allclose(model.logits(rows), before, atol=1e-3)
