"""⑥ The networks among the rankers, from feature rows to scores: FM and DCN."""

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_model, save_model
from torch import Tensor, nn

from ranking.rankers.dcn import DeepCross
from ranking.rankers.examples import Rows
from ranking.rankers.fm import FactorizationMachine
from ranking.types import FloatArray

CLIP = 4.0  # standard deviations


@dataclass(frozen=True)
class NetworkConfig:
    """The shape of a network, and what its heads are worth."""

    kind: str  # fm or dcn
    features: tuple[str, ...]  # F names, those that it reads
    types: tuple[int, ...]  # codes of InteractionType, one a head
    values: tuple[float, ...]  # the catalog's weight of each of them, negative ones included
    vector_size: int = 0  # d of the vectors of items; 0 = no attention
    rank: int = 16  # of the crosses' weights
    hidden: int = 64
    crosses: int = 2


class FeatureNetwork(nn.Module):
    """A network over feature rows, which it standardises; it is told which are missing."""

    mean: Tensor
    scale: Tensor

    def __init__(self, count: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(count))
        self.register_buffer("scale", torch.ones(count))

    def standardise(self, features: FloatArray) -> None:
        """Take mean and standard deviation of what is there. (M, F)"""
        real = ~np.isnan(features)
        count = np.maximum(real.sum(axis=0), 1)
        mean = np.where(real, features, 0.0).sum(axis=0) / count
        spread = np.sqrt((np.where(real, features - mean, 0.0) ** 2).sum(axis=0) / count)
        self.mean.copy_(torch.from_numpy(mean))
        self.scale.copy_(torch.from_numpy(np.where(spread > 1e-6, spread, 1.0)))

    def known(self, features: Tensor) -> Tensor:
        """(…, F) with NaN for missing → (…, 2F): the features, then which of them are missing."""
        missing = torch.isnan(features)
        known = ((features - self.mean) / self.scale).clamp(-CLIP, CLIP)
        return torch.cat([known.masked_fill(missing, 0.0), missing.float()], dim=-1)


class RankingNetwork(FeatureNetwork):
    """Standardised features → FM or DCN → one logit a candidate and head."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__(len(config.features))
        self.config = config
        width, heads = 2 * len(config.features), len(config.types)
        self.body: FactorizationMachine | DeepCross
        if config.kind == "fm":
            self.body = FactorizationMachine(width, heads, config.rank)
        else:
            self.body = DeepCross(
                width, heads, config.rank, config.vector_size, config.hidden, config.crosses
            )

    def forward(self, features: Tensor, items: Tensor, history: Tensor, lengths: Tensor) -> Tensor:
        """Features (B, N, F) with NaN for missing, then as DeepCross.forward. (B, N, heads)"""
        logits: Tensor = self.body(self.known(features), items, history, lengths)
        return logits


class NetworkRanker:
    """A trained network: what a candidate is worth, Σ over heads of value × probability."""

    def __init__(self, network: RankingNetwork, names: list[str], vectors: FloatArray) -> None:
        self.network = network.eval()
        self.vectors = vectors  # (I, d) of all items, as the tower sees them
        self._columns = [names.index(name) for name in network.config.features]
        self._values = torch.tensor(network.config.values)

    @torch.inference_mode()
    def score(self, rows: Rows) -> FloatArray:
        """(N,) higher is better."""
        logits = self.network(
            torch.from_numpy(rows.features[:, self._columns])[None],
            torch.from_numpy(self.vectors[rows.items])[None],
            torch.from_numpy(self.vectors[rows.history])[None],
            torch.tensor([len(rows.history)]),
        )[0]  # (N, heads)
        return np.asarray((torch.sigmoid(logits) @ self._values).numpy(), dtype=np.float32)

    def revalued(self, values: Sequence[float]) -> "NetworkRanker":
        """The same network, its heads worth the new weights of interaction types, by code."""
        other = copy.copy(self)
        other._values = torch.tensor([values[code] for code in self.network.config.types])
        return other

    def save(self, path: Path) -> None:
        """Write the weights as safetensors; the configuration goes into the bundle's meta.json."""
        save_model(self.network, str(path))

    @classmethod
    def load(
        cls, path: Path, config: NetworkConfig, names: list[str], vectors: FloatArray
    ) -> "NetworkRanker":
        """Read what `save` wrote, to score rows with these columns."""
        network = RankingNetwork(config)
        load_model(network, str(path))
        return cls(network, names, vectors)
