"""How far two samples are apart, and how far chance alone would put them."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import chi2

from ranking.types import IntArray

Counts = NDArray[np.int64]
Vectors = NDArray[np.floating[Any]]

BINS = 10  # of numbers: deciles of the reference
PERMUTATIONS = 199  # rounds of a permutation test
SURE = 0.95  # what chance alone exceeds once in twenty times


def psi(reference: Counts, new: Counts) -> float:
    """Population stability index of two histograms over the same bins; 0 = the same shares.

    PSI = Σ_b (q_b − p_b) ln(q_b / p_b), with the shares p_b = (n_b + ½) / (N + B/2) of the
    reference and q_b of the new sample: half a count a bin keeps empty ones finite. It is the
    symmetric Kullback–Leibler divergence (Jeffreys 1946) of credit scoring (Lewis 1994; Siddiqi
    2006), where below 0.1 is called stable and above 0.25 a major shift. (B,) and (B,) counts.
    """
    p, q = (
        (counts + 0.5) / (counts.sum() + 0.5 * len(counts)) for counts in (reference, new)
    )  # (B,)
    return float(((q - p) * np.log(q / p)).sum())


def psi_by_chance(reference: int, new: int, bins: int) -> float:
    """The PSI that two samples of the same population exceed once in twenty times.

    (1/N + 1/M) χ²_{B−1, 0.95} (Yurdakul & Naranjo 2020, "Statistical properties of the population
    stability index"). `reference` and `new` are numbers of independent cases: people, not picks.
    """
    if bins < 2:
        return 0.0
    return float((1 / reference + 1 / new) * chi2.ppf(SURE, bins - 1))


def decile_edges(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Inner borders of bins that hold a tenth of the values each; fewer where values repeat."""
    return np.unique(np.quantile(values, np.arange(1, BINS) / BINS))


def histogram(values: NDArray[np.float64], edges: NDArray[np.float64]) -> Counts:
    """How many values lie in each bin: up to the first border, …, above the last one. (E + 1,)"""
    return np.bincount(np.searchsorted(edges, values), minlength=len(edges) + 1)


def energy(reference: Vectors, new: Vectors, groups: IntArray) -> tuple[float, float]:
    """Energy coefficient of two samples of vectors, and what chance exceeds once in twenty times.

    H = (2A − B − C) / 2A with A the mean Euclidean distance between the samples, B and C within
    each (pairs of different vectors): 0 = the same distribution, 1 = two points apart (Székely &
    Rizzo 2013). Below 0 is chance, and said as 0. The chance comes from PERMUTATIONS rounds in
    which whole groups change sides.

    Parameters
    ----------
    reference, new
        (N, D) and (M, D).
    groups
        (N + M,) 0-based number of the group, such as a person, of each vector; the groups of the
        two samples are different ones.
    """
    both = np.concatenate([reference, new]).astype(np.float64)  # (N + M, D)
    squares = (both * both).sum(axis=1)
    apart = squares[:, None] + squares[None, :] - 2.0 * both @ both.T
    distances = np.sqrt(np.maximum(apart, 0.0))  # (N + M, N + M)
    np.fill_diagonal(distances, 0.0)
    sides = np.zeros((PERMUTATIONS + 1, int(groups.max()) + 1), dtype=bool)
    sides[0, groups[len(reference) :]] = True
    generator = np.random.default_rng(0)
    for row in sides[1:]:
        row[:] = generator.permutation(sides[0])
    found = _coefficients(distances, sides[:, groups].T.astype(np.float64))
    return max(float(found[0]), 0.0), max(float(np.nanquantile(found[1:], SURE)), 0.0)


def _coefficients(distances: NDArray[np.float64], new: NDArray[np.float64]) -> NDArray[np.float64]:
    """H for each column of `new`, (N + M, P), which is 1 for the vectors of the new sample."""
    old = 1.0 - new
    to_new = distances @ new  # (N + M, P)
    to_old = distances @ old
    m, n = new.sum(axis=0), old.sum(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        between = (old * to_new).sum(axis=0) / (n * m)
        within_new = (new * to_new).sum(axis=0) / (m * (m - 1))
        within_old = (old * to_old).sum(axis=0) / (n * (n - 1))
        return np.asarray((2 * between - within_new - within_old) / (2 * between))
