"""What an encoder's folder holds: checked before it is loaded, and digested. Without torch.

    config.json                     the architecture, as transformers writes it
    model.safetensors               weights; or shards, named by model.safetensors.index.json
    tokenizer.json or the like
    encoder.json                    pooling, prefixes, most tokens; of encoders made here
    projection.safetensors          W (D', D), where one was learned
    model.onnx                      in place of the weights, where they are 8-bit integers

settings.py reads this module too, so that a bad folder stops the start.
"""

import hashlib
import json
import math
from dataclasses import MISSING, asdict, dataclass, fields
from pathlib import Path
from typing import Any

from ranking.errors import RankingFault

WEIGHTS, PROJECTION, SETTINGS = "model.safetensors", "projection.safetensors", "encoder.json"
SHARDS, ONNX = "model.safetensors.index.json", "model.onnx"
POOLINGS = ("mean", "cls", "last")
DTYPES = ("auto", "float32", "bfloat16", "float16")
INT8 = "int8"  # a network that training/quantize.py made, run by ONNX Runtime
TOKENIZERS = (
    "tokenizer.json",
    "vocab.txt",
    "vocab.json",
    "tokenizer.model",
    "sentencepiece.bpe.model",
    "spiece.model",
)
LONGEST_HEADER = 100_000_000  # bytes of a safetensors header; its own limit


@dataclass(frozen=True)
class EncoderConfig:
    """Everything that decides what vector a text gets."""

    model: str  # path or Hugging Face name
    pooling: str = "mean"  # one of POOLINGS
    query_prefix: str = ""
    item_prefix: str = ""
    max_tokens: int = 128
    dtype: str = "auto"  # one of DTYPES, or INT8; auto: what is fast on the device
    sha256: str = ""  # of the weights, where only these are wanted
    owner: str = ""  # slug of the catalog that it was quantised for: each has one of its own


def config_from(told: dict[str, Any]) -> EncoderConfig:
    """A configuration from outside, each value checked.

    Raises
    ------
    RankingFault
        A field that there is none of, or a value that it cannot have.
    """
    known = {
        one.name: type(one.default) for one in fields(EncoderConfig) if one.default is not MISSING
    }
    known["model"] = str
    del known["owner"]
    for name, value in told.items():
        if name not in known:
            raise RankingFault(f"An encoder has no {name}; it has {', '.join(sorted(known))}.")
        if not isinstance(value, known[name]):
            raise RankingFault(f"An encoder's {name} is {value!r}; it has to be of another kind.")
    config = EncoderConfig(**{"model": ""} | told)
    if not config.model:
        raise RankingFault("An encoder needs a model: a folder, or a name of Hugging Face.")
    for name, value, choices in (
        ("pooling", config.pooling, POOLINGS),
        ("dtype", config.dtype, DTYPES),
    ):
        if value not in choices:
            raise RankingFault(f"An encoder's {name} is {value!r}; say {', '.join(choices)}.")
    if not 8 <= config.max_tokens <= 32_768:
        raise RankingFault("An encoder's max_tokens has to lie between 8 and 32768.")
    if looks_like_path(config.model):
        check_folder(Path(config.model), config.max_tokens)
    return config


def looks_like_path(model: str) -> bool:
    """Whether this is meant as a folder, not as a name of Hugging Face."""
    return bool(model) and (Path(model).is_dir() or model.startswith(("/", ".", "~")))


def check_folder(folder: Path, max_tokens: int) -> None:
    """Refuse what cannot be loaded, in one sentence; reads no weights.

    Raises
    ------
    RankingFault
        Files are missing, it brings code of its own, or it reads fewer tokens.
    """
    told = _json(folder / "config.json")
    if told is None or not weight_files(folder):
        pickled = any(folder.glob("pytorch_model*.bin"))
        raise RankingFault(
            f"The encoder {folder} has no config.json and model.safetensors"
            f"{' but pickled weights, which are never loaded' if pickled else ' here'}: download "
            "it (safetensors only) and name its folder: ENCODER_MODEL, or --encoder."
        )
    if "auto_map" in told:
        raise RankingFault(
            f"The encoder {folder} brings code of its own, which is never run; choose one without. "
            "If transformers knows its model_type itself, take auto_map out of its config.json."
        )
    if told.get("is_encoder_decoder"):
        raise RankingFault(f"The encoder {folder} is an encoder with a decoder; choose another.")
    if not any((folder / name).exists() for name in TOKENIZERS):
        raise RankingFault(
            f"The encoder {folder} has no tokenizer: download tokenizer.json and "
            "tokenizer_config.json beside its weights."
        )
    most = _most_tokens(told)
    if max_tokens > most:
        raise RankingFault(
            f"The encoder {folder} reads {most} tokens at most: set ENCODER_MAX_TOKENS, or "
            f"--max-tokens, to {most} or less."
        )


def _most_tokens(told: dict[str, Any]) -> float:
    """How many tokens a text may have; RoBERTa and its kin count places from the padding's on."""
    most = told.get("max_position_embeddings")
    if not isinstance(most, int) or most <= 0:
        return math.inf
    counted = ("roberta", "camembert", "mpnet", "longformer")
    shifted = any(kind in str(told.get("model_type", "")) for kind in counted)
    padding = told.get("pad_token_id")
    return most - (1 if padding is None else int(padding)) - 1 if shifted else most


def _json(path: Path) -> dict[str, Any] | None:
    """The object in this file; None where there is none, or it cannot be read."""
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def weight_files(folder: Path) -> list[Path]:
    """Where the weights lie: one file, or shards in the order of their names; [] without any."""
    for name in (WEIGHTS, ONNX):
        if (folder / name).exists():
            return [folder / name]
    index = _json(folder / SHARDS)
    if index is None:
        return []
    names = sorted(set(index.get("weight_map", {}).values()))
    paths = [folder / name for name in names if Path(name).name == name]
    return paths if paths and all(path.exists() for path in paths) else []


def weight_bytes(folder: Path) -> int:
    """The size of all weights on the disk, a projection's too."""
    projection = folder / PROJECTION
    paths = [*weight_files(folder), *([projection] if projection.exists() else [])]
    return sum(path.stat().st_size for path in paths)


def bytes_needed(folder: Path, bytes_each: int) -> int:
    """Memory that the weights take with so many bytes a number, as the files' headers say.

    Raises
    ------
    RankingFault
        A file is no safetensors.
    """
    total = 0
    for path in weight_files(folder):
        if path.name == ONNX:
            total += path.stat().st_size
            continue
        with path.open("rb") as file:
            size = int.from_bytes(file.read(8), "little")
            try:
                header = json.loads(file.read(min(size, LONGEST_HEADER)))
                shapes = [one["shape"] for name, one in header.items() if name != "__metadata__"]
            except (ValueError, TypeError, KeyError, AttributeError):
                raise RankingFault(f"{path} is no safetensors file; download it again.") from None
        total += sum(math.prod(shape) for shape in shapes) * bytes_each
    return total


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


def write_config(config: EncoderConfig, folder: Path) -> None:
    """Write what `read_config` reads; not where the folder lies, which may move."""
    told = asdict(config)
    del told["model"], told["sha256"]
    (folder / SETTINGS).write_text(json.dumps(told, indent=1))


def digest_of(config: EncoderConfig, folder: Path) -> tuple[str, str]:
    """sha256 of the weights, and one over all that decides the vectors.

    Number format and owner count only where they were said: digests of before there were any stay.

    Raises
    ------
    RankingFault
        The folder cannot be loaded, or its weights are not those that the configuration wants.
    """
    check_folder(folder, config.max_tokens)
    weights = weights_sha256(folder)
    if config.sha256 and weights != config.sha256.lower():
        raise RankingFault(
            f"The weights of the encoder {folder} have the sha256 {weights}, not the one that is "
            "wanted. Download them again, or correct the digest: ENCODER_SHA256, or --sha256."
        )
    described: dict[str, Any] = asdict(config) | {"model": weights}
    del described["sha256"]
    for name, usual in (("dtype", "auto"), ("owner", "")):
        if described[name] == usual:
            del described[name]
    if (folder / PROJECTION).exists():
        described["projection"] = _sha256(folder / PROJECTION)
    text = json.dumps(described, sort_keys=True)
    return weights, hashlib.sha256(text.encode()).hexdigest()


def weights_sha256(folder: Path) -> str:
    """sha256 of the one file; of shards, as `sha256sum model-*.safetensors | sha256sum` says it."""
    paths = weight_files(folder)
    if len(paths) == 1 and paths[0].name in (WEIGHTS, ONNX):
        return _sha256(paths[0])
    lines = "".join(f"{_sha256(path)}  {path.name}\n" for path in paths)
    return hashlib.sha256(lines.encode()).hexdigest()


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
