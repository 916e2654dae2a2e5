"""What rankers read: the candidates of one request, and those of many to learn from."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ranking.types import FloatArray, IntArray

HISTORY = 20  # recent items that a network reads

TypeBits = NDArray[np.uint8]  # bit t is set where the item had an interaction of type code t


@dataclass(frozen=True)
class Rows:
    """The candidates of one request."""

    features: FloatArray  # (N, F) as ranking/features.py computes them
    items: IntArray  # (N,) item-index rows
    history: IntArray  # (H,) item-index rows of the recent items, newest first; at most HISTORY


@dataclass(frozen=True)
class Examples:
    """Feature rows of many requests, one group a request."""

    features: FloatArray  # (M, F)
    labels: FloatArray  # (M,) 1 = picked
    groups: IntArray  # (G,) rows of each request, summing to M
    items: IntArray  # (M,) item-index rows
    types: TypeBits  # (M,) what happened with the item in that session
    histories: IntArray  # (G, HISTORY) item-index rows, newest first; −1 fills short ones

    @classmethod
    def joined(cls, parts: Sequence["Examples"]) -> "Examples":
        """All examples of these parts, in order; at least one part."""
        return cls(
            np.concatenate([part.features for part in parts]),
            np.concatenate([part.labels for part in parts]),
            np.concatenate([part.groups for part in parts]),
            np.concatenate([part.items for part in parts]),
            np.concatenate([part.types for part in parts]),
            np.concatenate([part.histories for part in parts]),
        )

    def with_picks(self) -> NDArray[np.bool_]:
        """Whether anything of each request was picked. (G,)"""
        count = len(self.groups)
        request = np.repeat(np.arange(count), self.groups)  # (M,)
        return np.bincount(request, self.labels, count) > 0

    def keep(self, chosen: NDArray[np.bool_]) -> "Examples":
        """Those of some requests. (G,)"""
        rows = np.repeat(chosen, self.groups)
        return Examples(
            self.features[rows],
            self.labels[rows],
            self.groups[chosen],
            self.items[rows],
            self.types[rows],
            self.histories[chosen],
        )

    def requests(self) -> list[Rows]:
        """Each request by itself."""
        borders = np.cumsum(self.groups)[:-1]
        return [
            Rows(features, items, history[history >= 0])
            for features, items, history in zip(
                np.split(self.features, borders),
                np.split(self.items, borders),
                self.histories,
                strict=True,
            )
        ]
