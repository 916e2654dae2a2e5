"""The networks learn what decides, and the shares of a sum are chosen for its quality."""

from typing import cast

import numpy as np
import pytest
from numpy.typing import NDArray

from ranking.rankers.network import NetworkConfig
from tests.ranking.worlds import examples_of
from training.fit_network import NetworkTraining, fit_network, ndcg
from training.handle import RunHandle
from training.scoring import greedy_shares

DRAW = np.random.default_rng(0)
NAMES = ["noise", "due"]


class Heard:
    """Stands in for a run's handle; keeps the curves."""

    seed = 1

    def __init__(self) -> None:
        self.curve: list[tuple[int, float]] = []

    def check(self) -> None: ...
    def metric(self, name: str, step: int, value: float) -> None:
        self.curve.append((step, value))


@pytest.mark.parametrize("kind", ["fm", "dcn"])
def test_a_network_learns_what_is_picked(kind: str) -> None:
    features = DRAW.normal(size=(120 * 20, 2)).astype(np.float32)
    labels = (features[:, 1] > 1.2).astype(np.float32)
    features[::7, 0] = np.nan
    examples = examples_of(features, labels, np.full(120, 20), np.arange(2400) % 5)
    config = NetworkConfig(kind, tuple(NAMES), (0,), (1.0,), 3 if kind == "dcn" else 0)
    vectors = DRAW.normal(size=(5, 3)).astype(np.float32)
    training = NetworkTraining(epochs=8, learning_rate=0.02)
    heard = Heard()
    handle = cast(RunHandle, heard)
    ranker, epochs = fit_network(handle, config, examples, examples, NAMES, vectors, training)
    assert 1 <= epochs <= 8
    assert ndcg(ranker, examples) > 0.8
    assert [step for step, _ in heard.curve] == list(range(1, len(heard.curve) + 1))
    assert max(heard.curve, key=lambda point: point[1])[0] == epochs
    heard.curve.clear()
    again = NetworkTraining(epochs=2, learning_rate=0.02)
    assert fit_network(handle, config, examples, None, NAMES, vectors, again)[1] == 2
    assert heard.curve == []  # nothing was measured


def test_the_sum_takes_in_what_helps_and_leaves_out_what_does_not() -> None:
    target = np.array([0.7, 0.3, 0.0])

    def quality(shares: NDArray[np.float64]) -> float:
        return -float(np.abs(shares - target).sum())

    shares = greedy_shares(quality, 3)
    assert shares == pytest.approx(target, abs=0.06)
    assert shares.sum() == pytest.approx(1.0)
