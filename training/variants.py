"""Smaller forms of an encoder for a CPU: other number formats, fewer layers.

8-bit integers are ONNX Runtime's dynamic quantisation (signed, a scale a channel; activations as
they come: Jacob et al. 2018, arXiv:1712.05877); torch's own loses far more. Layers are dropped from
the top (Sajjad et al. 2020, arXiv:2004.03844).
"""

import logging
import shutil
import warnings
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from onnxruntime.quantization import QuantType, quantize_dynamic
from torch import nn

from ranking.encoder import pad
from ranking.encoder_files import INT8, ONNX, EncoderConfig, read_config, write_config
from ranking.onnx_model import INPUTS, OUTPUT, OnnxModel
from ranking.text_model import TextModel, load_text_model, load_tokenizer, save_text_model

CHECKED = ((1, 5), (3, 17))  # texts × tokens on which an export has to agree with its network
AGREES = 0.999  # cosine
OPSET = 17


@dataclass(frozen=True)
class Variant:
    """One way to make an encoder smaller; its name is in registry.QUANTISED, but for fp32."""

    name: str
    dtype: str
    layers: float = 1.0  # share of the layers that stay


VARIANTS = (
    Variant("fp32", "float32"),
    Variant("bf16", "bfloat16"),
    Variant("int8", INT8),
    Variant("int8 2/3 layers", INT8, 2 / 3),
    Variant("int8 1/2 layers", INT8, 1 / 2),
)


class NotExportable(Exception):
    """A variant that cannot be made of this kind of encoder; says why."""


def make(config: EncoderConfig, variant: Variant, folder: Path) -> EncoderConfig:
    """Write this variant of an encoder to a folder; the configuration that names it.

    fp32 is the encoder as it lies there, and gets no folder.

    Raises
    ------
    NotExportable
        It cannot be made of this kind of encoder.
    """
    if variant is VARIANTS[0]:
        return replace(config, dtype=variant.dtype)
    shutil.rmtree(folder, ignore_errors=True)
    if variant.dtype == INT8:
        model = load_text_model(config, torch.float32)
        keep_layers(model, variant.layers)
        _export_int8(model, config, folder)
    else:
        model = load_text_model(config, getattr(torch, variant.dtype))
        save_text_model(model, load_tokenizer(config), replace(config, dtype=variant.dtype), folder)
    return read_config(folder)


def keep_layers(model: TextModel, share: float) -> None:
    """Drop layers from the top until this share is left.

    Raises
    ------
    NotExportable
        The layers of this kind are not found.
    """
    if share == 1.0:
        return
    told = model.transformer.config
    count = int(told.num_hidden_layers)
    kept = max(round(count * share), 1)
    found = stack_of(model)
    if found is None or kept == count:
        raise NotExportable(f"its {count} layers cannot be cut to {share:.0%}.")
    parent, name = found
    setattr(parent, name, getattr(parent, name)[:kept])
    told.num_hidden_layers = kept
    if getattr(told, "layer_types", None):
        told.layer_types = told.layer_types[:kept]


def stack_of(model: TextModel) -> tuple[nn.Module, str] | None:
    """Where the network's layers are kept, as parent and name; None where they are not found."""
    count = int(model.transformer.config.num_hidden_layers)
    stacks = [
        (parent, name)
        for parent in model.transformer.modules()
        for name, child in parent.named_children()
        if isinstance(child, nn.ModuleList) and len(child) == count
    ]
    return stacks[0] if len(stacks) == 1 else None


def _export_int8(model: TextModel, config: EncoderConfig, folder: Path) -> None:
    """Write a folder that OnnxModel reads; its graph agreed with the network before its last step.

    Raises
    ------
    NotExportable
        The network cannot be traced, or its graph computes something else.
    """
    folder.mkdir(parents=True)
    full = folder / "full"
    full.mkdir()
    try:
        export(model, full / ONNX)
        least = min(_agreement(model, OnnxModel(full), *size) for size in CHECKED)
    except Exception as fault:  # whatever a kind of network trips over  # noqa: BLE001
        first = (str(fault).strip().splitlines() or [""])[0]
        raise NotExportable(f"it cannot be exported ({type(fault).__name__}: {first})") from None
    if least < AGREES:
        raise NotExportable("its exported graph computes other vectors than the network.")
    logging.disable(logging.WARNING)  # it recommends a step that changes nothing here
    try:
        quantize_dynamic(full / ONNX, folder / ONNX, per_channel=True, weight_type=QuantType.QInt8)
    finally:
        logging.disable(logging.NOTSET)
    shutil.rmtree(full)
    model.transformer.config.save_pretrained(folder)
    load_tokenizer(config).save_pretrained(str(folder))
    write_config(replace(config, dtype=INT8), folder)


def export(model: TextModel, path: Path) -> None:
    """The whole text model as an ONNX graph, for any number of texts and tokens."""
    any_size = {0: "texts", 1: "tokens"}
    with warnings.catch_warnings(), torch.inference_mode():
        warnings.simplefilter("ignore")  # that the exporter is the older one, and what it guards
        torch.onnx.export(
            model,
            _example(2, 7),
            str(path),
            input_names=list(INPUTS),
            output_names=[OUTPUT],
            dynamic_axes=dict.fromkeys(INPUTS, any_size) | {OUTPUT: {0: "texts"}},
            opset_version=OPSET,
            dynamo=False,  # the newer exporter needs two more packages, and writes paths down
        )


def _agreement(model: TextModel, exported: OnnxModel, texts: int, tokens: int) -> float:
    """The least cosine between what the network and its graph make of some texts."""
    ids, mask = _example(texts, tokens)
    with torch.inference_mode():
        return float((exported(ids, mask) * model(ids, mask)).sum(dim=1).min())


def _example(texts: int, tokens: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Token ids of texts of different lengths, and which are real. Each (B, T)"""
    lengths = np.linspace(tokens, max(tokens // 2, 1), texts).astype(int)
    rows = [
        [3 + (place * 7 + number) % 20 for number in range(size)]
        for place, size in enumerate(lengths)
    ]
    return pad(rows, 0)
