"""The measures of drift: each compares a time with the time that the live model is of."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import pairwise

import numpy as np
from django.utils.translation import gettext_noop
from numpy.typing import NDArray

from catalog.models import Catalog, EncoderVersion
from training import distances, metrics
from training.drift_samples import Picks, history_lengths, scores, vectors
from training.gate import QUALITY, figure
from training.models import DriftLevel, ModelVersion, Promotion
from training.online import Share, Shown, clicked_places, shown_by

WINDOW = timedelta(days=7)  # of new traffic, up to and with the day
SCORE_REFERENCE = timedelta(days=3)  # after the promotion
LEAST = 100  # cases on either side; fewer say nothing
QUALITY_DROP = 0.2  # share of the week before; a fall beyond chance by more is an alert
LEAST_SEEN = 30  # slates in view in a day
CATEGORIES = 19  # of the reference, by picks; all others together are one more
HISTORY_EDGES = np.array([0.0, 4.0, 19.0, 99.0])  # as in the segments of an evaluation
HISTORY_NAMES = ["none", "1 to 4", "5 to 19", "20 to 99", "100 and more"]
PSI_BOUNDS = (0.1, 0.25)  # watch, alert: the usual ones, see distances.psi
# Of the energy coefficient there are no usual ones. Where half of the picks move to another of two
# departments, whose texts have a cosine of 0.3 within and 0.1 across, it is about 0.03.
ENERGY_BOUNDS = (0.01, 0.03)
TITLES = {
    "categories": gettext_noop("Categories of what is picked"),
    "prices": gettext_noop("Prices of what is picked"),
    "vectors": gettext_noop("Texts of what is picked"),
    "histories": gettext_noop("What visitors did in the four weeks before"),
    "scores": gettext_noop("Scores of slates"),
    "ctr": gettext_noop("Slates in view that are clicked"),
    "ndcg": gettext_noop("Places of what is clicked"),
}
PSI_MEASURES = ("categories", "prices", "histories", "scores")
QUALITY_MEASURES = ("ctr", "ndcg")


@dataclass(frozen=True)
class Measure:
    """One thing on one day. Lies in DriftReport.measures."""

    value: float | None  # PSI, energy coefficient, a share or an nDCG; None = could not be had
    level: str  # of DriftLevel
    note: str = ""  # why there is no value
    reference: int = 0  # cases on either side
    new: int = 0
    chance: float | None = None  # what chance alone exceeds once in twenty times
    parts: list[tuple[str, float, float]] = field(default_factory=list)  # bin, share then, now
    low: float | None = None  # 95 % interval, of quality
    high: float | None = None
    before: float | None = None  # the same in the week before, of quality
    offline: float | None = None  # what the evaluation of the live model said
    cosine: float | None = None  # of the two mean vectors, of texts


@dataclass(frozen=True)
class Windows:
    """What is compared with what."""

    reference: tuple[datetime, datetime]
    new: tuple[datetime, datetime]
    day: tuple[datetime, datetime]


def _too_few(what: str, then: int, now: int) -> Measure | None:
    """A measure that says so, where either side has too few cases."""
    if now < LEAST:
        note = f"{now} {what} since the model learned; it takes {LEAST}."
    elif then < LEAST:
        note = f"{then} {what} in the time that the model learned from; it takes {LEAST}."
    else:
        return None
    return Measure(None, DriftLevel.UNKNOWN, note, then, now)


def categories(then: Picks, now: Picks) -> Measure:
    """PSI over departments; where there is one at most, over whole category paths."""
    if few := _too_few("picks", len(then), len(now)):
        return few
    name: Callable[[str], str] = _department
    if len({_department(path) for path in then.categories}) < 2:
        name = str  # a flat catalog, or one department: the whole path tells more
    old, new = (Counter(map(name, side.categories)) for side in (then, now))
    kept = [label for label, _ in old.most_common(CATEGORIES)]
    names = [label or "no category" for label in kept] + ["all others"]
    counts = [
        np.array([*(side[label] for label in kept), _others(side, kept)], dtype=np.int64)
        for side in (old, new)
    ]
    return _psi_measure(names, counts, (then.people, now.people))


def _department(path: str) -> str:
    return path.split(" > ")[0]


def _others(side: Counter[str], kept: Sequence[str]) -> int:
    return side.total() - sum(side[label] for label in kept)


def prices(then: Picks, now: Picks) -> Measure:
    """PSI over deciles of the reference, and what has no price."""
    if few := _too_few("picks", len(then), len(now)):
        return few
    priced = then.prices[~np.isnan(then.prices)]
    if len(priced) < LEAST:
        note = f"{len(priced)} picks of the model's time have a price; it takes {LEAST}."
        return Measure(None, DriftLevel.UNKNOWN, note, len(then), len(now))
    edges = distances.decile_edges(priced)
    counts = []
    for side in (then.prices, now.prices):
        known = side[~np.isnan(side)]
        without = np.array([len(side) - len(known)], dtype=np.int64)
        counts.append(np.concatenate([distances.histogram(known, edges), without]))
    return _psi_measure([*_ranges(edges), "no price"], counts, (then.people, now.people))


def histories(catalog: Catalog, then: Picks, now: Picks) -> Measure:
    """PSI over what visitors had done lately."""
    (old, old_people), (new, new_people) = (history_lengths(catalog, side) for side in (then, now))
    if few := _too_few("visits", len(old), len(new)):
        return few
    counts = [distances.histogram(side, HISTORY_EDGES) for side in (old, new)]
    return _psi_measure(HISTORY_NAMES, counts, (old_people, new_people))


def slate_scores(catalog: Catalog, bundle_id: str, windows: Windows) -> Measure:
    """Scores of one bundle only: those of two are of different scales."""
    live_since = (
        Promotion.objects.filter(catalog=catalog, to_bundle=bundle_id)
        .order_by("at")
        .values_list("at", flat=True)
        .first()
    )
    if live_since is None:
        return Measure(None, DriftLevel.UNKNOWN, "Nobody wrote down when this model went live.")
    settled = live_since + SCORE_REFERENCE
    begin, end = max(windows.new[0], settled), windows.new[1]
    if begin >= end:
        note = f"The model is live for less than {SCORE_REFERENCE.days} days."
        return Measure(None, DriftLevel.UNKNOWN, note)
    old, old_slates = scores(catalog, bundle_id, live_since, settled)
    new, new_slates = scores(catalog, bundle_id, begin, end)
    if few := _too_few("slates of this model", old_slates, new_slates):
        return few
    edges = distances.decile_edges(old)
    counts = [distances.histogram(side, edges) for side in (old, new)]
    return _psi_measure(_ranges(edges), counts, (old_slates, new_slates))


def texts(then: Picks, now: Picks, encoder: EncoderVersion | None) -> Measure:
    """Energy coefficient of the vectors of what is picked."""
    if encoder is None:
        note = "The encoder that the model learned with is not registered."
        return Measure(None, DriftLevel.UNKNOWN, note)
    (old, old_users), (new, new_users) = (vectors(side, encoder) for side in (then, now))
    if few := _too_few("picks with a vector", len(old), len(new)):
        return few
    _, old_groups = np.unique(old_users, return_inverse=True)
    _, new_groups = np.unique(new_users, return_inverse=True)
    groups = np.concatenate([old_groups, old_groups.max() + 1 + new_groups])
    value, chance = distances.energy(old, new, groups)
    means = old.mean(axis=0), new.mean(axis=0)
    lengths = float(np.linalg.norm(means[0]) * np.linalg.norm(means[1]))
    return Measure(
        value,
        _level(value, chance, ENERGY_BOUNDS),
        reference=len(old),
        new=len(new),
        chance=chance,
        cosine=float(means[0] @ means[1]) / lengths if lengths else None,
    )


def _psi_measure(
    names: Sequence[str], counts: Sequence[distances.Counts], people: tuple[int, int]
) -> Measure:
    """PSI over the bins that either side has, the bins that moved most first among its parts."""
    used = (counts[0] + counts[1]) > 0
    old, new = counts[0][used], counts[1][used]
    labels = [name for name, is_used in zip(names, used, strict=True) if is_used]
    value = distances.psi(old, new)
    chance = distances.psi_by_chance(*people, len(labels))
    shares = old / old.sum(), new / new.sum()
    order = np.argsort(-np.abs(shares[1] - shares[0]), kind="stable")
    return Measure(
        value,
        _level(value, chance, PSI_BOUNDS),
        reference=int(old.sum()),
        new=int(new.sum()),
        chance=chance,
        parts=[(labels[bin], float(shares[0][bin]), float(shares[1][bin])) for bin in order],
    )


def _ranges(edges: NDArray[np.float64]) -> list[str]:
    """The bins between these borders in words."""
    borders = [f"{edge:.4g}" for edge in edges]
    inner = [f"{low} to {high}" for low, high in pairwise(borders)]
    return [f"up to {borders[0]}", *inner, f"above {borders[-1]}"]


def ctr(catalog: Catalog, windows: Windows) -> Measure:
    """Share of the day's slates in view that were clicked, beside the week before."""
    begin, end = windows.day
    by_day = shown_by("day", [catalog.pk], begin - WINDOW, end)
    day = by_day.pop((catalog.pk, begin), Shown())
    before = sum(by_day.values(), Shown()).ctr
    return _share_measure(day.ctr, before)


def _share_measure(day: Share, before: Share) -> Measure:
    if day.of < LEAST_SEEN:
        note = f"{day.of} slates in view on that day; it takes {LEAST_SEEN}."
        return Measure(None, DriftLevel.UNKNOWN, note, before.of, day.of, before=before.value)
    fell = before.of >= LEAST_SEEN and day.fell_from(before)
    level = _quality_level(fell, day.value, before.value)
    return Measure(
        day.value,
        level,
        reference=before.of,
        new=day.of,
        low=day.low,
        high=day.high,
        before=before.value,
    )


def ndcg(catalog: Catalog, bundle_id: str, windows: Windows) -> Measure:
    """NDCG@10 of clicked slates against what was picked; only what was shown can count."""
    begin, end = windows.day
    version = ModelVersion.objects.filter(bundle_id=bundle_id).first()
    told = figure(version.metrics, QUALITY) if version else None
    offline = told.value if told else None
    ranks, people = clicked_places(catalog.pk, begin, end)
    older, older_people = clicked_places(catalog.pk, begin - WINDOW, begin)
    before = metrics.ndcg(older, 10)
    mean = float(before.mean()) if len(before) else None
    if len(ranks) < LEAST_SEEN:
        note = f"{len(ranks)} slates were clicked on that day; it takes {LEAST_SEEN}."
        return Measure(
            None, DriftLevel.UNKNOWN, note, len(older), len(ranks), before=mean, offline=offline
        )
    values = metrics.ndcg(ranks, 10)
    low, high = metrics.bootstrap_interval(values, clusters=people)
    bottom = metrics.bootstrap_interval(before, clusters=older_people)[0]
    fell = len(older) >= LEAST_SEEN and high < bottom
    value = float(values.mean())
    return Measure(
        value,
        _quality_level(fell, value, mean),
        reference=len(older),
        new=len(ranks),
        low=low,
        high=high,
        before=mean,
        offline=offline,
    )


def _level(value: float, chance: float, bounds: tuple[float, float]) -> str:
    watch, alert = bounds
    if value <= max(watch, chance):
        return DriftLevel.STEADY
    return DriftLevel.ALERT if value > alert else DriftLevel.WATCH


def _quality_level(fell: bool, value: float | None, before: float | None) -> str:
    """Of a day whose interval lies below that of the week before, if it `fell`."""
    if not fell or value is None or before is None:
        return DriftLevel.STEADY
    return DriftLevel.ALERT if value < (1 - QUALITY_DROP) * before else DriftLevel.WATCH
