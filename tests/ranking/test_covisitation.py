"""Co-visitation against values worked by hand."""

import numpy as np
import pytest
from scipy import sparse

from ranking.covisitation import CoVisitation, CoVisitationConfig, strongest
from tests.ranking.worlds import NOW, log_of


def test_covisitation_counts_forward_more_than_backward() -> None:
    config = CoVisitationConfig(window=1, reverse=0.5, half_life_days=1e9, damping=0.0)
    log = log_of((1, 0, 3.0, 1.0), (1, 1, 2.0, 1.0), (2, 0, 3.0, 1.0), (2, 1, 2.0, 1.0))
    table = CoVisitation.fit(log, 3, NOW, config)
    # 0 → 1 twice forward: 2 / (2 + 1); 1 → 0 twice backward: 2 · 0.5 / (2 + 1)
    assert table.neighbours[0, 0] == 1
    assert table.weights[0, 0] == pytest.approx(2 / 3)
    assert table.weights[1, 0] == pytest.approx(1 / 3)
    assert table.neighbours[2].max() == -1


def test_covisitation_does_not_cross_people() -> None:
    table = CoVisitation.fit(log_of((1, 0, 2.0, 1.0), (2, 1, 1.0, 1.0)), 2, NOW)
    assert table.neighbours.max() == -1


def test_strongest_keeps_the_largest_of_each_row() -> None:
    matrix = sparse.csr_matrix(np.array([[0, 1, 3], [0, 0, 0], [5, 0, 4]], dtype=np.float32))
    columns, values = strongest(matrix, 1)
    assert columns.tolist() == [[2], [-1], [0]]
    assert values.tolist() == [[3], [0], [5]]
