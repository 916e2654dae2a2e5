"""What a catalog's gate asks for: the thresholds of its checks."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from catalog.models import Catalog
from training.errors import TrainingFault


class CheckName(StrEnum):
    """The checks of the gate, in English."""

    FILES = gettext_noop("files")
    QUALITY = gettext_noop("quality")
    COVERAGE = gettext_noop("coverage")
    CALIBRATION = gettext_noop("calibration")
    FAIRNESS_GAP = gettext_noop("fairness gap")
    RARE_ITEMS = gettext_noop("rare items")
    LATENCY = gettext_noop("latency")
    SMOKE_QUERIES = gettext_noop("smoke queries")


@dataclass(frozen=True)
class Limit:
    """One threshold of the gate: what it is unless a catalog says otherwise, and its range."""

    default: float
    most: float  # the least is 0
    words: str  # in English
    check: CheckName  # that it is of
    off: float  # with this value nobody asks for the check, and it is green whatever was measured


LIMITS = {
    "quality_margin": Limit(
        0.02,
        1.0,
        gettext_noop("share of the live model's nDCG@10 that may be lost"),
        CheckName.QUALITY,
        1.0,
    ),
    "coverage_share": Limit(
        0.5,
        1.0,
        gettext_noop("share of the live model's coverage that must remain"),
        CheckName.COVERAGE,
        0.0,
    ),
    "latency_ratio": Limit(
        1.5,
        100.0,
        gettext_noop("times the live model's median time of a request that it may take"),
        CheckName.LATENCY,
        100.0,
    ),
    "calibration_rise": Limit(
        0.25,
        10.0,
        gettext_noop("share by which lists may stray further from the mix of a person's history"),
        CheckName.CALIBRATION,
        10.0,
    ),
    "fairness_gap": Limit(
        0.02,
        1.0,
        gettext_noop(
            "growth of the gap in nDCG@10 between long and short histories that is allowed"
        ),
        CheckName.FAIRNESS_GAP,
        1.0,
    ),
    "rare_share": Limit(
        0.5,
        1.0,
        gettext_noop("share of the live model's places for rare items that must stay"),
        CheckName.RARE_ITEMS,
        0.0,
    ),
}


def limits_of(catalog: Catalog) -> dict[str, float]:
    """The thresholds of a catalog's gate, by name."""
    usual = {name: limit.default for name, limit in LIMITS.items()}
    return usual | {name: float(value) for name, value in catalog.gate_limits.items()}


def set_limits(catalog: Catalog, values: Mapping[str, str]) -> None:
    """Keep other thresholds for a catalog; an empty text brings the usual one back.

    Raises
    ------
    TrainingFault
        An unknown name, or a number out of its range. Nothing has changed then.
    """
    kept = dict(catalog.gate_limits)
    for name, text in values.items():
        if name not in LIMITS:
            told = {"name": name, "known": ", ".join(LIMITS)}
            raise TrainingFault(_("The gate has no limit %(name)r; it has %(known)s.") % told)
        kept.pop(name, None)
        if text.strip() and (value := _number(name, text)) != LIMITS[name].default:
            kept[name] = value
    catalog.gate_limits = kept
    catalog.save(update_fields=["gate_limits"])


def _number(name: str, text: str) -> float:
    limit = LIMITS[name]
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value <= limit.most:
        told = {"name": name, "most": f"{limit.most:g}", "text": text.strip()}
        raise TrainingFault(_("%(name)s is a number from 0 to %(most)s, not %(text)r.") % told)
    return value
