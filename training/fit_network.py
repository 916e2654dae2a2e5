"""Training of the networks among the rankers: FM and DCN, on the same examples as the trees."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from ranking.rankers.ensemble import Ranker
from ranking.rankers.examples import Examples
from ranking.rankers.network import NetworkConfig, NetworkRanker, RankingNetwork
from ranking.types import FloatArray, IntArray
from training import metrics
from training.handle import RunHandle
from training.scoring import padded, ranks_of


@dataclass(frozen=True)
class NetworkTraining:
    """How a network is trained."""

    epochs: int = 6  # at most
    patience: int = 1  # epochs without a better nDCG@10 on validation
    batch: int = 32  # requests
    learning_rate: float = 2e-3
    weight_decay: float = 1e-3
    requests: int = 8_000  # read in one epoch, at most


@dataclass(frozen=True)
class NetworkBatch:
    """Requests side by side; candidates are padded to the longest."""

    features: Tensor  # (B, N, F)
    items: Tensor  # (B, N, d)
    history: Tensor  # (B, H, d)
    lengths: Tensor  # (B,)
    labels: Tensor  # (B, N, heads)
    real: Tensor  # (B, N) false for the padding


def batches(
    examples: Examples,
    config: NetworkConfig,
    columns: list[int],
    vectors: FloatArray,
    size: int,
    order: IntArray,
) -> Iterator[NetworkBatch]:
    """The examples' requests in this order, so many at once."""
    stops = np.cumsum(examples.groups)
    starts = stops - examples.groups
    bits = np.array([1 << code for code in config.types], dtype=np.uint8)
    for begin in range(0, len(order), size):
        chosen = order[begin : begin + size]
        place = starts[chosen, None] + np.arange(examples.groups[chosen].max())  # (B, N)
        real = place < stops[chosen, None]
        place = np.where(real, place, starts[chosen, None])
        history = examples.histories[chosen]  # (B, H)
        labels = (examples.types[place][..., None] & bits) > 0  # (B, N, heads)
        yield NetworkBatch(
            torch.from_numpy(examples.features[place][..., columns]),
            torch.from_numpy(vectors[examples.items[place]]),
            torch.from_numpy(vectors[history]),
            torch.from_numpy((history >= 0).sum(axis=1)),
            torch.from_numpy(labels.astype(np.float32)),
            torch.from_numpy(real),
        )


def fit_network(
    handle: RunHandle,
    config: NetworkConfig,
    train: Examples,
    valid: Examples | None,
    names: list[str],
    vectors: FloatArray,
    training: NetworkTraining,
) -> tuple[NetworkRanker, int]:
    """A trained network and after how many epochs it was best.

    Σ over heads of the binary cross-entropy of each candidate. Without validation requests all of
    `training.epochs` are made.
    """
    torch.manual_seed(handle.seed)
    network = RankingNetwork(config)
    columns = [names.index(name) for name in config.features]
    network.standardise(train.features[:, columns])
    optimiser = torch.optim.AdamW(
        network.parameters(), training.learning_rate, weight_decay=training.weight_decay
    )
    best, best_epoch = -1.0, 0
    weights = {name: value.clone() for name, value in network.state_dict().items()}
    for epoch in range(1, training.epochs + 1):
        network.train()
        order = np.random.default_rng(handle.seed + epoch).permutation(len(train.groups))
        order = order[: training.requests]
        for batch in batches(train, config, columns, vectors, training.batch, order):
            handle.check()
            logits = network(batch.features, batch.items, batch.history, batch.lengths)
            losses = binary_cross_entropy_with_logits(logits, batch.labels, reduction="none")
            loss = (losses.sum(dim=-1) * batch.real).sum() / batch.real.sum()
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimiser.step()
        ranker = NetworkRanker(network, names, vectors)
        quality = float(epoch)  # without validation the last one is the best
        if valid is not None:
            quality = ndcg(ranker, valid)
            handle.metric(f"{config.kind}/valid_ndcg@10", epoch, quality)
        if quality > best:
            best, best_epoch = quality, epoch
            weights = {name: value.clone() for name, value in network.state_dict().items()}
        elif epoch - best_epoch > training.patience:
            break
    network.load_state_dict(weights)
    return NetworkRanker(network, names, vectors), best_epoch


def ndcg(ranker: Ranker, examples: Examples) -> float:
    """Mean nDCG@10 of a ranker over the candidates of these requests."""
    return ndcg_of([ranker.score(rows) for rows in examples.requests()], examples)


def ndcg_of(scores: list[FloatArray], examples: Examples) -> float:
    """Mean nDCG@10 of these scores, an array a request."""
    labels = np.split(examples.labels, np.cumsum(examples.groups)[:-1])
    ranks = [
        ranks_of(one, np.flatnonzero(label > 0)) for one, label in zip(scores, labels, strict=True)
    ]
    return float(metrics.ndcg(padded(ranks), 10).mean()) if ranks else 0.0
