"""The user tower."""

import numpy as np
import torch

from ranking.user_tower import TowerConfig, UserTower, all_item_vectors, gap_buckets, user_vector
from tests.ranking.worlds import context_of, item_index


def tower() -> UserTower:
    torch.manual_seed(0)
    return UserTower(TowerConfig(item_count=10, vector_size=8, width=16, length=5)).eval()


def test_later_steps_do_not_change_earlier_states() -> None:
    network = tower()
    items = torch.randn(1, 4, 16)
    types, gaps = torch.zeros(1, 4, dtype=torch.long), torch.zeros(1, 4, dtype=torch.long)
    with torch.no_grad():
        before = network(items, types, gaps, torch.tensor([4]))
        items[0, 3] = torch.randn(16)
        after = network(items, types, gaps, torch.tensor([4]))
    assert torch.allclose(before[0, :3], after[0, :3])
    assert not torch.allclose(before[0, 3], after[0, 3])


def test_items_new_since_training_enter_by_their_text() -> None:
    network, items = tower(), item_index()
    rows = np.where(np.arange(12) < 10, np.arange(12), 10)
    vectors = all_item_vectors(network, items.text_vectors, items.text_codes, rows)
    assert vectors.shape == (12, 16)
    with torch.no_grad():
        projected = network.project(torch.from_numpy(items.text_vectors[11:]))
        expected = network.item_norm(projected)
    assert np.allclose(vectors[11], expected[0].numpy(), atol=1e-6)


def test_the_vector_changes_with_the_last_click_and_with_time() -> None:
    network, items = tower(), item_index()
    rows = np.minimum(np.arange(12), 10)
    vectors = all_item_vectors(network, items.text_vectors, items.text_codes, rows)
    first = user_vector(network, vectors, context_of((1, 3, 1), (2, 2, 1)))
    clicked = user_vector(network, vectors, context_of((1, 3, 1), (2, 2, 1), (5, 0, 1)))
    waited = user_vector(network, vectors, context_of((1, 3, 1), (2, 0.5, 1)))
    assert not np.allclose(first, clicked)
    assert not np.allclose(first, waited)


def test_histories_longer_than_the_tower_reads_are_cut() -> None:
    network, items = tower(), item_index()
    rows = np.minimum(np.arange(12), 10)
    vectors = all_item_vectors(network, items.text_vectors, items.text_codes, rows)
    events = [(row % 12, 40.0 - row, 1.0) for row in range(30)]
    whole = user_vector(network, vectors, context_of(*events))
    assert np.allclose(whole, user_vector(network, vectors, context_of(*events[-5:])))


def test_gap_buckets() -> None:
    assert gap_buckets(np.array([0.0, 1.0, 3.0, 1e30])).tolist() == [0, 1, 2, 23]
