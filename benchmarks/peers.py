"""Measures other libraries' recommenders on a split that this project exported.

`python benchmarks/peers.py FOLDER PEER` tunes one peer on the fold FOLDER/valid, fits the best
configuration on FOLDER/test and writes FOLDER/ranks/PEER.parquet (the rank of each target among
all items), PEER.top.parquet (the ten best items of each request) and PEER.json (what was tried,
what was chosen, what it took). `--list` prints the peers' names.

It stands alone: it runs in an environment made from benchmarks/requirements.txt and imports
nothing of this project. All peers run on the CPU, with OMP_NUM_THREADS threads where that is set.

What is the same for all peers, whatever their library would do:

- the request's history goes in at scoring time, if the model can take it;
- items without an interaction in train stand below all others, all alike;
- a request about which the model has nothing to say is ranked by popularity (sums of weights).
"""

import argparse
import json
import os
import resource
import time
import warnings
from dataclasses import dataclass
from importlib.metadata import version
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from peer_folds import (
    Fit,
    Fold,
    Parameters,
    Ranks,
    Requests,
    Scorer,
    Train,
    Watch,
    measure,
    ndcg,
    prepare,
    read_fold,
)
from peer_models import (
    NEGATIVES,
    SOFTMAX_ITEMS,
    THREADS,
    fit_als,
    fit_bert4rec,
    fit_bpr,
    fit_ease,
    fit_hstu,
    fit_knn,
    fit_lenskit_ials,
    fit_lenskit_knn,
    fit_lenskit_slim,
    fit_sasrec,
)

VALID_REQUESTS = 1_000  # at most so many are scored in a trial
DENSE_ITEMS = 10_000  # for models with an item × item matrix (400 MiB)
TRIAL_SHARE = 1 / 3  # of all seconds, for one trial of a sequence model


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
            "embedding_size": [64, 128, 32],
            "weight": [10.0, 40.0, 2.0],
            "regularization": [0.1, 1.0, 10.0],
            "epochs": [15],
        },
    ),
    "lenskit-knn": Peer(
        "lenskit", fit_lenskit_knn, {"max_nbrs": [20, 100, 5, 500], "save_nbrs": [500, 100]}
    ),
    "lenskit-slim": Peer(
        "lenskit",
        fit_lenskit_slim,
        {"l1_reg": [1.0, 0.1, 5.0], "l2_reg": [1.0, 10.0, 0.1], "max_nbrs": [100, 300]},
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
