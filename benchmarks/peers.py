"""Measures other libraries' recommenders on a split that this project exported.

`python benchmarks/peers.py FOLDER PEER` tunes one peer on the fold FOLDER/valid, fits the best
configuration on FOLDER/test and writes FOLDER/ranks/PEER.parquet (the rank of each target among
all items), PEER.top.parquet (the ten best items of each request) and PEER.json (what was tried,
what was chosen, what it took). `--list` prints the peers' names.

It stands alone: it runs in an environment made from benchmarks/requirements.txt and imports
nothing of this project. A peer's library is imported when it is fitted, so that no process loads
the others. All peers run on the CPU, with OMP_NUM_THREADS threads where that is set.

What is the same for all peers, whatever their library would do:

- the request's history goes in at scoring time, if the model can take it;
- items without an interaction in train stand below all others, all alike;
- a request about which the model has nothing to say is ranked by popularity (sums of weights).
"""

import argparse
import copy
import json
import logging
import os
import resource
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import version
from itertools import pairwise, product
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
VALID_REQUESTS = 1_000  # at most so many are scored in a trial
BATCH_SCORES = 4_000_000  # scores held at once (16 MiB)
DENSE_ITEMS = 10_000  # for models with an item × item matrix (400 MiB)
TRAINING_FLOATS = 16_000_000  # the largest tensor of a training batch (64 MiB)
SOFTMAX_ITEMS = 20_000  # with more, sequence models learn from sampled negatives
NEGATIVES = 256
MAX_EPOCHS = 200
PATIENCE = 15  # epochs without a gain in nDCG before a sequence model stops
QUICK_EPOCH = 10.0  # seconds; shorter epochs are run five between two looks
TRIAL_SHARE = 1 / 3  # of all seconds, for one trial of a sequence model
THREADS = int(os.environ.get("OMP_NUM_THREADS") or os.cpu_count() or 1)


# -- the split -------------------------------------------------------------------------------------


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


# -- implicit --------------------------------------------------------------------------------------


def fit_als(train: Train, parameters: Parameters, watch: Watch) -> tuple[Scorer, Parameters]:
    """Alternating least squares (Hu et al. 2008); people are folded in from their histories."""
    from implicit.cpu.als import AlternatingLeastSquares

    model = AlternatingLeastSquares(
        factors=parameters["factors"],
        regularization=parameters["regularization"],
        alpha=parameters["alpha"],
        iterations=parameters["iterations"],
        num_threads=THREADS,
        random_state=watch.seed,
    )
    model.fit(train.matrix, show_progress=False)

    def score(batch: Batch) -> Floats:
        people = model.recalculate_user(np.arange(len(batch.users)), batch.matrix)  # (B, D)
        return people @ model.item_factors.T

    return score, {}


def fit_bpr(train: Train, parameters: Parameters, watch: Watch) -> tuple[Scorer, Parameters]:
    """Bayesian personalised ranking (Rendle et al. 2009); it only knows the people of train."""
    from implicit.cpu.bpr import BayesianPersonalizedRanking

    model = BayesianPersonalizedRanking(
        factors=parameters["factors"],
        learning_rate=parameters["learning_rate"],
        regularization=parameters["regularization"],
        iterations=parameters["iterations"],
        num_threads=THREADS,
        random_state=watch.seed,
    )
    model.fit(train.matrix, show_progress=False)
    seen = train.matrix.getnnz(axis=1) > 0  # (U,)

    def score(batch: Batch) -> Floats:
        scores = model.user_factors[batch.users] @ model.item_factors.T
        scores[~seen[batch.users]] = np.nan
        return scores

    return score, {}


def fit_knn(train: Train, parameters: Parameters, watch: Watch) -> tuple[Scorer, Parameters]:
    """Item-based nearest neighbours: a history's sum of similarities."""
    from implicit import nearest_neighbours

    kinds = {
        "cosine": nearest_neighbours.CosineRecommender,
        "tfidf": nearest_neighbours.TFIDFRecommender,
        "bm25": nearest_neighbours.BM25Recommender,
    }
    model = kinds[parameters["similarity"]](K=parameters["neighbours"], num_threads=THREADS)
    model.fit(train.matrix, show_progress=False)
    similarity = model.similarity.astype(np.float32)  # (K, K)
    return lambda batch: (batch.matrix @ similarity).toarray(), {}


# -- rectools --------------------------------------------------------------------------------------


def fit_ease(train: Train, parameters: Parameters, watch: Watch) -> tuple[Scorer, Parameters]:
    """EASE (Steck 2019): a linear map from history to scores, with an inverse of K × K."""
    from rectools.models import EASEModel

    pairs = train.matrix.tocoo()
    dataset = _rectools(pairs.row, pairs.col, pairs.data)
    model = EASEModel(regularization=parameters["regularization"])
    model.fit(dataset)
    order = dataset.item_id_map.convert_to_internal(np.arange(len(train.known)))
    weight = model.weight[np.ix_(order, order)].astype(np.float32, copy=False)  # (K, K)
    return lambda batch: batch.matrix @ weight, {}


def fit_sasrec(train: Train, parameters: Parameters, watch: Watch) -> tuple[Scorer, Parameters]:
    """SASRec (Kang & McAuley 2018): a causal transformer that predicts the next item."""
    from rectools.models import SASRecModel

    return _fit_transformer(SASRecModel, train, parameters, {}, watch)


def fit_bert4rec(train: Train, parameters: Parameters, watch: Watch) -> tuple[Scorer, Parameters]:
    """BERT4Rec (Sun et al. 2019): a transformer that fills in masked items."""
    from rectools.models import BERT4RecModel

    own = {"mask_prob": parameters["mask_prob"]}
    return _fit_transformer(BERT4RecModel, train, parameters, own, watch)


def fit_hstu(train: Train, parameters: Parameters, watch: Watch) -> tuple[Scorer, Parameters]:
    """HSTU (Zhai et al. 2024) without its attention to time: histories come without times."""
    from rectools.models import HSTUModel

    own = {
        "relative_time_attention": False,
        "lightning_module_kwargs": {"logits_t": parameters["temperature"]},  # of cosines
    }
    return _fit_transformer(HSTUModel, train, parameters, own, watch)


def _rectools(users: Ints, items: Ints, weights: Any = 1.0) -> Any:
    """A rectools Dataset of interactions (L,), in their order."""
    from rectools import Columns
    from rectools.dataset import Dataset

    return Dataset.construct(
        pd.DataFrame(
            {
                Columns.User: users,
                Columns.Item: items,
                Columns.Weight: weights,
                Columns.Datetime: np.arange(len(users)),  # the order is all that is used
            }
        )
    )


def _fit_transformer(
    kind: Any, train: Train, parameters: Parameters, own: Parameters, watch: Watch
) -> tuple[Scorer, Parameters]:
    """Trains as many epochs as the parameters say; without, as long as valid nDCG@10 grows."""
    import torch
    from pytorch_lightning import seed_everything

    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    torch.set_num_threads(THREADS)
    seed_everything(watch.seed, verbose=False)
    usual = train.log["user"].value_counts().quantile(0.95)  # the few longer ones are cut
    length = int(np.clip(usual, 10, parameters["length"]))
    model = kind(
        n_blocks=parameters["blocks"],
        n_heads=parameters["heads"],
        n_factors=parameters["factors"],
        dropout_rate=parameters["dropout"],
        session_max_len=length,
        lr=parameters["learning_rate"],
        **_loss(len(train.known), length, parameters),
        **own,
    )
    model._trainer = _trainer(watch.until)  # rectools' documentation names this way
    dataset = _rectools(train.log["user"].to_numpy(), train.log["item"].to_numpy())
    if watch.score is None:
        model.fit_partial(dataset, min_epochs=0, max_epochs=parameters["epochs"])
        return _transformer_scorer(model, len(train.known)), {}
    return _fit_watched(model, dataset, len(train.known), watch)


def _loss(items: int, length: int, parameters: Parameters) -> Parameters:
    """Loss and batch size that keep a training batch within memory."""
    if items <= SOFTMAX_ITEMS:
        row = length * items  # floats of one person's logits
        chosen: Parameters = {"loss": "softmax"}
    else:
        row = length * (NEGATIVES + 1) * parameters["factors"]
        chosen = {"loss": "sampled_softmax", "n_negatives": NEGATIVES}
    return {**chosen, "batch_size": int(np.clip(TRAINING_FLOATS // row, 4, parameters["batch"]))}


def _trainer(until: float) -> Any:
    """A trainer on the CPU that stops within an epoch when time is up."""
    from pytorch_lightning import Callback, Trainer

    class Deadline(Callback):
        def on_train_batch_end(self, trainer: Trainer, *rest: Any) -> None:
            trainer.should_stop = trainer.should_stop or time.monotonic() > until

    return Trainer(
        accelerator="cpu",
        devices=1,
        logger=False,
        callbacks=[Deadline()],
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )


def _fit_watched(model: Any, dataset: Any, items: int, watch: Watch) -> tuple[Scorer, Parameters]:
    """Trains until nDCG stops growing, time is up or MAX_EPOCHS are over; keeps the best state."""
    assert watch.score is not None
    scorer = _transformer_scorer(model, items)
    epochs, step, top, found, state = 0, 1, -1.0, 0, None
    while epochs < min(found + PATIENCE, MAX_EPOCHS) and time.monotonic() < watch.until:
        start = time.monotonic()
        model.fit_partial(dataset, min_epochs=0, max_epochs=step)
        epochs += step
        step = 5 if (time.monotonic() - start) / step < QUICK_EPOCH else 1
        value = watch.score(scorer)
        if value > top:
            top, found = value, epochs
            state = copy.deepcopy(model.torch_model.state_dict())
    model.torch_model.load_state_dict(state)
    return scorer, {"epochs": found, "out_of_time": time.monotonic() >= watch.until}


def _transformer_scorer(model: Any, items: int) -> Scorer:
    """Scores of the batch's histories by a fitted transformer, through rectools' own datasets."""
    import torch

    def score(batch: Batch) -> Floats:
        recent = [history[-model.session_max_len :] for history in batch.histories]
        rows = np.repeat(np.arange(len(recent)), [len(history) for history in recent])
        scores = np.full((len(recent), items), np.nan, dtype=np.float32)
        if not len(rows):
            return scores
        prepare = model.data_preparator
        dataset = prepare.transform_dataset_u2i(
            _rectools(rows, np.concatenate(recent)), np.unique(rows)
        )
        if not len(dataset.interactions.df):
            return scores
        network, similarity = model.torch_model.eval(), model.torch_model.similarity_module
        with torch.inference_mode():
            embeddings = network.item_model.get_all_embeddings()  # (tokens + items, D)
            people = torch.cat(
                [
                    similarity.session_tower_forward(
                        network.encode_sessions(part, embeddings)[:, -1]
                    )
                    for part in prepare.get_dataloader_recommend(dataset, 256)
                ]
            )  # (people, D)
            logits = similarity(people, similarity.item_tower_forward(embeddings)).numpy()
        known = prepare.get_known_item_ids().astype(np.int64)
        logits = logits[:, prepare.get_known_items_sorted_internal_ids()]
        people_at = dataset.user_id_map.external_ids
        scores[np.ix_(people_at, known)] = logits
        return scores

    return score


# -- lenskit ---------------------------------------------------------------------------------------


def fit_lenskit_ials(
    train: Train, parameters: Parameters, watch: Watch
) -> tuple[Scorer, Parameters]:
    """LensKit's alternating least squares, solved exactly; people are folded in."""
    from lenskit.als import ImplicitMFScorer

    model = ImplicitMFScorer(
        embedding_size=parameters["factors"],
        regularization=parameters["regularization"],
        weight=parameters["weight"],
        epochs=parameters["epochs"],
    )
    return _fit_lenskit(model, train, watch)


def fit_lenskit_knn(
    train: Train, parameters: Parameters, watch: Watch
) -> tuple[Scorer, Parameters]:
    """LensKit's item-based nearest neighbours: each item sums over its own nearest of a history."""
    from lenskit.knn import ItemKNNScorer

    model = ItemKNNScorer(
        max_nbrs=parameters["neighbours"],
        save_nbrs=parameters["saved"],
        feedback="implicit",
    )
    return _fit_lenskit(model, train, watch)


def fit_lenskit_slim(
    train: Train, parameters: Parameters, watch: Watch
) -> tuple[Scorer, Parameters]:
    """LensKit's SLIM (Ning & Karypis 2011): sparse regressions of each item on its neighbours."""
    from lenskit.knn.slim import SLIMConfig, SLIMScorer

    model = SLIMScorer(
        SLIMConfig(
            l1_reg=parameters["l1"], l2_reg=parameters["l2"], max_nbrs=parameters["neighbours"]
        )
    )
    return _fit_lenskit(model, train, watch)


def _fit_lenskit(model: Any, train: Train, watch: Watch) -> tuple[Scorer, Parameters]:
    from lenskit.data import ItemList, RecQuery, from_interactions_df
    from lenskit.training import TrainingOptions

    pairs = train.matrix.tocoo()
    dataset = from_interactions_df(pd.DataFrame({"user_id": pairs.row, "item_id": pairs.col}))
    model.train(dataset, TrainingOptions(rng=watch.seed))
    catalog = ItemList(item_ids=np.arange(len(train.known)))

    def one(history: Ints) -> Floats:
        query = RecQuery(history_items=ItemList(item_ids=np.unique(history)))
        return model(query, catalog).scores()

    return lambda batch: np.stack([one(history) for history in batch.histories]), {}


# -- the peers -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Peer:
    """A model to measure."""

    library: str  # as it is installed
    fit: Fit
    space: dict[str, list[Any]]  # values to try; the first ones together are the first trial
    limit: int | None = None  # items it can take
    note: str = ""


SEQUENCE = {
    "factors": [64, 128],
    "dropout": [0.2, 0.4],
    "learning_rate": [0.001, 0.0005],
    "length": [100, 50],
    "batch": [32, 128],
    "blocks": [2, 1],
    "heads": [2, 4],
}
SEQUENCE_NOTE = (
    "learns from the order alone (no weights, no times); epochs by early stopping on the valid "
    f"fold; with more than {SOFTMAX_ITEMS} items sampled softmax of {NEGATIVES} negatives"
)
DENSE_NOTE = f"only the {DENSE_ITEMS} most frequent items are scored, the others stand below them"

PEERS = {
    "implicit-als": Peer(
        "pm-implicit",
        fit_als,
        {
            "binary": [True, False],
            "factors": [64, 128, 32],
            "regularization": [1.0, 0.1, 10.0],
            "alpha": [10.0, 2.0, 40.0],
            "iterations": [15],
        },
    ),
    "implicit-bpr": Peer(
        "pm-implicit",
        fit_bpr,
        {
            "factors": [64, 128],
            "learning_rate": [0.05, 0.01],
            "regularization": [0.01, 0.001],
            "iterations": [100, 300],
        },
        note="scores the users of train by their fitted factors; it cannot take a history",
    ),
    "implicit-knn": Peer(
        "pm-implicit",
        fit_knn,
        {
            "similarity": ["bm25", "cosine", "tfidf"],
            "neighbours": [100, 20, 500],
            "binary": [True, False],
        },
    ),
    "rectools-ease": Peer(
        "RecTools",
        fit_ease,
        {"regularization": [500.0, 100.0, 200.0, 1000.0, 2000.0], "binary": [True, False]},
        DENSE_ITEMS,
        DENSE_NOTE,
    ),
    "rectools-sasrec": Peer("RecTools", fit_sasrec, SEQUENCE, note=SEQUENCE_NOTE),
    "rectools-bert4rec": Peer(
        "RecTools", fit_bert4rec, {**SEQUENCE, "mask_prob": [0.2, 0.4]}, note=SEQUENCE_NOTE
    ),
    "rectools-hstu": Peer(
        "RecTools",
        fit_hstu,
        {**SEQUENCE, "temperature": [0.05, 0.1]},
        note=f"without attention to time, as histories have none; {SEQUENCE_NOTE}",
    ),
    "lenskit-ials": Peer(
        "lenskit",
        fit_lenskit_ials,
        {
            "factors": [64, 128, 32],
            "weight": [10.0, 40.0, 2.0],
            "regularization": [0.1, 1.0, 10.0],
            "epochs": [15],
        },
    ),
    "lenskit-knn": Peer(
        "lenskit", fit_lenskit_knn, {"neighbours": [20, 100, 5, 500], "saved": [500, 100]}
    ),
    "lenskit-slim": Peer(
        "lenskit",
        fit_lenskit_slim,
        {"l1": [1.0, 0.1, 5.0], "l2": [1.0, 10.0, 0.1], "neighbours": [100, 300]},
        DENSE_ITEMS,
        DENSE_NOTE,
    ),
}


# -- search and final fit --------------------------------------------------------------------------


@dataclass(frozen=True)
class Trial:
    """A configuration that was tried, and how good it was on the valid fold."""

    parameters: Parameters
    ndcg: float
    seconds: float


def configurations(peer: Peer, log: pd.DataFrame, trials: int, seed: int) -> list[Parameters]:
    """At most `trials` different configurations: the first one, then others drawn at random."""
    space = dict(peer.space)
    if "binary" in space and (log["weight"] == 1).all() and not log.duplicated().any():
        space["binary"] = [True]  # weights would change nothing
    everything = [dict(zip(space, values, strict=True)) for values in product(*space.values())]
    drawn = 1 + np.random.default_rng(seed).permutation(len(everything) - 1)
    return [everything[i] for i in [0, *drawn][:trials]]


def search(peer: Peer, fold: Fold, trials: int, seconds: float, seed: int) -> list[Trial]:
    """Fits configurations on the valid fold until the trials or the time are used up.

    A fit of one of the sequence models gets a third of the time at most; the others cannot be
    interrupted, so none is begun in the last tenth or when the longest one would no longer fit in.
    """
    start, tried = time.monotonic(), list[Trial]()
    draw = np.random.default_rng(seed).permutation(len(fold.requests.request))
    requests = fold.requests.take(np.sort(draw[:VALID_REQUESTS]))
    for parameters in configurations(peer, fold.log, trials, seed):
        begun = time.monotonic()
        left = start + seconds - begun
        longest = max((trial.seconds for trial in tried), default=0.0)
        if tried and left < max(seconds / 10, min(longest, seconds * TRIAL_SHARE / 2)):
            break
        train = prepare(fold, parameters.get("binary", True), peer.limit)

        def score(scorer: Scorer, train: Train = train) -> float:
            return ndcg(measure(scorer, train, fold, requests).ranks)

        watch = Watch(seed, begun + min(seconds * TRIAL_SHARE, left), score)
        scorer, found = peer.fit(train, parameters, watch)
        value = score(scorer)
        tried.append(Trial({**parameters, **found}, value, time.monotonic() - begun))
        print(f"{value:.4f}  {tried[-1].seconds:6.1f} s  {tried[-1].parameters}", flush=True)
    return tried


def run(folder: Path, name: str, trials: int, seconds: float, seed: int) -> None:
    """Tunes one peer, fits it on the test fold and writes what it ranked."""
    peer = PEERS[name]
    tried = search(peer, read_fold(folder, "valid"), trials, seconds, seed)
    chosen = max(tried, key=lambda trial: trial.ndcg).parameters
    fold = read_fold(folder, "test")
    train = prepare(fold, chosen.get("binary", True), peer.limit)
    start = time.monotonic()
    scorer, _ = peer.fit(train, chosen, Watch(seed, start + seconds, None))
    took = time.monotonic() - start
    ranked = measure(scorer, train, fold, fold.requests)
    report = {
        "name": name,
        "library": peer.library,
        "version": version(peer.library),
        "parameters": chosen,
        "trials": [
            {"parameters": t.parameters, "ndcg@10": t.ndcg, "seconds": t.seconds} for t in tried
        ],
        "fit_seconds": took,
        "score_ms_per_user": ranked.ms_per_user,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,  # KiB on Linux
        "threads": THREADS,
        "note": peer.note,
    }
    write(folder / "ranks", name, ranked, fold.requests, report)
    print(f"{name}: nDCG@10 {ndcg(ranked.ranks):.4f}, fitted in {took:.1f} s")


def write(folder: Path, name: str, ranked: Ranks, requests: Requests, report: Parameters) -> None:
    """Writes PEER.parquet, PEER.top.parquet and PEER.json into the folder."""
    folder.mkdir(exist_ok=True)
    ranks = pa.Table.from_pandas(ranked.ranks, preserve_index=False)
    pq.write_table(ranks, folder / f"{name}.parquet")
    tops = pa.array([top.tolist() for top in ranked.tops], type=pa.list_(pa.int64()))
    table = pa.table({"request": requests.request, "top": tops})
    pq.write_table(table, folder / f"{name}.top.parquet")
    (folder / f"{name}.json").write_text(json.dumps(report, indent=2) + "\n")


def main() -> None:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description="Measures a peer library on an exported split.")
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("peer", choices=list(PEERS), nargs="?")
    parser.add_argument("--list", action="store_true", help="print the peers' names")
    parser.add_argument("--trials", type=int, default=6, help="configurations to try at most")
    parser.add_argument("--seconds", type=float, default=600, help="time to try them in")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    if options.list:
        print("\n".join(PEERS))
        return
    if options.peer is None:
        parser.error("name the folder of a split and a peer, or --list")
    os.environ.setdefault("LK_NUM_THREADS", str(THREADS))  # lenskit reads it when it starts
    warnings.filterwarnings("ignore")  # the libraries' own
    run(options.folder, options.peer, options.trials, options.seconds, options.seed)


if __name__ == "__main__":
    main()
