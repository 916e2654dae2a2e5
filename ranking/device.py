"""Where tensors live, and the number format that is fast there."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import psutil
import torch
from django.conf import settings


@cache
def best_device() -> torch.device:
    """cuda, else mps, else cpu; RECSITE_DEVICE overrides it."""
    if settings.DEVICE != "auto":
        return torch.device(settings.DEVICE)
    if torch.cuda.is_available():
        return torch.device("cuda")
    if torch.backends.mps.is_available():
        return torch.device("mps")
    return torch.device("cpu")


@cache
def fast_dtype() -> torch.dtype:
    """bfloat16 where the hardware multiplies it natively, float32 elsewhere."""
    device = best_device()
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float32
    if device.type == "cpu" and _cpu_flags() & {"avx512_bf16", "amx_bf16"}:
        return torch.bfloat16
    return torch.float32


def free_memory() -> int:
    """Bytes that are free now where tensors live."""
    if best_device().type == "cuda":
        return int(torch.cuda.mem_get_info()[0])
    return int(psutil.virtual_memory().available)


@contextmanager
def one_thread() -> Iterator[None]:
    """One compute thread inside: for many small computations, where two wait for each other.

    On busy cores a pair of threads takes up to a hundred times as long as one.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _cpu_flags() -> set[str]:
    """What the processor says it can do; empty where the system does not tell."""
    info = Path("/proc/cpuinfo")
    if not info.exists():
        return set()
    lines = (line for line in info.read_text().splitlines() if line.startswith("flags"))
    return set(next(lines, "").split())
