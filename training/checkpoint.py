"""Where a training of a network stands, on disk: what a killed run goes on from.

Safetensors and JSON, whole or not at all. Only what learns is kept; a training that resumes ends
with the same weights, bit for bit, as one that was never killed (on a CPU). What has learned from
other data or in another way is not gone on from: see `fingerprint`.
"""

import json
from dataclasses import dataclass, field, fields
from hashlib import sha256
from pathlib import Path

import numpy as np
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.optim import Optimizer

ANEW = "Begun anew: the items, the encoder or the settings are not those of the checkpoint."


@dataclass
class Standing:
    """How far a training is, and the best weights that it has found."""

    done: int = 0  # epochs, or steps
    best: float = float("-inf")  # quality, higher is better
    best_at: int = 0  # how much was done then
    bad: int = 0  # validations since the best one
    best_weights: dict[str, Tensor] = field(default_factory=dict)

    def note(self, quality: float, network: nn.Module) -> None:
        """Remember the best weights, and for how long there were no better ones."""
        if quality > self.best:
            self.best, self.best_at, self.bad = quality, self.done, 0
            self.best_weights = {name: value.clone() for name, value in learned(network).items()}
        else:
            self.bad += 1


def fingerprint(*parts: object) -> str:
    """A digest of what a training learns from and how; sha256, hex.

    Arrays count with their content; of anything else, what `repr` says.
    """
    digest = sha256()
    for part in parts:
        if isinstance(part, np.ndarray):
            digest.update(f"{part.dtype} {part.shape}".encode())
            digest.update(np.ascontiguousarray(part).data)
        else:
            digest.update(repr(part).encode())
        digest.update(b"\0")
    return digest.hexdigest()


def learned(network: nn.Module) -> dict[str, Tensor]:
    """The weights that a training changes."""
    return {
        name: value.detach() for name, value in network.named_parameters() if value.requires_grad
    }


def restore_best(network: nn.Module, standing: Standing) -> None:
    """Give the network the best weights that were found."""
    network.load_state_dict(standing.best_weights, strict=False)


def save(
    path: Path, network: nn.Module, optimiser: Optimizer, standing: Standing, made_for: str
) -> None:
    """Write all that is needed to go on; `made_for` is the training's `fingerprint`."""
    tensors = {f"now.{name}": value for name, value in learned(network).items()}
    tensors |= {f"best.{name}": value for name, value in standing.best_weights.items()}
    for key, slots in optimiser.state_dict()["state"].items():
        tensors |= {f"adam.{key}.{name}": value for name, value in slots.items()}
    told = {one.name: getattr(standing, one.name) for one in fields(standing)}
    del told["best_weights"]
    staging = path.with_name(f"{path.name}.new")
    save_file(tensors, staging, metadata={"standing": json.dumps(told), "made_for": made_for})
    staging.rename(path)


def resume(path: Path, network: nn.Module, optimiser: Optimizer, made_for: str) -> Standing:
    """Where the last checkpoint stands, put into network and optimiser.

    The start, without one or where that was made for something else.
    """
    if not path.exists() or _metadata(path).get("made_for") != made_for:
        return Standing()
    tensors = load_file(path)
    network.load_state_dict(_part(tensors, "now."), strict=False)
    adam = optimiser.state_dict()
    adam["state"] = {}
    for name, value in _part(tensors, "adam.").items():
        key, slot = name.split(".", 1)
        adam["state"].setdefault(int(key), {})[slot] = value
    optimiser.load_state_dict(adam)
    told = json.loads(_metadata(path)["standing"])
    return Standing(**told, best_weights=_part(tensors, "best."))


def _part(tensors: dict[str, Tensor], head: str) -> dict[str, Tensor]:
    """The tensors whose names begin with `head`, without it."""
    return {
        name.removeprefix(head): value for name, value in tensors.items() if name.startswith(head)
    }


def _metadata(path: Path) -> dict[str, str]:
    """The header's own key-value part of a safetensors file."""
    with path.open("rb") as file:
        size = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(size))
    found: dict[str, str] = header["__metadata__"]
    return found
