"""The network behind g(Y): a transformer, pooled to one unit vector a text, perhaps projected.

It is used as it was downloaded, and learns further in training/pretrain.py and finetune.py. Its
folder holds what transformers writes, and what decides the vector besides:

    config.json, model.safetensors, tokenizer files
    encoder.json            pooling, prefixes, most tokens; learned encoders only
    projection.safetensors  W (D', D), where one was learned
"""

import hashlib
import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import AutoModel, AutoTokenizer, PreTrainedTokenizerBase
from transformers.utils.hub import cached_file
from transformers.utils.logging import disable_progress_bar, set_verbosity_error

from ranking.errors import RankingFault

WEIGHTS, PROJECTION, SETTINGS = "model.safetensors", "projection.safetensors", "encoder.json"


@dataclass(frozen=True)
class EncoderConfig:
    """Everything that decides what vector a text gets."""

    model: str  # path or Hugging Face name
    pooling: str  # mean, cls or last
    query_prefix: str
    item_prefix: str
    max_tokens: int


class TextModel(nn.Module):
    """Token ids → one unit vector a text."""

    def __init__(
        self, transformer: nn.Module, pooling: str, projection: nn.Linear | None = None
    ) -> None:
        super().__init__()
        self.transformer: Any = transformer  # of transformers, or of peft around one
        self.pooling = pooling
        self.projection = projection

    @property
    def dimensions(self) -> int:
        """How long its vectors are."""
        if self.projection is not None:
            return self.projection.out_features
        return int(self.transformer.config.hidden_size)

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        """Ids and mask (B, T) → (B, D) float32, unit length."""
        states = self.transformer(ids, attention_mask=mask).last_hidden_state  # (B, T, H)
        pooled = self.pool(states.float(), mask)  # (B, H)
        if self.projection is not None:
            pooled = self.projection(nn.functional.normalize(pooled, dim=1))  # (B, D)
        unit: Tensor = nn.functional.normalize(pooled, dim=1)
        return unit

    def pool(self, states: Tensor, mask: Tensor) -> Tensor:
        """(B, T, H) → (B, H): the mean over real tokens, the first token, or the last real one."""
        if self.pooling == "cls":
            return states[:, 0]
        if self.pooling == "last":
            return states[torch.arange(len(states), device=states.device), mask.sum(1) - 1]
        weight = mask.unsqueeze(-1).to(states.dtype)  # (B, T, 1)
        return (states * weight).sum(1) / weight.sum(1).clamp(min=1)


def load_text_model(config: EncoderConfig, dtype: torch.dtype) -> TextModel:
    """The network that a configuration names, in evaluation mode.

    Raises
    ------
    RankingFault
        Its files are missing, hold code, or do not fit each other.
    """
    quieten()
    transformer = AutoModel.from_pretrained(
        config.model, use_safetensors=True, trust_remote_code=False, dtype=dtype
    )
    return TextModel(transformer, config.pooling, _projection(Path(config.model))).eval()


def quieten() -> None:
    """Keep what transformers says while it loads out of the logs; what is wrong, it raises."""
    disable_progress_bar()  # type: ignore[no-untyped-call]
    set_verbosity_error()  # type: ignore[no-untyped-call]


def load_tokenizer(config: EncoderConfig) -> PreTrainedTokenizerBase:
    """The tokenizer that belongs to it."""
    tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(
        config.model, trust_remote_code=False
    )
    return tokenizer


def _projection(folder: Path) -> nn.Linear | None:
    path = folder / PROJECTION
    if not path.exists():
        return None
    try:
        weight = load_file(path)["weight"]
    except (SafetensorError, KeyError):
        raise RankingFault(f"{path} is no learned projection; train the encoder anew.") from None
    projection = nn.Linear(weight.shape[1], weight.shape[0], bias=False)
    projection.load_state_dict({"weight": weight})
    return projection


def save_text_model(
    model: TextModel, tokenizer: PreTrainedTokenizerBase, config: EncoderConfig, folder: Path
) -> EncoderConfig:
    """Write what `load_text_model` reads; returns the configuration that names this folder."""
    folder.mkdir(parents=True, exist_ok=True)
    model.transformer.save_pretrained(folder, safe_serialization=True)
    tokenizer.save_pretrained(str(folder))
    if model.projection is not None:
        save_file({"weight": model.projection.weight.detach().contiguous()}, folder / PROJECTION)
    told = asdict(config)
    del told["model"]  # the folder may move
    (folder / SETTINGS).write_text(json.dumps(told, indent=1))
    return replace(config, model=str(folder))


def read_config(folder: Path) -> EncoderConfig:
    """The configuration of a learned encoder's folder.

    Raises
    ------
    RankingFault
        It is missing or cannot be read.
    """
    try:
        told: dict[str, Any] = json.loads((folder / SETTINGS).read_text())
        return EncoderConfig(model=str(folder), **told)
    except (OSError, ValueError, TypeError):
        raise RankingFault(
            f"The learned encoder in {folder} is gone or cannot be read; train it anew, or go back "
            "to a model that was trained without it."
        ) from None


def digest_of(config: EncoderConfig) -> tuple[str, str]:
    """sha256 of the weights, and one over all that decides the vectors.

    Raises
    ------
    RankingFault
        A model without safetensors, or with code of its own.
    """
    weights = _weights_digest(config.model)
    described: dict[str, Any] = asdict(config) | {"model": weights}
    projection = Path(config.model) / PROJECTION
    if projection.exists():
        described["projection"] = _sha256(projection)
    text = json.dumps(described, sort_keys=True)
    return weights, hashlib.sha256(text.encode()).hexdigest()


def _weights_digest(model: str) -> str:
    try:
        config = cached_file(model, "config.json")
        weights = cached_file(model, WEIGHTS)
    except OSError:
        raise RankingFault(
            f"The encoder {model} has no config.json and model.safetensors here: download it "
            "(safetensors only) and point ENCODER_MODEL at its folder."
        ) from None
    assert config is not None  # cached_file raises otherwise
    assert weights is not None
    if "auto_map" in json.loads(Path(config).read_text()):
        raise RankingFault(f"The encoder {model} brings code of its own; choose one without.")
    return _sha256(Path(weights))


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
