"""Metrics of recommendations, one figure a request, and how sure one may be of their means.

`ranks` is (R, T): the 0-based places of each request's relevant items in the full ranking, all
different, in any order, padded with −1. `tops` is (R, K): the rows of the first K items shown to
each request, padded with −1. A figure that cannot be had is NaN; callers leave it out of the mean.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ranking.types import IntArray

Figures = NDArray[np.float64]
Numbers = NDArray[np.integer[Any] | np.floating[Any]]

RESAMPLES = 2_000  # of a bootstrap, and rounds of a randomisation test
SMOOTHING = 0.01  # α of calibration: how much of the history is mixed into the list
BLOCK = 1 << 20  # numbers held at once (8 MiB of float64)


def recall(ranks: IntArray, k: int) -> Figures:
    """Share of the relevant items that stand among the first k, (R,).

    |relevant ∩ first k| / |relevant|. 0 where nothing is relevant; with more than k relevant items
    it cannot reach 1.
    """
    found = _within(ranks, k).sum(axis=1)  # (R,)
    return _ratio(found, (ranks >= 0).sum(axis=1))


def hit_rate(ranks: IntArray, k: int) -> Figures:
    """Whether any relevant item stands among the first k, (R,): 1 or 0; its mean is the rate.

    [|relevant ∩ first k| > 0] (Deshpande & Karypis 2004). 0 where nothing is relevant.
    """
    return np.asarray(_within(ranks, k).any(axis=1), dtype=np.float64)


def ndcg(ranks: IntArray, k: int) -> Figures:
    """Gain of the first k, discounted by place, over the best gain there could be, (R,).

    Σ_{relevant at place p < k} 1/log2(p + 2), over the same sum with all relevant items in front:
    Σ_{p < min(k, |relevant|)} 1/log2(p + 2). Järvelin & Kekäläinen 2002, binary gains, every place
    discounted as in Burges et al. 2005. 0 where nothing is relevant.
    """
    discounts = 1.0 / np.log2(np.maximum(ranks, 0) + 2.0)  # (R, T)
    gain = np.where(_within(ranks, k), discounts, 0.0).sum(axis=1)
    ideal = np.cumsum(1.0 / np.log2(np.arange(ranks.shape[1]) + 2.0))  # (T,)
    best = np.append(0.0, ideal)[np.minimum((ranks >= 0).sum(axis=1), k)]  # (R,)
    return _ratio(gain, best)


def reciprocal_rank(ranks: IntArray, k: int) -> Figures:
    """One over the place of the first relevant item, if that is among the first k, (R,).

    1 / (1 + min rank) if min rank < k, else 0 (Voorhees 1999). 0 where nothing is relevant.
    """
    first = np.where(ranks >= 0, ranks, k).min(axis=1, initial=k)  # (R,)
    return np.where(first < k, 1.0 / (first + 1.0), 0.0)


def average_precision(ranks: IntArray, k: int) -> Figures:
    """Precision at the place of each relevant item among the first k, averaged (AP@k), (R,).

    Σ_{relevant at place p < k} |relevant ∩ first p + 1| / (p + 1), over min(k, |relevant|). With k
    at least |relevant| this is the average precision of TREC, cut at k (Manning, Raghavan & Schütze
    2008, § 8.4); the min lets a list full of relevant items reach 1. 0 where nothing is relevant.
    """
    unseen = np.iinfo(np.int64).max
    ordered = np.sort(np.where(ranks >= 0, ranks, unseen), axis=1)  # (R, T) padding last
    found = np.arange(1, ranks.shape[1] + 1)  # (T,) relevant items up to and with this one
    precision = np.where(ordered < k, found / (ordered + 1.0), 0.0)
    return _ratio(precision.sum(axis=1), np.minimum((ranks >= 0).sum(axis=1), k))


def auc(ranks: IntArray, items: int) -> Figures:
    """Chance that a relevant item stands before an irrelevant one in a ranking of all items, (R,).

    1 − (Σ ranks − n(n − 1)/2) / (n (items − n)), with n = |relevant|: the Mann–Whitney statistic
    (Hanley & McNeil 1982). 0 where nothing is relevant, NaN where every item is.
    """
    relevant = (ranks >= 0).sum(axis=1)  # (R,)
    before = np.maximum(ranks, 0).sum(axis=1) - relevant * (relevant - 1) / 2  # irrelevant ahead
    pairs = relevant * (items - relevant)
    return np.where(relevant > 0, 1.0 - _ratio(before, pairs, empty=np.nan), 0.0)


def coverage(tops: IntArray, items: int) -> float:
    """Share of the catalog that is shown to anybody.

    |distinct items of all lists| / items (Ge, Delgado-Battenfeld & Jannach 2010). 0 for an empty
    catalog.
    """
    return len(np.unique(tops[tops >= 0])) / items if items else 0.0


def gini(tops: IntArray, items: int) -> float:
    """How unequally often the items of the catalog are shown: 0 = all equally.

    Σ_i (2i − N − 1) x_i / (N Σ x), with x_1 ≤ … ≤ x_N the times each item is shown, those never
    shown included; at most 1 − 1/N (Fleder & Hosanagar 2009). 0 where nothing is shown.
    """
    times = np.sort(np.bincount(tops[tops >= 0], minlength=items))  # (N,)
    weights = 2.0 * np.arange(1, items + 1) - items - 1.0
    return float(weights @ times / (items * times.sum())) if times.any() else 0.0


def exposure(tops: IntArray, chosen: NDArray[np.bool_]) -> float:
    """Share of all places that go to the chosen items (N,).

    |places with a chosen item| / |places| (Singh & Joachims 2018, every place of equal worth). NaN
    where nothing is shown.
    """
    shown = tops[tops >= 0]
    return float(chosen[shown].mean()) if len(shown) else float("nan")


def novelty(tops: IntArray, popularity: Numbers) -> Figures:
    """Mean self-information of the shown items, in bits: how surprising they are, (R,).

    Mean over the list of −log2((count + 1) / (Σ counts + N)), with popularity (N,) as counts (Zhou
    et al. 2010, smoothed by Laplace so that an unseen item is finite). NaN for an empty list.
    """
    share = (popularity + 1.0) / (popularity.sum() + len(popularity))  # (N,)
    return _mean_over_list(tops, -np.log2(share))


def average_popularity(tops: IntArray, popularity: Numbers) -> Figures:
    """Mean popularity percentile of the shown items: 0 = the least popular, 1 = the most, (R,).

    Mean over the list of (items less popular + half of the others equally popular) / (N − 1). The
    ARP of Abdollahpouri, Burke & Mobasher 2019, on percentiles so that catalogs compare. NaN for an
    empty list.
    """
    ordered = np.sort(popularity)
    below = np.searchsorted(ordered, popularity, side="left")
    upto = np.searchsorted(ordered, popularity, side="right")
    percentile = (below + upto - 1) / 2 / max(len(popularity) - 1, 1)  # (N,)
    return _mean_over_list(tops, percentile)


def intra_list_diversity(tops: IntArray, vectors: NDArray[np.floating[Any]]) -> Figures:
    """How unlike each other the items of a list are: 0 = the same, 1 = unrelated, (R,).

    1 − mean cosine of all pairs = 1 − (‖Σ v‖² − Σ ‖v‖²) / (n(n − 1)) (Smyth & McClave 2001; Ziegler
    et al. 2005). `vectors` is (N, D), unit length; a zero vector is unlike everything. NaN for a
    list of fewer than two.
    """
    result = np.full(len(tops), np.nan)
    for part in _blocks(len(tops), tops.shape[1] * vectors.shape[1]):
        shown = tops[part] >= 0  # (B, K)
        if not shown.any():
            continue
        found = vectors[np.maximum(tops[part], 0)].astype(np.float64)  # (B, K, D)
        found[~shown] = 0.0
        size = shown.sum(axis=1)  # (B,)
        pairs = np.square(found.sum(axis=1)).sum(axis=1) - np.square(found).sum(axis=(1, 2))
        result[part] = 1.0 - _ratio(pairs, size * (size - 1), empty=np.nan)
    return result


def calibration(
    tops: IntArray, categories: NDArray[np.integer[Any]], history: Sequence[IntArray]
) -> Figures:
    """How far the categories of a list stray from those of the person's history, in nats, (R,).

    KL(p ‖ q̃) = Σ_c p(c) ln(p(c) / q̃(c)), q̃ = (1 − α) q + α p, α = SMOOTHING; p and q are the
    shares of the categories in history and list (Steck 2018). 0 = the same mix, lower is
    better, at most ln(1/α). `categories` is (N,), −1 = none: such items count in neither. NaN where
    history or list has no item with a category.
    """
    lengths = np.array([len(rows) for rows in history], dtype=np.int64)
    past = np.concatenate([np.zeros(0, dtype=np.int64), *history])
    keys, p = _category_shares(np.repeat(np.arange(len(tops)), lengths), past, categories)
    shown = np.repeat(np.arange(len(tops)), tops.shape[1])
    listed, shares = _category_shares(shown, tops.ravel(), categories)
    places = np.searchsorted(listed, keys)
    listed, shares = np.append(listed, -1), np.append(shares, 0.0)
    q = np.where(listed[places] == keys, shares[places], 0.0)  # of each category of the history
    terms = p * np.log(p / ((1 - SMOOTHING) * q + SMOOTHING * p))
    kinds = _kinds(categories)
    divergence = np.bincount(keys // kinds, terms, len(tops))  # (R,)
    known = np.isin(np.arange(len(tops)), keys // kinds)
    known &= np.isin(np.arange(len(tops)), listed[:-1] // kinds)
    return np.where(known, divergence, np.nan)


def level_of_each(count: int, level: float = 0.95) -> float:
    """The level of so many intervals that hold together with `level` (Bonferroni).

    The best of several is surely better only by one of these.
    """
    return 1.0 - (1.0 - level) / count


def bootstrap_interval(
    values: Figures, seed: int = 0, level: float = 0.95, clusters: IntArray | None = None
) -> tuple[float, float]:
    """Percentile interval of the mean (Efron 1979), from RESAMPLES resamples of people.

    `clusters` (R,) names the person of each request: a drawn person brings all their requests
    (cluster bootstrap, Davison & Hinkley 1997, § 3.8); without it, each request is its own person.
    NaN without values; one person gives the mean twice, which says nothing of its spread.
    """
    if len(values) == 0:
        return float("nan"), float("nan")
    sums, sizes = _resampled(_by_cluster(clusters, values, np.ones(len(values))), seed)
    low, high = np.quantile(sums / sizes, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def ratio_interval(
    values: Figures,
    others: Figures,
    seed: int = 0,
    level: float = 0.95,
    clusters: IntArray | None = None,
) -> tuple[float, float, float]:
    """mean(values) / mean(others) and its percentile interval (Efron 1979), as (ratio, low, high).

    Paired: both means of a resample are over the same people; `clusters` as in
    `bootstrap_interval`. For figures that are not negative. All NaN without values or where
    mean(others) is 0; `high` is infinite where too many resamples have nothing in `others`.
    """
    if len(values) == 0 or others.sum() == 0:
        return float("nan"), float("nan"), float("nan")
    above, below = _resampled(_by_cluster(clusters, values, others), seed)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = above / below
    tails = [(1 - level) / 2, (1 + level) / 2]
    low, high = np.nanquantile(ratios, tails, method="inverted_cdf")  # inf cannot be interpolated
    return float(values.sum() / others.sum()), float(low), float(high)


def paired_p_value(
    values: Figures, others: Figures, seed: int = 0, clusters: IntArray | None = None
) -> float:
    """Two-sided p of the paired randomisation test that the two means do not differ.

    (1 + #{|Σ_c ±d_c| ≥ |Σ_c d_c|}) / (1 + RESAMPLES), with d_c the sum of values − others of person
    c and signs flipped at random (Smucker, Allan & Carterette 2007; + 1: Phipson & Smyth 2010).
    Never below 1/(1 + RESAMPLES). 1 for one person or no difference, NaN without values.
    """
    if len(values) == 0:
        return float("nan")
    (differences,) = _by_cluster(clusters, values - others)  # (C,)
    generator = np.random.default_rng(seed)
    least = abs(differences.sum()) - 1e-12 * np.abs(differences).sum()  # rounding is no difference
    extreme = 0
    for part in _blocks(RESAMPLES, len(differences)):
        coins = generator.integers(0, 2, (part.stop - part.start, len(differences)), dtype=np.int8)
        sums = (2.0 * coins - 1.0) @ differences  # (B,)
        extreme += int((np.abs(sums) >= least).sum())
    return (1 + extreme) / (1 + RESAMPLES)


def _within(ranks: IntArray, k: int) -> NDArray[np.bool_]:
    """Which relevant items stand among the first k; padding never does."""
    return (ranks >= 0) & (ranks < k)


def _ratio(above: Numbers, below: Numbers, empty: float = 0.0) -> Figures:
    """Above / below, and `empty` where below is 0."""
    result = np.full(below.shape, empty)
    np.divide(above, below, out=result, where=below > 0)
    return result


def _mean_over_list(tops: IntArray, values: Figures) -> Figures:
    """Mean value (N,) of the items of each list, (R,); NaN for an empty one."""
    found = np.append(values, 0.0)[tops]  # (R, K); −1 falls on the 0 at the end
    return _ratio(found.sum(axis=1), (tops >= 0).sum(axis=1), empty=np.nan)


def _kinds(categories: NDArray[np.integer[Any]]) -> int:
    """How many category codes there are, at least 1."""
    return max(int(categories.max(initial=-1)) + 1, 1)


def _category_shares(
    requests: IntArray, rows: IntArray, categories: NDArray[np.integer[Any]]
) -> tuple[IntArray, Figures]:
    """Share of each category in each request: ascending keys request · kinds + code, and shares."""
    kinds = _kinds(categories)
    codes = np.append(categories, -1)[rows]  # row −1 falls on the −1 at the end
    known = codes >= 0
    found = requests[known] * kinds + codes[known]
    keys, times = np.unique(found, return_counts=True)
    totals = np.bincount(requests[known])  # (R,) or fewer
    return keys, times / totals[keys // kinds]


def _by_cluster(clusters: IntArray | None, *columns: Figures) -> list[Figures]:
    """Sum of each column (R,) over each person's requests, (C,)."""
    if clusters is None:
        return list(columns)
    _, people = np.unique(clusters, return_inverse=True)  # (R,) 0 … C − 1
    return [np.bincount(people, column).astype(np.float64) for column in columns]


def _resampled(columns: list[Figures], seed: int) -> list[Figures]:
    """Sums (RESAMPLES,) of each column (C,) over C people drawn with replacement, the same ones."""
    generator = np.random.default_rng(seed)
    people = len(columns[0])
    sums = [np.empty(RESAMPLES) for _ in columns]
    for part in _blocks(RESAMPLES, people):
        drawn = generator.integers(0, people, (part.stop - part.start, people))  # (B, C)
        for total, column in zip(sums, columns, strict=True):
            total[part] = column.take(drawn).sum(axis=1)
    return sums


def _blocks(rows: int, width: int) -> Iterator[slice]:
    """Slices of the rows, so that none holds more than about BLOCK numbers."""
    step = max(BLOCK // max(width, 1), 1)
    for start in range(0, rows, step):
        yield slice(start, min(start + step, rows))
