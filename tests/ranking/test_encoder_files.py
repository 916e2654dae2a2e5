"""Encoders of every kind that transformers loads; and folders that are refused, in one line."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import psutil
import pytest
import torch

from ranking.encoder import Encoder
from ranking.encoder_files import (
    EncoderConfig,
    bytes_needed,
    check_folder,
    config_from,
    digest_of,
    weight_bytes,
    weight_files,
    weights_sha256,
)
from ranking.errors import RankingFault
from ranking.text_model import TextModel
from tests.ranking.tiny_models import KINDS, WORDS, tiny_model, tiny_tokenizer

TEXTS = ["abc", "a", "the green tea from a hill", "绿茶"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tiny_model("bert", tmp_path / "bert")


def edit(folder: Path, **changes: Any) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_every_architecture_is_read(tmp_path: Path, kind: str, dtype: str) -> None:
    folder = tiny_model(kind, tmp_path / kind)
    encoder = Encoder(
        EncoderConfig(str(folder), KINDS[kind][1], "q: ", "i: ", max_tokens=48, dtype=dtype)
    )
    together = encoder.encode_items(TEXTS)
    assert together.shape == (4, 32)
    assert np.linalg.norm(together, axis=1) == pytest.approx(1.0, abs=1e-5)
    alone = np.stack([encoder.encode_items([text])[0] for text in TEXTS])
    close = 1e-5 if dtype == "float32" else 2e-2
    assert together == pytest.approx(alone, abs=close)  # padding changes nothing
    assert not np.array_equal(encoder.encode_query("abc"), together[0])  # another prefix


@pytest.mark.parametrize("pooling", ["mean", "last"])
def test_padding_may_lie_on_either_side(pooling: str) -> None:
    states = torch.arange(24.0).reshape(2, 3, 4)  # (B, T, H)
    model = TextModel(torch.nn.Identity(), pooling)
    right = model.pool(states, torch.tensor([[1, 1, 1], [1, 1, 0]]))
    left = model.pool(states.flip(1), torch.tensor([[1, 1, 1], [0, 1, 1]]))
    if pooling == "mean":
        assert torch.equal(left, right)
    else:
        assert torch.equal(right, states[[0, 1], [2, 1]])
        assert torch.equal(left, states.flip(1)[:, 2])


def test_shards_are_read_and_digested(tmp_path: Path, folder: Path) -> None:
    sharded = tiny_model("bert", tmp_path / "sharded", max_shard_size="20KB")
    names = [path.name for path in weight_files(sharded)]
    assert len(names) > 1
    assert names == sorted(names)
    whole, parts = (Encoder(EncoderConfig(str(one))) for one in (folder, sharded))
    assert np.array_equal(whole.encode_items(TEXTS), parts.encode_items(TEXTS))
    assert whole.digest != parts.digest
    assert bytes_needed(sharded, 4) == bytes_needed(folder, 4)
    (folder / "projection.safetensors").write_bytes(b"12345")  # not in bytes_needed: small
    assert weight_bytes(folder) == (folder / "model.safetensors").stat().st_size + 5
    weight_files(sharded)[-1].unlink()
    with pytest.raises(RankingFault, match=r"no config.json and model.safetensors"):
        check_folder(sharded, 32)


def test_the_digest_of_before_there_was_a_number_format_stays(folder: Path) -> None:
    config = EncoderConfig(str(folder))
    weights, digest = digest_of(config, folder)
    assert weights == weights_sha256(folder)
    assert digest_of(EncoderConfig(str(folder), sha256=weights.upper()), folder)[1] == digest
    assert digest_of(EncoderConfig(str(folder), dtype="float32"), folder)[1] != digest
    with pytest.raises(RankingFault, match="not the one that is wanted"):
        digest_of(EncoderConfig(str(folder), sha256="0" * 64), folder)


def test_what_cannot_be_loaded_is_refused(folder: Path) -> None:
    def refused(match: str, most: int = 32) -> None:
        with pytest.raises(RankingFault, match=match) as told:
            Encoder(EncoderConfig(str(folder), max_tokens=most))
        assert "\n" not in str(told.value)

    refused("reads 130 tokens at most: set ENCODER_MAX_TOKENS, or --max-tokens, to 130", most=131)
    edit(folder, auto_map={"AutoModel": "code.Model"})
    refused("brings code of its own")
    edit(folder, auto_map=None)
    path = folder / "config.json"
    told = json.loads(path.read_text())
    del told["auto_map"]
    path.write_text(json.dumps(told | {"is_encoder_decoder": True}))
    refused("an encoder with a decoder")
    path.write_text(json.dumps(told | {"model_type": "abacus"}))
    refused("cannot be")
    path.write_text(json.dumps(told | {"num_hidden_layers": 3}))
    refused("lack 16 parts that its config.json names")
    path.write_text(json.dumps(told))
    tiny_tokenizer([*WORDS, "one more"]).save_pretrained(str(folder))
    refused("knows 39 tokens, its network 38")
    (folder / "tokenizer.json").write_text("{}")
    refused("The tokenizer of the encoder .* cannot be read")
    (folder / "tokenizer.json").unlink()
    refused("has no tokenizer")
    tiny_tokenizer(WORDS).save_pretrained(str(folder))
    (folder / "model.safetensors").write_bytes(b"nonsense, and more of it")
    refused("no safetensors file")
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    refused("pickled weights, which are never loaded")


def test_what_does_not_fit_into_memory_is_refused(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    needed = bytes_needed(folder, 4)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=needed - 1))
    with pytest.raises(RankingFault, match=r"needs 0.0 GB as torch.float32"):
        Encoder(EncoderConfig(str(folder), dtype="float32"))
    Encoder(EncoderConfig(str(folder), dtype="bfloat16"))  # takes half as much


@pytest.mark.parametrize(
    ("told", "said"),
    [
        ({}, "needs a model"),
        ({"model": "x", "speed": 3}, "has no speed"),
        ({"model": "x", "max_tokens": "9"}, "of another kind"),
        ({"model": "x", "max_tokens": 4}, "between 8 and 32768"),
        ({"model": "x", "pooling": "sum"}, "say mean, cls, last"),
        ({"model": "x", "dtype": "int8"}, "say auto, float32"),
        ({"model": "./nowhere"}, "no config.json"),
    ],
)
def test_a_wrong_field_is_named(told: dict[str, Any], said: str) -> None:
    with pytest.raises(RankingFault, match=said):
        config_from(told)


def test_a_name_that_is_not_here_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(RankingFault, match="is not here and cannot be downloaded"):
        Encoder(EncoderConfig("nobody/has-this"))
