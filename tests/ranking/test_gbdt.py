"""The trees: what they start from, what they see, and what is kept of them."""

from pathlib import Path

import numpy as np
import pytest

from ranking.rankers.examples import Examples, Rows
from ranking.rankers.gbdt import GbdtConfig, GbdtRanker, Prior
from ranking.types import FloatArray
from tests.ranking.worlds import examples_of

NAMES = ["item_long", "age_days", "due"]
DRAW = np.random.default_rng(0)
REQUESTS, SIZE = 60, 30


def examples() -> Examples:
    """What is picked is what is due and not old."""
    rows = DRAW.random((REQUESTS * SIZE, len(NAMES))).astype(np.float32)
    labels = (rows[:, 2] - rows[:, 1] > 0.5).astype(np.float32)
    return examples_of(rows, labels, np.full(REQUESTS, SIZE))


def rows_of(features: FloatArray) -> Rows:
    nothing = np.zeros(0, dtype=np.int64)
    return Rows(features, np.arange(len(features)), nothing)


def fitted(**config: object) -> GbdtRanker:
    settings = GbdtConfig(rounds=20, min_child_weight=1.0, **config)  # type: ignore[arg-type]
    return GbdtRanker.fit(examples(), examples(), NAMES, settings, 1, lambda *_: None)


def test_what_is_left_out_changes_no_score() -> None:
    rows = examples().features
    other = rows.copy()
    other[:, 1] = 0.0
    blind = fitted(left_out=("age_",))
    assert blind.score(rows_of(rows)) == pytest.approx(blind.score(rows_of(other)))
    assert set(blind.importance()) <= {"item_long", "due"}
    seeing = fitted()
    assert not np.allclose(seeing.score(rows_of(rows)), seeing.score(rows_of(other)))


def test_no_trees_means_the_prior() -> None:
    config = GbdtConfig(rounds=1, learning_rate=0.0)
    ranker = GbdtRanker.fit(examples(), None, NAMES, config, 1, lambda *_: None)
    rows = examples().features
    order = np.argsort(-ranker.score(rows_of(rows)), kind="stable")
    assert order.tolist() == np.argsort(-Prior().of(rows, NAMES), kind="stable").tolist()


def test_without_validation_all_trees_grow_and_each_is_reported() -> None:
    told: list[tuple[int, float | None]] = []
    config = GbdtConfig(rounds=7)
    ranker = GbdtRanker.fit(examples(), None, NAMES, config, 1, lambda *it: told.append(it))
    assert ranker.rounds == 7
    assert told == [(number, None) for number in range(7)]


def test_saved_and_loaded_it_scores_alike_among_more_columns(tmp_path: Path) -> None:
    ranker, rows = fitted(left_out=("age_",)), examples().features
    ranker.save(tmp_path / "ranker.ubj")
    wider = ["new", *NAMES]
    loaded = GbdtRanker.load(tmp_path / "ranker.ubj", wider)
    more = np.concatenate([np.ones((len(rows), 1), dtype=np.float32), rows], axis=1)
    assert loaded.score(rows_of(more)) == pytest.approx(ranker.score(rows_of(rows)))


def test_the_prior_is_chosen_kept_and_reads_nothing_where_nothing_is(tmp_path: Path) -> None:
    prior = Prior("due", 0.5)
    rows = np.array([[0, 0, 1.5], [0, 0, np.nan], [0, 0, -3.0]], dtype=np.float32)
    assert prior.of(rows, NAMES) == pytest.approx(np.log([2.0, 0.5, 0.5]))
    config = GbdtConfig(rounds=1, learning_rate=0.0, prior=prior)
    ranker = GbdtRanker.fit(examples(), None, NAMES, config, 1, lambda *_: None)
    ranker.save(tmp_path / "ranker.ubj")
    loaded = GbdtRanker.load(tmp_path / "ranker.ubj", NAMES)
    scores = loaded.score(rows_of(rows))
    assert scores - scores[1] == pytest.approx(np.log([4.0, 1.0, 1.0]), abs=1e-5)
