"""How far the newest traffic is from what the live model learned, measure by measure, a day a row.

The reference of what people pick is the time that the live bundle's rankers learned from and were
measured by (`split` in its meta.json, `rank_start` to `end`); that of its scores, its first days
live. Each is compared with the week up to a day, as far as it is after the reference. A measure is
called moved only where it exceeds its bound and what chance explains for so many people.
"""

import logging
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise

import numpy as np
from django.db import transaction
from django.utils import timezone
from numpy.typing import NDArray

from catalog.models import Catalog, EncoderVersion
from ranking.bundle import BundleError, meta_of
from training import distances, metrics, schedules
from training.drift_samples import Picks, history_lengths, picks, scores, vectors
from training.errors import TrainingFault
from training.gate import QUALITY, figure
from training.models import DriftLevel, DriftReport, ModelVersion, Promotion
from training.online import Share, Shown, clicked_places, shown_by

logger = logging.getLogger(__name__)

DAY = timedelta(days=1)
WINDOW = timedelta(days=7)  # of new traffic, up to and with the day
SCORE_REFERENCE = timedelta(days=3)  # after the promotion
MOST_DAYS = 60  # in one go
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
SEVERITY = {level: place for place, level in enumerate(DriftLevel.values)}
TITLES = {
    "categories": "Categories of what is picked",
    "prices": "Prices of what is picked",
    "vectors": "Texts of what is picked",
    "histories": "What visitors did in the four weeks before",
    "scores": "Scores of slates",
    "ctr": "Slates in view that are clicked",
    "ndcg": "Places of what is clicked",
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


def measure_days(catalog: Catalog, days: int = 1, last: date | None = None) -> list[DriftReport]:
    """Measure so many days up to `last` (None = today, as far as it is), and store them.

    A schedule that waits for drift hears of the newest one.

    Raises
    ------
    TrainingFault
        There is no live model, or it does not say what it learned from.
    """
    if not 1 <= days <= MOST_DAYS:
        raise TrainingFault(f"Say how many days: 1 to {MOST_DAYS}.")
    newest = last or timezone.now().date()
    reports = [measure(catalog, newest - DAY * back) for back in range(days - 1, -1, -1)]
    schedules.drift_measured(catalog, reports[-1].score)
    return reports


def measure(catalog: Catalog, day: date) -> DriftReport:
    """Measure one day and store it, in the place of what was measured of it before.

    Raises
    ------
    TrainingFault
        There is no live model, or it does not say what it learned from.
    """
    bundle_id = Catalog.objects.values_list("live_bundle", flat=True).get(pk=catalog.pk)
    if not bundle_id:
        raise TrainingFault(
            f"No model of {catalog.name} is live, so there is nothing to compare with: train one, "
            f"manage.py train {catalog.slug}."
        )
    windows, encoder = _windows(bundle_id, day)
    then, now = picks(catalog, *windows.reference), picks(catalog, *windows.new)
    found = {
        "categories": _categories(then, now),
        "prices": _prices(then, now),
        "vectors": _vectors(then, now, encoder),
        "histories": _histories(catalog, then, now),
        "scores": _scores(catalog, bundle_id, windows),
        "ctr": _ctr(catalog, windows),
        "ndcg": _ndcg(catalog, bundle_id, windows),
    }
    score = max(_beyond_chance(found[name]) for name in PSI_MEASURES)
    level = max((one.level for one in found.values()), key=SEVERITY.__getitem__)
    return _store(catalog, day, bundle_id, found, score, level)


def _store(
    catalog: Catalog,
    day: date,
    bundle_id: str,
    found: dict[str, Measure],
    score: float,
    level: str,
) -> DriftReport:
    """Keep the report; an alert that was sent of this day is not sent again."""
    with transaction.atomic():
        report, _ = DriftReport.objects.update_or_create(
            catalog=catalog,
            day=day,
            defaults={
                "bundle_id": bundle_id,
                "measures": {name: asdict(one) for name, one in found.items()},
                "score": score,
                "level": level,
            },
        )
    return report


def measure_all() -> None:
    """Measure yesterday, whole, in each catalog with a live model; what cannot be had is logged."""
    yesterday = timezone.now().date() - DAY
    for catalog in Catalog.objects.exclude(live_bundle=""):
        try:
            measure_days(catalog, last=yesterday)
        except TrainingFault as fault:
            logger.warning("drift of %s: %s", catalog.slug, fault)


def _windows(bundle_id: str, day: date) -> tuple[Windows, EncoderVersion | None]:
    """The times to compare, and the encoder that the bundle was trained on."""
    try:
        meta = meta_of(bundle_id)
        split = meta.parameters["split"]
        begin, end = float(split["rank_start"]), float(split["end"])
    except BundleError as fault:
        raise TrainingFault(str(fault)) from fault
    except (KeyError, TypeError, ValueError):
        raise TrainingFault(
            f"Bundle {bundle_id} does not say of what time it learned: train a new one."
        ) from None
    learned = (datetime.fromtimestamp(begin, UTC), datetime.fromtimestamp(end, UTC))
    midnight = datetime.combine(day, time(), tzinfo=UTC)
    stop = min(midnight + DAY, timezone.now())
    start = max(midnight + DAY - WINDOW, learned[1])
    windows = Windows(learned, (min(start, stop), stop), (midnight, midnight + DAY))
    return windows, EncoderVersion.objects.filter(digest=meta.encoder_digest).first()


def _too_few(what: str, then: int, now: int) -> Measure | None:
    """A measure that says so, where either side has too few cases."""
    if now < LEAST:
        note = f"{now} {what} since the model learned; it takes {LEAST}."
    elif then < LEAST:
        note = f"{then} {what} in the time that the model learned from; it takes {LEAST}."
    else:
        return None
    return Measure(None, DriftLevel.UNKNOWN, note, then, now)


def _categories(then: Picks, now: Picks) -> Measure:
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


def _prices(then: Picks, now: Picks) -> Measure:
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


def _histories(catalog: Catalog, then: Picks, now: Picks) -> Measure:
    (old, old_people), (new, new_people) = (history_lengths(catalog, side) for side in (then, now))
    if few := _too_few("visits", len(old), len(new)):
        return few
    counts = [distances.histogram(side, HISTORY_EDGES) for side in (old, new)]
    return _psi_measure(HISTORY_NAMES, counts, (old_people, new_people))


def _scores(catalog: Catalog, bundle_id: str, windows: Windows) -> Measure:
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


def _vectors(then: Picks, now: Picks, encoder: EncoderVersion | None) -> Measure:
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


def _ctr(catalog: Catalog, windows: Windows) -> Measure:
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


def _ndcg(catalog: Catalog, bundle_id: str, windows: Windows) -> Measure:
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


def _beyond_chance(one: Measure) -> float:
    """The PSI where chance does not explain it, else 0."""
    return one.value if one.value is not None and one.value > (one.chance or 0.0) else 0.0
