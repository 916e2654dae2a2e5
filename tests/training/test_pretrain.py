"""Self-supervised training of an encoder: its objectives, by hand."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from ranking.encoder import pad
from ranking.encoder_files import EncoderConfig
from ranking.text_model import load_tokenizer
from tests.ranking.tiny_models import tiny_model
from training.errors import TrainingFault
from training.pretrain import NOT_ASKED, CatalogText, PretrainingModel
from training.text_config import Pretraining
from training.text_training import refuse_too_large, thinned


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


@pytest.mark.parametrize(("kind", "steady"), [("bert", False), ("modernbert", True)])
def test_an_encoder_without_dropout_is_found_out(kind: str, steady: bool, tmp_path: Path) -> None:
    config = EncoderConfig(str(tiny_model(kind, tmp_path / kind)))
    network = PretrainingModel.load(config, Pretraining())
    texts = CatalogText([("the green tea from a hill", "", "")] * 3, load_tokenizer(config), 64)
    assert network.is_steady(*pad(texts.whole, texts.filler)) == steady
    one, two = texts.views(np.arange(3))
    assert torch.equal(one[0], two[0])
    texts.word_drop = 0.3
    one, two = texts.views(np.arange(3))
    assert one[0].shape != two[0].shape or not torch.equal(one[0], two[0])


def test_texts_are_read_with_the_prefix_that_items_have(tmp_path: Path) -> None:
    tokenizer = load_tokenizer(EncoderConfig(str(tiny_model("bert", tmp_path / "bert"))))
    items = [("green", "tea", "a hill")]
    bare = CatalogText(items, tokenizer, 64)
    told = CatalogText(items, tokenizer, 64, "the ")
    prefix = tokenizer("the ")["input_ids"][:-1]  # without the end of the text
    for part in ("whole", "title", "rest"):
        assert getattr(told, part)[0] == [*prefix, *getattr(bare, part)[0][1:]], part


def test_a_thinned_text_keeps_both_ends() -> None:
    assert thinned([1, 5, 6, 2], 1.0) == [1, 2]
    assert thinned([1, 5, 6, 2], 0.0) == [1, 5, 6, 2]
    assert thinned([], 0.5) == []


def test_what_does_not_fit_into_memory_while_it_learns_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = EncoderConfig(str(tiny_model("bert", tmp_path / "bert")))
    size = (tmp_path / "bert" / "model.safetensors").stat().st_size  # of the weights, and a header

    def left(free: int) -> None:
        monkeypatch.setattr("psutil.virtual_memory", lambda: SimpleNamespace(available=free))

    left(4 * size)
    refuse_too_large(config)
    left(2 * size)  # enough to load it
    with pytest.raises(TrainingFault, match="fine-tune it with way=lora or way=projection"):
        refuse_too_large(config)
