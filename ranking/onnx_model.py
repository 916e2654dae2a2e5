"""An encoder as training/quantize.py exports it: 8-bit weights, run by ONNX Runtime on the CPU.

The graph holds all of a TextModel, so that token ids come out as unit vectors; torch's weights are
not needed.
"""

from pathlib import Path

import onnxruntime
import torch
from onnxruntime.capi import onnxruntime_pybind11_state as runtime
from torch import Tensor

from ranking.encoder_files import ONNX
from ranking.errors import RankingFault

INPUTS, OUTPUT = ("ids", "mask"), "unit"
FAULTS = (runtime.Fail, runtime.InvalidGraph, runtime.InvalidProtobuf, runtime.NoSuchFile)


class OnnxModel:
    """Token ids → one unit vector a text, with as many threads as torch has now."""

    def __init__(self, folder: Path) -> None:
        told = onnxruntime.SessionOptions()
        told.intra_op_num_threads = torch.get_num_threads()
        told.inter_op_num_threads = 1
        told.log_severity_level = 3  # errors; what is wrong, it raises
        # A thread that waits lets the others work: cores are shared with whoever else serves.
        told.add_session_config_entry("session.intra_op.allow_spinning", "0")
        try:
            self._session = onnxruntime.InferenceSession(
                str(folder / ONNX), told, providers=["CPUExecutionProvider"]
            )
        except FAULTS:
            raise RankingFault(
                f"{folder / ONNX} cannot be read; quantise the encoder anew."
            ) from None
        one = torch.ones(1, 1, dtype=torch.long)
        self.dimensions = self(one, one).shape[1]  # the graph may not tell

    def __call__(self, ids: Tensor, mask: Tensor) -> Tensor:
        """Ids and mask (B, T) → (B, D) float32, unit length."""
        given = dict(zip(INPUTS, (ids.numpy(), mask.numpy()), strict=True))
        return torch.from_numpy(self._session.run([OUTPUT], given)[0])
