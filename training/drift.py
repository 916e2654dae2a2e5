"""How far the newest traffic is from what the live model learned, measure by measure, a day a row.

The reference of what people pick is the time that the live bundle's rankers learned from and were
measured by (`split` in its meta.json, `rank_start` to `end`); that of its scores, its first days
live. Each is compared with the week up to a day, as far as it is after the reference. A measure is
called moved only where it exceeds its bound and what chance explains for so many people.
"""

import logging
from dataclasses import asdict
from datetime import UTC, date, datetime, time, timedelta

from django.db import transaction
from django.utils import timezone

from catalog.models import Catalog, EncoderVersion
from ranking.bundle import BundleError, meta_of
from training import drift_measures as measures
from training import schedules
from training.drift_measures import PSI_MEASURES, WINDOW, Measure, Windows
from training.drift_samples import picks
from training.errors import TrainingFault
from training.models import DriftLevel, DriftReport

logger = logging.getLogger(__name__)

DAY = timedelta(days=1)
MOST_DAYS = 60  # in one go
SEVERITY = {level: place for place, level in enumerate(DriftLevel.values)}


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
        "categories": measures.categories(then, now),
        "prices": measures.prices(then, now),
        "vectors": measures.texts(then, now, encoder),
        "histories": measures.histories(catalog, then, now),
        "scores": measures.slate_scores(catalog, bundle_id, windows),
        "ctr": measures.ctr(catalog, windows),
        "ndcg": measures.ndcg(catalog, bundle_id, windows),
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


def _beyond_chance(one: Measure) -> float:
    """The PSI where chance does not explain it, else 0."""
    return one.value if one.value is not None and one.value > (one.chance or 0.0) else 0.0
