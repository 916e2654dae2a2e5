"""FM and DCN against values worked by hand, and the sum of several rankers."""

from pathlib import Path

import numpy as np
import pytest
import torch

from ranking.rankers.dcn import DeepCross
from ranking.rankers.ensemble import Ensemble
from ranking.rankers.examples import Rows
from ranking.rankers.fm import FactorizationMachine
from ranking.rankers.network import NetworkConfig, NetworkRanker, RankingNetwork
from ranking.types import FloatArray

NAMES = ["a", "b", "c"]
VECTORS = np.eye(4, dtype=np.float32)
NOTHING = torch.zeros(1, 0, 4)


def rows(*features: list[float], history: tuple[int, ...] = ()) -> Rows:
    count = len(features)
    return Rows(
        np.array(features, dtype=np.float32), np.arange(count) % 4, np.array(history, dtype=int)
    )


def body_of(network: RankingNetwork) -> FactorizationMachine:
    assert isinstance(network.body, FactorizationMachine)
    return network.body


def config(kind: str, **changed: object) -> NetworkConfig:
    settings: dict[str, object] = {"features": ("a", "c"), "types": (0, 7), "values": (1.0, -1.0)}
    return NetworkConfig(kind, **(settings | changed))  # type: ignore[arg-type]


def test_fm_sums_the_products_of_all_pairs() -> None:
    network = FactorizationMachine(3, 1, 2)
    factors = torch.tensor([[[1.0, 0.0], [2.0, 1.0], [0.0, 3.0]]])
    network.factors.data.copy_(factors)
    network.linear.weight.data.copy_(torch.tensor([[0.5, 0.0, -1.0]]))
    network.linear.bias.data.zero_()
    x = torch.tensor([[[1.0, 2.0, 3.0]]])
    # w·x = 0.5 − 3; pairs: ⟨v1, v2⟩·1·2 = 4, ⟨v1, v3⟩ = 0, ⟨v2, v3⟩·2·3 = 18
    found = network(x, NOTHING, NOTHING, torch.tensor([0]))
    assert found.item() == pytest.approx(-2.5 + 4 + 18)


def test_attention_reads_the_history_and_not_its_padding() -> None:
    torch.manual_seed(0)
    network = DeepCross(width=2, heads=1, rank=2, vector_size=4, hidden=4, crosses=1).eval()
    items = torch.eye(4)[None, :2]  # (1, 2, 4)
    history = torch.eye(4)[None, 2:]  # (1, 2, 4)
    one = network.attend(items, history, torch.tensor([1]))
    padded = network.attend(items, torch.cat([history[:, :1], 9 * history], 1), torch.tensor([1]))
    assert torch.allclose(one, padded, atol=1e-5)
    assert not torch.allclose(one, network.attend(items, history, torch.tensor([2])), atol=1e-5)
    nobody = network.attend(items, history, torch.tensor([0]))
    assert torch.isfinite(nobody).all()


def test_what_is_missing_is_told_from_what_is_average() -> None:
    network = RankingNetwork(config("fm"))
    network.standardise(np.array([[1.0, np.nan], [3.0, 5.0], [np.nan, 5.0]], dtype=np.float32))
    assert network.mean.tolist() == [2.0, 5.0]
    assert network.scale.tolist() == [1.0, 1.0]  # a column that never changes is left as it is
    body_of(network).linear.weight.data.copy_(torch.tensor([[0.0, 0.0, 1.0, 0.0]] * 2))
    body_of(network).linear.bias.data.zero_()
    body_of(network).factors.data.zero_()
    found = network(
        torch.tensor([[[np.nan, 5.0], [2.0, 5.0]]]), NOTHING, NOTHING, torch.tensor([0])
    )
    assert found[0, :, 0].tolist() == [1.0, 0.0]


def test_a_candidate_is_worth_the_weighted_sum_of_its_probabilities() -> None:
    network = RankingNetwork(config("fm"))
    for parameter in network.parameters():
        parameter.data.zero_()
    body_of(network).linear.bias.data.copy_(torch.tensor([0.0, np.log(3.0)]))
    scored = NetworkRanker(network, NAMES, VECTORS).score(rows([1, 2, 3]))
    assert scored.tolist() == pytest.approx([1.0 * 0.5 - 1.0 * 0.75])


def test_other_weights_of_the_heads_change_what_it_is_worth_and_not_the_network() -> None:
    network = RankingNetwork(config("fm"))
    for parameter in network.parameters():
        parameter.data.zero_()
    ranker = NetworkRanker(network, NAMES, VECTORS)
    other = Ensemble({"fm": ranker}, {"fm": 1.0}).revalued([0.5, *[9.0] * 6, -2.0]).members["fm"]
    assert other.score(rows([1, 2, 3])).tolist() == pytest.approx([0.5 * 0.5 - 2.0 * 0.5])
    assert ranker.score(rows([1, 2, 3])).tolist() == pytest.approx([0.0])


@pytest.mark.parametrize("kind", ["fm", "dcn"])
def test_saved_and_loaded_a_network_scores_alike(kind: str, tmp_path: Path) -> None:
    settings = config(kind, vector_size=4 if kind == "dcn" else 0)
    ranker = NetworkRanker(RankingNetwork(settings), NAMES, VECTORS)
    asked = rows([1, 2, 3], [3, 2, np.nan], history=(1, 3))
    ranker.save(tmp_path / "net.safetensors")
    loaded = NetworkRanker.load(tmp_path / "net.safetensors", settings, NAMES, VECTORS)
    assert loaded.score(asked) == pytest.approx(ranker.score(asked))


class Fixed:
    """A ranker that always answers the same."""

    def __init__(self, *scores: float) -> None:
        self.scores = np.array(scores, dtype=np.float32)

    def score(self, rows: Rows) -> FloatArray:
        return self.scores


def test_rankers_together_are_the_weighted_sum_of_the_orders_they_give() -> None:
    members = {"one": Fixed(0.0, 2.0), "other": Fixed(300.0, 100.0)}
    found = Ensemble(members, {"one": 0.75, "other": 0.25}).score(rows([0, 0, 0], [0, 0, 0]))
    second = 2.0**-0.1  # half for every ten places down
    assert found.tolist() == pytest.approx([0.75 * second + 0.25, 0.75 + 0.25 * second])
