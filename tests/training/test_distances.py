"""How far samples are apart, against numbers worked by hand."""

from math import log, sqrt

import numpy as np
import pytest

from training.distances import decile_edges, energy, histogram, psi, psi_by_chance


class TestPsi:
    def test_by_hand(self) -> None:
        # 49.5 + ½ of 100, 49.5 … is no count: 19 and 29 of 48 become 19.5/49 and 29.5/49
        then, now = np.array([19, 29]), np.array([29, 19])
        p, q = 19.5 / 49, 29.5 / 49
        expected = (q - p) * log(q / p) + (p - q) * log(p / q)
        assert psi(then, now) == pytest.approx(expected)
        assert psi(then, now) == pytest.approx(0.1690, abs=1e-4)

    def test_the_same_shares_are_zero_and_it_is_symmetric(self) -> None:
        assert psi(np.array([5, 5]), np.array([5, 5])) == 0.0
        then, now = np.array([1, 8, 2]), np.array([4, 4, 4])
        assert psi(then, now) == pytest.approx(psi(now, then))

    def test_an_empty_bin_is_finite(self) -> None:
        # (1 − 0.5/100.5 …): shares 100.5/101 and 0.5/101, swapped
        expected = 2 * (100 / 101) * log(100.5 / 0.5)
        assert psi(np.array([100, 0]), np.array([0, 100])) == pytest.approx(expected)

    def test_chance(self) -> None:
        assert psi_by_chance(100, 100, 2) == pytest.approx(0.02 * 3.841459, rel=1e-6)  # χ²₁
        assert psi_by_chance(100, 100, 1) == 0.0

    def test_chance_holds_for_samples_of_the_same(self) -> None:
        draw = np.random.default_rng(1)
        shares = draw.dirichlet(np.ones(10))
        values = [psi(*draw.multinomial(400, shares, 2)) for _ in range(500)]
        assert 0.02 < np.mean(np.array(values) > psi_by_chance(400, 400, 10)) < 0.09


class TestBins:
    def test_deciles_hold_a_tenth_each(self) -> None:
        values = np.arange(100.0)
        assert histogram(values, decile_edges(values)).tolist() == [10] * 10

    def test_values_that_repeat_make_fewer(self) -> None:
        edges = decile_edges(np.array([3.0] * 50))
        assert edges.tolist() == [3.0]
        assert histogram(np.array([2.0, 3.0, 4.0]), edges).tolist() == [2, 1]


class TestEnergy:
    def test_by_hand(self) -> None:
        # A = (0 + 2 + 1 + 1) / 4 = 1 … between {0, 2} and {0, 1}: 0, 1, 2, 1; B = 2, C = 1
        then, now = np.array([[0.0], [2.0]]), np.array([[0.0], [1.0]])
        assert energy(then, now, np.arange(4))[0] == 0.0  # (2·1 − 2 − 1) / 2 is below 0
        far = np.array([[10.0], [10.0]])
        # A = (10 + 8) / 2 = 9, B = 2, C = 0: (18 − 2) / 18
        assert energy(then, far, np.arange(4))[0] == pytest.approx(16 / 18)

    def test_two_points_are_one_apart(self) -> None:
        then, now = np.zeros((5, 3)), np.ones((5, 3)) / sqrt(3)
        assert energy(then, now, np.arange(10))[0] == pytest.approx(1.0)

    def test_chance_covers_what_has_not_moved_and_not_what_has(self) -> None:
        draw = np.random.default_rng(2)
        then, same = draw.normal(size=(2, 200, 8))
        value, chance = energy(then, same, np.arange(400))
        assert value <= chance < 0.01
        value, chance = energy(then, same + 0.5, np.arange(400))
        assert value > 5 * chance

    def test_one_persons_picks_are_no_evidence(self) -> None:
        """Twenty people with a taste each: the whole of it changes sides."""
        draw = np.random.default_rng(3)
        tastes = np.repeat(draw.normal(size=(20, 8)), 20, axis=0)
        groups = np.repeat(np.arange(20), 20)
        value, chance = energy(tastes[:200], tastes[200:], groups)
        alone = energy(tastes[:200], tastes[200:], np.arange(400))[1]
        assert alone < value <= chance
