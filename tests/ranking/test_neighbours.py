"""Tables of neighbours against values worked by hand."""

import numpy as np
import pytest
from scipy import sparse

from ranking.covisitation import CoVisitation
from ranking.ease import Ease, inverse_weights, nearest_weights
from ranking.neighbours import Neighbours, strongest
from tests.ranking.worlds import NOW, log_of


def test_covisitation_counts_forward_more_than_backward() -> None:
    recipe = CoVisitation(window=1, reverse=0.5, half_life_days=1e9, damping=0.0, own_damping=1.0)
    log = log_of((1, 0, 3.0, 1.0), (1, 1, 2.0, 1.0), (2, 0, 3.0, 1.0), (2, 1, 2.0, 1.0))
    table = recipe.fit(log, 3, NOW)
    # 0 → 1 twice forward: 2 / (2 + 1); 1 → 0 twice backward: 2 · 0.5 / (2 + 1)
    assert table.rows[0, 0] == 1
    assert table.weights[0, 0] == pytest.approx(2 / 3)
    assert table.weights[1, 0] == pytest.approx(1 / 3)
    assert table.rows[2].max() == -1


def test_covisitation_fades_with_the_steps_between() -> None:
    recipe = CoVisitation(
        window=2, step_fading=0.5, reverse=0.0, half_life_days=1e9, damping=0.0, own_damping=0.0
    )
    table = recipe.fit(log_of((1, 0, 3.0, 1.0), (1, 1, 2.0, 1.0), (1, 2, 1.0, 1.0)), 3, NOW)
    assert table.rows[0, :2].tolist() == [1, 2]
    assert table.weights[0, :2] == pytest.approx([1.0, 0.5])


def test_covisitation_of_a_large_log_counts_the_newest() -> None:
    log = log_of((1, 0, 9.0, 1.0), (1, 1, 8.0, 1.0), (2, 1, 3.0, 1.0), (2, 2, 2.0, 1.0))
    table = CoVisitation(most_interactions=2).fit(log, 3, NOW)
    assert table.rows[0].max() == -1
    assert table.rows[1, 0] == 2


def test_covisitation_does_not_cross_people() -> None:
    table = CoVisitation().fit(log_of((1, 0, 2.0, 1.0), (2, 1, 1.0, 1.0)), 2, NOW)
    assert table.rows.max() == -1


def test_ease_is_the_closed_form() -> None:
    people = np.array([[1, 1, 0], [1, 1, 0], [0, 1, 1], [1, 0, 1]], dtype=np.float32)
    inverse = np.linalg.inv(people.T @ people + 2.0 * np.eye(3))
    wanted = -inverse / np.diag(inverse)
    np.fill_diagonal(wanted, 0.0)
    gram = sparse.csr_matrix(people.T @ people)
    assert inverse_weights(gram, 2.0) == pytest.approx(wanted, abs=1e-5)

    person, item = np.nonzero(people)
    events = zip(person.tolist(), item.tolist(), [1.0] * len(item), [1.0] * len(item), strict=True)
    table = Ease(reg=2.0).fit(log_of(*events), 4, NOW)
    assert table.rows[0, 0] == wanted[0].argmax()
    assert table.weights[0, 0] == pytest.approx(wanted[0].max(), abs=1e-5)
    assert table.rows[3].max() == -1  # nobody took it


def test_ease_over_the_nearest_of_everything_is_ease_over_everything() -> None:
    generator = np.random.default_rng(3)
    people = (generator.random((60, 9)) < 0.3).astype(np.float32)
    gram = sparse.csr_matrix(people.T @ people)
    whole = np.maximum(inverse_weights(gram, 5.0), 0.0)
    assert nearest_weights(gram, 5.0, 20).toarray() == pytest.approx(whole, abs=1e-5)
    few = nearest_weights(gram, 5.0, 3).toarray()
    assert (few > 0).sum(axis=0).max() <= 3


def test_ease_of_next_to_nothing_knows_no_neighbours() -> None:
    assert Ease().fit(log_of((1, 0, 1.0, 1.0)), 3, NOW).rows.max() == -1


def test_a_table_is_summed_over_the_recent_items_the_newest_most() -> None:
    rows = np.array([[1, 2], [2, -1], [-1, -1]], dtype=np.int32)
    table = Neighbours(rows, np.array([[0.6, 0.2], [0.5, 0], [0, 0]], dtype=np.float32), 1.0)
    assert table.scores_for(np.array([0, 1])).tolist() == pytest.approx([0, 0.6, 0.2 + 0.5 / 2])


def test_a_table_moves_with_its_items() -> None:
    rows = np.array([[1, 2], [2, -1], [0, -1]], dtype=np.int32)
    table = Neighbours(rows, np.ones((3, 2), dtype=np.float32), 1.0)
    moved = table.moved(np.array([3, -1, 0]), 4)  # the middle one is gone
    assert moved.rows.tolist() == [[3, -1], [-1, -1], [-1, -1], [-1, 0]]


def test_of_equal_neighbours_the_first_are_kept_and_below_zero_is_last() -> None:
    values = np.array([[-1, 2, 0.5, 2, -0.5], [7, 7, 7, 7, 7]], dtype=np.float32)
    columns, _ = strongest(sparse.csr_matrix(values), 5)
    assert columns.tolist() == [[1, 3, 2, 4, 0], [0, 1, 2, 3, 4]]


def test_strongest_keeps_the_largest_of_each_row() -> None:
    matrix = sparse.csr_matrix(np.array([[0, 1, 3], [0, 0, 0], [5, 0, 4]], dtype=np.float32))
    columns, values = strongest(matrix, 1)
    assert columns.tolist() == [[2], [-1], [0]]
    assert values.tolist() == [[3], [0], [5]]
