"""What peers are given and how their answers are measured: folds, batches, ranks.

It belongs to benchmarks/peers.py and, like it, imports nothing of this project.
"""

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

Ints = NDArray[np.int64]
Floats = NDArray[np.float32]
Parameters = dict[str, Any]

TOP = 10  # items of a list, and the k of nDCG@k
BATCH_SCORES = 4_000_000  # scores held at once (16 MiB)


@dataclass(frozen=True)
class Requests:
    """Requests of a fold; each field holds one entry a request (R)."""

    request: Ints  # (R,)
    user: Ints  # (R,)
    history: list[Ints]  # items, oldest first
    weight: list[Floats]  # of the history's interactions
    picked: list[Ints]  # the targets, each once

    def take(self, chosen: Ints) -> "Requests":
        """The requests at these positions."""
        return Requests(
            self.request[chosen],
            self.user[chosen],
            *([lists[i] for i in chosen] for lists in (self.history, self.weight, self.picked)),
        )


@dataclass(frozen=True)
class Fold:
    """What may be learned from, and what is asked."""

    log: pd.DataFrame  # user, item, weight; by user, oldest first
    requests: Requests
    users: int
    items: int
    allowed: NDArray[np.bool_]  # (N,) may be ranked at all
    repeats: bool  # whether items of the history may be ranked


def read_fold(folder: Path, name: str) -> Fold:
    """The fold `name` of an exported split."""
    meta = json.loads((folder / "meta.json").read_text())
    log = pq.read_table(folder / name / "train.parquet").to_pandas()
    table = pq.read_table(folder / name / "requests.parquet").combine_chunks()
    history, weight, picked = (
        _lists(table[column]) for column in ("history", "history_weight", "picked")
    )
    requests = Requests(
        table["request"].to_numpy(),
        table["user"].to_numpy(),
        history,
        weight,
        [np.unique(targets) for targets in picked],
    )
    allowed = np.zeros(meta["items"], dtype=bool)
    allowed[pq.read_table(folder / "allowed.parquet")["item"].to_numpy()] = True
    columns = log[["user", "item", "weight"]]
    return Fold(columns, requests, meta["users"], meta["items"], allowed, meta["repeats"])


def _lists(column: pa.ChunkedArray) -> list[NDArray[Any]]:
    lengths = np.concatenate([[0], column.combine_chunks().value_lengths().to_numpy()])
    ends = np.cumsum(lengths)
    flat = column.combine_chunks().flatten().to_numpy()
    return [flat[start:end] for start, end in pairwise(ends)]


# -- what a peer sees ------------------------------------------------------------------------------


@dataclass(frozen=True)
class Train:
    """What a peer learns from. Its items are 0…K-1: positions in `known`."""

    log: pd.DataFrame  # user, item, weight; by user, oldest first
    matrix: csr_matrix  # (U, K) float32: sums of weights, or ones
    known: Ints  # (K,) the item of the catalog behind each
    popularity: Floats  # (N,) sums of weights, of all items
    binary: bool


@dataclass(frozen=True)
class Batch:
    """What a peer scores: people, by what is known of them. Items as in Train."""

    users: Ints  # (B,)
    histories: list[Ints]  # oldest first, known items only
    matrix: csr_matrix  # (B, K) the same as sums of weights, or ones


@dataclass(frozen=True)
class Watch:
    """How a fit that goes on in epochs is held back."""

    seed: int
    until: float  # time.monotonic() at which it must stop
    score: Callable[["Scorer"], float] | None  # valid nDCG@10; None in the final fit


Scorer = Callable[[Batch], Floats]  # (B, K); a row of NaN where the model has nothing to say
Fit = Callable[[Train, Parameters, Watch], tuple[Scorer, Parameters]]  # and what it found itself


def prepare(fold: Fold, binary: bool, limit: int | None) -> Train:
    """The fold's log with its items numbered from 0; only the `limit` most frequent ones."""
    log = fold.log
    counts = np.bincount(log["item"], minlength=fold.items)  # (N,)
    order = np.argsort(-counts, kind="stable")[:limit]
    known = np.sort(order[counts[order] > 0])  # (K,)
    popularity = np.bincount(log["item"], weights=log["weight"], minlength=fold.items)
    position = _positions(known, fold.items)
    log = log.assign(item=position[log["item"]])
    log = log[log["item"] >= 0].reset_index(drop=True)
    if binary:
        log = log.assign(weight=np.float32(1))
    shape = (fold.users, len(known))
    matrix = _matrix(log["user"].to_numpy(), log["item"].to_numpy(), log["weight"], shape, binary)
    return Train(log, matrix, known, popularity.astype(np.float32), binary)


def _positions(known: Ints, items: int) -> Ints:
    position = np.full(items, -1)
    position[known] = np.arange(len(known))
    return position


def _matrix(
    rows: Ints, columns: Ints, weights: Any, shape: tuple[int, int], binary: bool
) -> csr_matrix:
    matrix = csr_matrix((np.asarray(weights, dtype=np.float32), (rows, columns)), shape=shape)
    matrix.sum_duplicates()
    if binary:
        matrix.data[:] = 1
    return matrix


def batches(train: Train, fold: Fold, requests: Requests) -> Iterator[tuple[Requests, Batch]]:
    """The requests in parts small enough that B × N scores fit in memory."""
    position = _positions(train.known, fold.items)
    size = int(np.clip(BATCH_SCORES // fold.items, 1, 256))
    for start in range(0, len(requests.request), size):
        part = requests.take(np.arange(start, min(start + size, len(requests.request))))
        compact = [position[history] for history in part.history]
        histories = [history[history >= 0] for history in compact]
        weights = [w[h >= 0] for w, h in zip(part.weight, compact, strict=True)]
        rows = np.repeat(np.arange(len(histories)), [len(history) for history in histories])
        matrix = _matrix(
            rows,
            np.concatenate(histories),
            np.concatenate(weights),
            (len(histories), len(train.known)),
            train.binary,
        )
        yield part, Batch(part.user, histories, matrix)


# -- ranks -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Ranks:
    """Where a peer put the targets, and what it put on top."""

    ranks: pd.DataFrame  # request, item, rank: one row a target
    tops: list[Ints]  # one a request: its ten best items
    ms_per_user: float  # median over batches


def place(scores: Floats, targets: Ints) -> Ints:
    """0-based ranks of targets among all items; ties take their middle place.

    scores (N,), targets (T,) → (T,): above + level // 2, with above the number of items that
    score more, and level the number of other items that score the same. Masked items (-inf) have
    all the rest above them: a rank of ten or more wherever ten items may be ranked.
    """
    return np.array(
        [
            np.count_nonzero(scores > score) + (np.count_nonzero(scores == score) - 1) // 2
            for score in scores[targets]
        ],
        dtype=np.int64,
    )


def best(scores: Floats) -> Ints:
    """The ten best items that aren't masked, best first, ties by number. scores (N,) → (≤ 10,)."""
    count = min(TOP, np.count_nonzero(scores > -np.inf))
    if count == 0:
        return np.empty(0, dtype=np.int64)
    least = np.partition(scores, -count)[-count]
    good = np.flatnonzero(scores >= least)
    return good[np.argsort(-scores[good], kind="stable")][:count]


def over_catalog(scores: Floats, batch: Batch, train: Train, fold: Fold) -> Floats:
    """Scores of all items from those of the known ones, (B, K) → (B, N); nothing masked yet.

    A known item that got NaN stands below the other known ones, an unknown item below all. A row
    without any figure, and that of an empty history, becomes the items' popularity.
    """
    cold = ~np.isfinite(scores).any(axis=1) | (batch.matrix.getnnz(axis=1) == 0)  # (B,)
    scores = np.where(cold[:, None], np.float32(0), scores)
    low = np.nanmin(scores, axis=1, keepdims=True) - 1  # (B, 1)
    full = np.repeat(low - 1, fold.items, axis=1).astype(np.float32)
    full[:, train.known] = np.where(np.isnan(scores), low, scores)
    full[cold] = train.popularity
    return full


def measure(scorer: Scorer, train: Train, fold: Fold, requests: Requests) -> Ranks:
    """Ranks the full catalog for each request."""
    request, item, rank, tops, times = [], [], [], [], []
    for part, batch in batches(train, fold, requests):
        start = time.perf_counter()
        known = scorer(batch)
        times.append((time.perf_counter() - start) / len(batch.users))
        scores = over_catalog(known, batch, train, fold)  # (B, N)
        scores[:, ~fold.allowed] = -np.inf
        for row, number, seen, targets in zip(
            scores, part.request, part.history, part.picked, strict=True
        ):
            if not fold.repeats:
                row[seen] = -np.inf
            request.append(np.full(len(targets), number))
            item.append(targets)
            rank.append(place(row, targets))
            tops.append(best(row))
    columns = {"request": request, "item": item, "rank": rank}
    frame = pd.DataFrame({name: np.concatenate(parts) for name, parts in columns.items()})
    return Ranks(frame, tops, 1000 * float(np.median(times)))


def ndcg(ranks: pd.DataFrame) -> float:
    """Mean nDCG@10 of the requests that have targets.

    Σ_{targets at rank r < 10} 1/log2(r + 2) over Σ_{r < min(10, targets)} 1/log2(r + 2).
    """
    if ranks.empty:
        return 0.0
    gains = np.where(ranks["rank"] < TOP, 1 / np.log2(ranks["rank"] + 2), 0)
    found = pd.Series(gains).groupby(ranks["request"].to_numpy()).agg(["sum", "size"])
    ideal = np.cumsum(1 / np.log2(np.arange(TOP) + 2))
    return float((found["sum"] / ideal[np.minimum(found["size"], TOP) - 1]).mean())
