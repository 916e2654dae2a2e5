"""⑥ GBDT: LambdaMART (Burges 2010, MSR-TR-2010-82) by XGBoost over ranking/features.py."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xgboost

from ranking.device import best_device
from ranking.rankers.examples import Examples, Rows
from ranking.types import FloatArray, IntArray

OnRound = Callable[[int, float | None], None]  # number of the tree, nDCG@10 on validation


@dataclass(frozen=True)
class Prior:
    """What the trees start from: the logarithm of one feature."""

    feature: str = "item_long"  # this person's faded count of the item
    floor: float = 0.05  # added to it, so that what was never picked is seldom, not impossible

    def of(self, features: FloatArray, names: list[str]) -> FloatArray:
        """What each row is worth before any tree. (N, F) → (N,)"""
        values = np.nan_to_num(features[:, names.index(self.feature)])
        return np.asarray(np.log(np.maximum(values, 0.0) + self.floor), dtype=np.float32)


@dataclass(frozen=True)
class GbdtConfig:
    """How the trees grow."""

    objective: str = "rank:ndcg"  # or binary:logistic: each candidate by itself
    rounds: int = 500  # at most; early stopping usually ends before
    patience: int = 40  # rounds without a better nDCG@10 on the validation sessions
    learning_rate: float = 0.06
    depth: int = 4
    min_child_weight: float = 20.0
    row_share: float = 0.8
    column_share: float = 0.6
    reg: float = 20.0  # L2 on leaves
    left_out: tuple[str, ...] = ()  # how the names begin of features that the trees don't see
    prior: Prior = Prior()


class GbdtRanker:
    """A trained ranker: rows in, one score each out, higher is better.

    The trees correct a prior, so that few examples are enough to do no worse than it: where people
    pick the same again, their own faded counts; elsewhere, the score of the best table.
    """

    def __init__(self, booster: xgboost.Booster, names: list[str]) -> None:
        self._booster = booster
        self._booster.set_param({"nthread": 1})
        self.names = names  # of all columns of the rows that are scored
        self._seen = _places(names, booster.feature_names or [])
        usual = Prior()  # of ranker files of before it was chosen
        self._prior = Prior(
            booster.attr("prior") or usual.feature,
            float(booster.attr("prior_floor") or usual.floor),
        )

    def score(self, rows: Rows) -> FloatArray:
        """(N,) higher is better."""
        scores = self._booster.inplace_predict(
            rows.features[:, self._seen],
            base_margin=self._prior.of(rows.features, self.names),
            validate_features=False,
            predict_type="margin",
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
    def load(cls, path: Path, names: list[str]) -> "GbdtRanker":
        """Read what `save` wrote, to score rows with these columns."""
        booster = xgboost.Booster()
        booster.load_model(path)
        return cls(booster, names)

    @classmethod
    def fit(
        cls,
        train: Examples,
        valid: Examples | None,
        names: list[str],
        config: GbdtConfig,
        seed: int,
        on_round: OnRound,
    ) -> "GbdtRanker":
        """Grow trees until nDCG@10 on the validation requests stops rising.

        Without validation requests `config.rounds` trees grow. `on_round(round, ndcg)` is called
        after each tree, ndcg None without validation; what it raises ends the training.
        """
        seen = [name for name in names if not name.startswith(config.left_out)]
        callbacks: list[xgboost.callback.TrainingCallback] = [_EachRound(on_round)]
        if valid is not None:
            callbacks.insert(
                0,
                xgboost.callback.EarlyStopping(
                    rounds=config.patience, metric_name="ndcg@10", maximize=True, save_best=True
                ),
            )
        booster = xgboost.train(
            _parameters(config, seed),
            _matrix(train, names, seen, config.prior),
            num_boost_round=config.rounds,
            evals=[] if valid is None else [(_matrix(valid, names, seen, config.prior), "valid")],
            verbose_eval=False,
            callbacks=callbacks,
        )
        booster.set_param({"device": "cpu"})
        booster.set_attr(prior=config.prior.feature, prior_floor=repr(config.prior.floor))
        return cls(booster, names)

    @property
    def validation(self) -> float:
        """nDCG@10 on the validation requests of the best round; NaN where there were none."""
        return float(self._booster.attr("best_score") or "nan")

    @property
    def rounds(self) -> int:
        """How many trees were grown."""
        return int(self._booster.num_boosted_rounds())


def _parameters(config: GbdtConfig, seed: int) -> dict[str, Any]:
    pairs = {"lambdarank_pair_method": "topk", "lambdarank_num_pair_per_sample": 12}
    return (pairs if config.objective.startswith("rank:") else {"base_score": 0.5}) | {
        "objective": config.objective,
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


def _places(names: list[str], chosen: Sequence[str]) -> IntArray:
    return np.array([names.index(name) for name in chosen], dtype=np.int64)


def _matrix(part: Examples, names: list[str], seen: list[str], prior: Prior) -> xgboost.DMatrix:
    columns = part.features[:, _places(names, seen)]
    matrix = xgboost.DMatrix(columns, part.labels, feature_names=seen)
    matrix.set_group(part.groups)
    matrix.set_base_margin(prior.of(part.features, names))
    return matrix


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
