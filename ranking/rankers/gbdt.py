"""⑥ GBDT: LambdaMART (Burges 2010, MSR-TR-2010-82) by XGBoost over ranking/features.py."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xgboost

from ranking.device import best_device
from ranking.types import FloatArray, IntArray

OnRound = Callable[[int, float | None], None]  # number of the tree, nDCG@10 on validation

PRIOR = "item_long"  # the feature that the trees start from: this person's faded count of the item
PRIOR_FLOOR = 0.05  # what counts as seldom: the prior of an item that was never picked


@dataclass(frozen=True)
class GbdtConfig:
    """How the trees grow."""

    rounds: int = 500  # at most; early stopping usually ends before
    patience: int = 40  # rounds without a better nDCG@10 on the validation sessions
    learning_rate: float = 0.06
    depth: int = 5
    min_child_weight: float = 20.0
    row_share: float = 0.8
    column_share: float = 0.6
    reg: float = 5.0  # L2 on leaves


@dataclass(frozen=True)
class Examples:
    """Feature rows of many requests, one group a request."""

    features: FloatArray  # (M, F)
    labels: FloatArray  # (M,) 1 = picked
    groups: IntArray  # (G,) rows of each request, summing to M

    @classmethod
    def joined(cls, parts: Sequence["Examples"]) -> "Examples":
        """All examples of these parts, in order; at least one part."""
        return cls(
            np.concatenate([part.features for part in parts]),
            np.concatenate([part.labels for part in parts]),
            np.concatenate([part.groups for part in parts]),
        )


class GbdtRanker:
    """A trained ranker: rows in, one score each out, higher is better.

    The trees correct a prior, the logarithm of the person's own faded count, so that few examples
    are enough to do no worse than it. Where nothing is picked twice it is the same for every
    candidate.
    """

    def __init__(self, booster: xgboost.Booster) -> None:
        self._booster = booster
        self._booster.set_param({"nthread": 1})
        self.feature_names: list[str] = list(booster.feature_names or [])

    def score(self, features: FloatArray) -> FloatArray:
        """(N, F) → (N,)"""
        prior = prior_of(features, self.feature_names)
        scores = self._booster.inplace_predict(
            features, base_margin=prior, validate_features=False, predict_type="margin"
        )
        return np.asarray(scores, dtype=np.float32)

    def save(self, path: Path) -> None:
        """Write XGBoost's own binary JSON."""
        self._booster.save_model(path)

    def importance(self) -> dict[str, float]:
        """Share of the total gain by feature."""
        gain = self._booster.get_score(importance_type="total_gain")
        total = sum(map(float, gain.values())) or 1.0  # type: ignore[arg-type]
        return {name: float(value) / total for name, value in gain.items()}  # type: ignore[arg-type]

    @classmethod
    def load(cls, path: Path) -> "GbdtRanker":
        """Read what `save` wrote."""
        booster = xgboost.Booster()
        booster.load_model(path)
        return cls(booster)

    @classmethod
    def fit(
        cls,
        train: Examples,
        valid: Examples,
        names: list[str],
        config: GbdtConfig,
        seed: int,
        on_round: OnRound,
    ) -> "GbdtRanker":
        """Grow trees until nDCG@10 on the validation requests stops rising.

        `on_round(round, ndcg)` is called after each tree; what it raises ends the training.
        """
        booster = xgboost.train(
            _parameters(config, seed),
            _matrix(train, names),
            num_boost_round=config.rounds,
            evals=[(_matrix(valid, names), "valid")],
            verbose_eval=False,
            callbacks=[
                xgboost.callback.EarlyStopping(
                    rounds=config.patience, metric_name="ndcg@10", maximize=True, save_best=True
                ),
                _EachRound(on_round),
            ],
        )
        booster.set_param({"device": "cpu"})
        return cls(booster)

    @property
    def rounds(self) -> int:
        """How many trees were grown."""
        return int(self._booster.num_boosted_rounds())

    def refitted(
        self, newest: Examples, config: GbdtConfig, seed: int, on_round: OnRound
    ) -> "GbdtRanker":
        """As many trees, grown anew on other examples; no validation is left, so ndcg is None."""
        booster = xgboost.train(
            _parameters(config, seed),
            _matrix(newest, self.feature_names),
            num_boost_round=self.rounds,
            callbacks=[_EachRound(on_round)],
        )
        booster.set_param({"device": "cpu"})
        return GbdtRanker(booster)


def _parameters(config: GbdtConfig, seed: int) -> dict[str, Any]:
    return {
        "objective": "rank:ndcg",
        "lambdarank_pair_method": "topk",
        "lambdarank_num_pair_per_sample": 12,
        "eval_metric": "ndcg@10",
        "eta": config.learning_rate,
        "max_depth": config.depth,
        "min_child_weight": config.min_child_weight,
        "subsample": config.row_share,
        "colsample_bytree": config.column_share,
        "lambda": config.reg,
        "tree_method": "hist",
        "max_bin": 128,
        "device": "cuda" if best_device().type == "cuda" else "cpu",
        "seed": seed,
    }


def _matrix(part: Examples, names: list[str]) -> xgboost.DMatrix:
    matrix = xgboost.DMatrix(part.features, part.labels, feature_names=names)
    matrix.set_group(part.groups)
    matrix.set_base_margin(prior_of(part.features, names))
    return matrix


def prior_of(features: FloatArray, names: list[str]) -> FloatArray:
    """What each row is worth before any tree. (N, F) → (N,)"""
    return np.asarray(np.log(features[:, names.index(PRIOR)] + PRIOR_FLOOR), dtype=np.float32)


class _EachRound(xgboost.callback.TrainingCallback):
    """Hands the validation metric of each round on."""

    def __init__(self, on_round: OnRound) -> None:
        super().__init__()
        self.on_round = on_round

    def after_iteration(
        self, model: xgboost.Booster, epoch: int, evals_log: dict[str, dict[str, Any]]
    ) -> bool:
        self.on_round(epoch, evals_log["valid"]["ndcg@10"][-1] if evals_log else None)
        return False
