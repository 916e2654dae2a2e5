"""Self-supervised training of an encoder: its objectives, by hand."""

from pathlib import Path

import pytest
import torch

from ranking.encoder_files import EncoderConfig
from tests.ranking.tiny_models import tiny_model
from training.pretrain import NOT_ASKED, PretrainingModel
from training.text_config import Pretraining


@pytest.fixture
def network(tmp_path: Path) -> PretrainingModel:
    config = EncoderConfig(str(tiny_model("bert", tmp_path / "bert")))
    return PretrainingModel.load(config, Pretraining())


def test_where_chance_has_hidden_nothing_the_loss_is_0(network: PretrainingModel) -> None:
    ids, mask = torch.tensor([[1, 5, 2]]), torch.ones(1, 3, dtype=torch.long)
    loss = network.masked_loss(ids, mask, torch.full((1, 3), NOT_ASKED))
    assert float(loss.detach()) == 0.0
    loss.backward()  # type: ignore[no-untyped-call]
    assert all(
        torch.isfinite(part.grad).all() for part in network.parameters() if part.grad is not None
    )
    labels = torch.tensor([[NOT_ASKED, 5, NOT_ASKED]])
    assert float(network.masked_loss(ids, mask, labels).detach()) > 0.0
