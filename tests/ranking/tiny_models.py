"""Tiny random models, one of each architecture, with a tokenizer of their own."""

from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, pre_tokenizers, processors
from tokenizers.models import WordLevel
from transformers import (
    AutoModel,
    BertConfig,
    ModernBertConfig,
    MPNetConfig,
    NomicBertConfig,
    PreTrainedTokenizerFast,
    Qwen3Config,
    RobertaConfig,
    XLMRobertaConfig,
)

WORDS = ["<pad>", "<s>", "</s>", "<unk>", *"abcdefghijklmnopqrstuvwxyz", *"苹果绿茶龙井工具"]
SMALL: dict[str, Any] = {
    "vocab_size": len(WORDS),
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "max_position_embeddings": 130,
    "pad_token_id": 0,
    "initializer_range": 0.3,  # so that different texts get different vectors
}
QWEN = SMALL | {"num_key_value_heads": 2, "head_dim": 8}
KINDS: dict[str, tuple[Any, str]] = {  # architecture → its configuration, its usual pooling
    "bert": (BertConfig(**SMALL), "mean"),
    "roberta": (RobertaConfig(**SMALL), "mean"),
    "xlm-roberta": (XLMRobertaConfig(**SMALL), "cls"),  # bge-m3
    "mpnet": (MPNetConfig(**SMALL), "mean"),
    "modernbert": (
        ModernBertConfig(**SMALL, cls_token_id=1, sep_token_id=2, bos_token_id=1, eos_token_id=2),
        "cls",
    ),
    "nomic_bert": (NomicBertConfig(**SMALL), "mean"),
    "qwen3": (Qwen3Config(**QWEN), "last"),  # Qwen3-Embedding
}


def tiny_tokenizer(words: list[str]) -> PreTrainedTokenizerFast:
    """A word a character; <s> before a text, </s> behind it."""
    core = Tokenizer(WordLevel({word: place for place, word in enumerate(words)}, "<unk>"))
    core.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    core.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>",
        pair="<s> $A </s> </s> $B </s>",
        special_tokens=[("<s>", 1), ("</s>", 2)],
    )
    return PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=core,
        pad_token="<pad>",
        cls_token="<s>",
        sep_token="</s>",
        unk_token="<unk>",
    )


def tiny_model(kind: str, folder: Path, **saving: Any) -> Path:
    """Write a random model of this architecture to a folder."""
    torch.manual_seed(3)
    network = AutoModel.from_config(KINDS[kind][0])  # type: ignore[no-untyped-call]
    network.save_pretrained(folder, **saving)
    tiny_tokenizer(WORDS).save_pretrained(str(folder))
    return folder
