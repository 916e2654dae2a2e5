"""The peers' own models: a function each that fits one and hands back how to ask it.

It belongs to benchmarks/peers.py. A library is imported when it is fitted, so that no process loads
the others.
"""

import copy
import logging
import os
import time
from typing import Any

import numpy as np
import pandas as pd
from peer_folds import Batch, Floats, Ints, Parameters, Scorer, Train, Watch

TRAINING_FLOATS = 16_000_000  # the largest tensor of a training batch (64 MiB)
SOFTMAX_ITEMS = 20_000  # with more, sequence models learn from sampled negatives
NEGATIVES = 256
MAX_EPOCHS = 200
PATIENCE = 15  # epochs without a gain in nDCG before a sequence model stops
QUICK_EPOCH = 10.0  # seconds; shorter epochs are run five between two looks
THREADS = int(os.environ.get("OMP_NUM_THREADS") or os.cpu_count() or 1)


# -- implicit --------------------------------------------------------------------------------------


def fit_als(train: Train, parameters: Parameters, watch: Watch) -> tuple[Scorer, Parameters]:
    """Alternating least squares (Hu et al. 2008); people are folded in from their histories."""
    from implicit.cpu.als import AlternatingLeastSquares

    model = _fit_implicit(AlternatingLeastSquares, train, parameters, watch)

    def score(batch: Batch) -> Floats:
        people = model.recalculate_user(np.arange(len(batch.users)), batch.matrix)  # (B, D)
        return people @ model.item_factors.T

    return score, {}


def fit_bpr(train: Train, parameters: Parameters, watch: Watch) -> tuple[Scorer, Parameters]:
    """Bayesian personalised ranking (Rendle et al. 2009); it only knows the people of train."""
    from implicit.cpu.bpr import BayesianPersonalizedRanking

    model = _fit_implicit(BayesianPersonalizedRanking, train, parameters, watch)
    seen = train.matrix.getnnz(axis=1) > 0  # (U,)

    def score(batch: Batch) -> Floats:
        scores = model.user_factors[batch.users] @ model.item_factors.T
        scores[~seen[batch.users]] = np.nan
        return scores

    return score, {}


def _fit_implicit(kind: Any, train: Train, parameters: Parameters, watch: Watch) -> Any:
    """A fitted model of factors; `binary` is about the matrix, all other parameters its own."""
    own = {name: value for name, value in parameters.items() if name != "binary"}
    model = kind(**own, num_threads=THREADS, random_state=watch.seed)
    model.fit(train.matrix, show_progress=False)
    return model


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

    return _fit_lenskit(ImplicitMFScorer(**parameters), train, watch)


def fit_lenskit_knn(
    train: Train, parameters: Parameters, watch: Watch
) -> tuple[Scorer, Parameters]:
    """LensKit's item-based nearest neighbours: each item sums over its own nearest of a history."""
    from lenskit.knn import ItemKNNScorer

    return _fit_lenskit(ItemKNNScorer(**parameters, feedback="implicit"), train, watch)


def fit_lenskit_slim(
    train: Train, parameters: Parameters, watch: Watch
) -> tuple[Scorer, Parameters]:
    """LensKit's SLIM (Ning & Karypis 2011): sparse regressions of each item on its neighbours."""
    from lenskit.knn.slim import SLIMConfig, SLIMScorer

    return _fit_lenskit(SLIMScorer(SLIMConfig(**parameters)), train, watch)


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
