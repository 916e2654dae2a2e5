"""The network behind g(Y): a transformer, pooled to one unit vector a text, perhaps projected.

It is used as it was downloaded, and learns further in training/pretrain.py and finetune.py. What
its folder holds, and is refused for, says ranking/encoder_files.py.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import snapshot_download
from huggingface_hub.errors import HfHubHTTPError, HFValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import AutoConfig, AutoModel, AutoTokenizer, PreTrainedTokenizerBase
from transformers.utils.logging import disable_progress_bar, set_verbosity_error

from ranking.device import fast_dtype, free_memory
from ranking.encoder_files import (
    PROJECTION,
    EncoderConfig,
    bytes_needed,
    check_folder,
    looks_like_path,
    write_config,
)
from ranking.errors import RankingFault

DOWNLOADED = ["*.json", "*.safetensors", "*.txt", "*.model"]  # of a name of Hugging Face
UNUSED = "pooler."  # weights that some kinds have behind what is read here


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
            last = mask.shape[1] - 1 - mask.flip(1).argmax(1)  # (B,) padding left or right
            return states.gather(1, last[:, None, None].expand(-1, 1, states.shape[2]))[:, 0]
        weight = mask.unsqueeze(-1).to(states.dtype)  # (B, T, 1)
        return (states * weight).sum(1) / weight.sum(1).clamp(min=1)


def folder_of(config: EncoderConfig) -> Path:
    """Where the model's files lie; a name of Hugging Face is downloaded once.

    Raises
    ------
    RankingFault
        It is neither here nor to be had.
    """
    if looks_like_path(config.model):
        return Path(config.model)
    try:
        found = snapshot_download(config.model, allow_patterns=DOWNLOADED, ignore_patterns="*/*")
    except (OSError, HfHubHTTPError, HFValidationError):
        raise RankingFault(
            f"The encoder {config.model} is not here and cannot be downloaded: download it where "
            "there is a network and name its folder: ENCODER_MODEL, or --encoder."
        ) from None
    return Path(found)


def dtype_of(config: EncoderConfig) -> torch.dtype:
    """The number format that the configuration names; what is fast here where it names none."""
    formats = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
    return formats.get(config.dtype) or fast_dtype()


def load_text_model(config: EncoderConfig, dtype: torch.dtype) -> TextModel:
    """The network that a configuration names, in evaluation mode.

    Raises
    ------
    RankingFault
        Its files are missing, hold code, do not fit each other, or do not fit into memory.
    """
    quieten()
    folder = folder_of(config)
    check_folder(folder, config.max_tokens)
    _refuse_too_large(folder, dtype)
    try:
        transformer, told = AutoModel.from_pretrained(
            str(folder),
            use_safetensors=True,
            trust_remote_code=False,
            dtype=dtype,
            output_loading_info=True,
        )
    except (ValueError, OSError, KeyError, RuntimeError, ImportError, SafetensorError) as fault:
        raise RankingFault(
            f"The encoder {folder} cannot be loaded ({_first_line(fault)}); choose one whose "
            "model_type transformers knows, and whose files are whole."
        ) from None
    missing = [name for name in told["missing_keys"] if UNUSED not in name]
    if missing:
        raise RankingFault(
            f"The weights of the encoder {folder} lack {len(missing)} parts that its config.json "
            f"names, such as {min(missing)}; download both again."
        )
    return TextModel(transformer, config.pooling, _projection(folder)).eval()


def _first_line(fault: Exception) -> str:
    return (str(fault).strip().splitlines() or [type(fault).__name__])[0][:200]


def _refuse_too_large(folder: Path, dtype: torch.dtype) -> None:
    """Refuse weights that do not fit into the memory that is free now."""
    needed, free = bytes_needed(folder, dtype.itemsize), free_memory()
    if needed > free:
        raise RankingFault(
            f"The encoder {folder} needs {needed / 1e9:.1f} GB as {dtype} and {free / 1e9:.1f} GB "
            "are free: choose a smaller one, bfloat16 (ENCODER_DTYPE, or --dtype), or a machine "
            "with more memory."
        )


def quieten() -> None:
    """Keep what transformers says while it loads out of the logs; what is wrong, it raises."""
    disable_progress_bar()  # type: ignore[no-untyped-call]
    set_verbosity_error()  # type: ignore[no-untyped-call]


def load_tokenizer(config: EncoderConfig) -> PreTrainedTokenizerBase:
    """The tokenizer that belongs to it.

    Raises
    ------
    RankingFault
        It cannot be read, or knows more words than the network.
    """
    folder = folder_of(config)
    try:
        tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(
            str(folder), trust_remote_code=False
        )
        known = AutoConfig.from_pretrained(str(folder), trust_remote_code=False)
    except Exception as fault:  # tokenizers raises plain Exceptions  # noqa: BLE001
        raise RankingFault(
            f"The tokenizer of the encoder {folder} cannot be read ({_first_line(fault)}); "
            "download tokenizer.json and tokenizer_config.json again."
        ) from None
    words = int(getattr(known, "vocab_size", len(tokenizer)))
    if len(tokenizer) > words:
        raise RankingFault(
            f"The tokenizer of the encoder {folder} knows {len(tokenizer):,} tokens, its network "
            f"{words:,}: they do not belong together. Download both from the same place."
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
    write_config(config, folder)
    return replace(config, model=str(folder))
