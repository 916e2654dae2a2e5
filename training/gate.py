"""⑭ The gate: named checks of a model against the live one, each green, red or not measured.

Red blocks everybody who does not overrule it. What was not measured blocks no person, who sees that
on the page and decides, but it blocks whatever promotes by itself: nobody looked. A catalog that
does not ask for a check sets its limit to the value that lets every model pass.

What is asked for stands in training/gate_limits.py. All but the files are read from the version's
metrics, so that a list of models is cheap: training/report.py measured them on the test,
training/rehearsal.py on this machine.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from catalog.models import Catalog
from ranking.bundle import Bundle, BundleError, open_bundle
from training.errors import TrainingFault
from training.gate_limits import LIMITS, CheckName, limits_of
from training.models import ModelVersion

QUALITY = "ndcg@10"  # the metric that the gate looks at
COVERAGE = "coverage@10"
CALIBRATION = "calibration@10"
RARE = "rare_exposure@10"
LEAST_REQUESTS = 30  # of a segment, to speak of it
SHORT = ("no history", "history 1 to 4")  # as training/report.py names the segments
LONG = ("history 20 to 99", "history 100 up")
NO_LIVE = gettext_noop("There is no live model to compare it with.")
NOT_BOTH = gettext_noop("It was not measured for both models.")


@dataclass(frozen=True)
class Figure:
    """One metric of one model, with its 95 % interval where there is one."""

    value: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Check:
    """One named check of the gate."""

    name: CheckName
    ok: bool | None  # None: not measured, which blocks only what promotes by itself
    reason: str  # in the reader's language
    is_stored: bool = False  # the reason is as it was written down, in English

    @property
    def colour(self) -> str:
        """In a word, in English."""
        if self.ok is None:
            return gettext_noop("not measured")
        return gettext_noop("green") if self.ok else gettext_noop("red")


def figure(metrics: Mapping[str, Any], name: str) -> Figure | None:
    """A metric of the whole pipeline, as training/evaluation.py reports it; None if it is missing.

    An entry is a number, or a mapping with `value` and, where there is one, the interval `low`,
    `high`.
    """
    return figure_of(metrics.get("pipeline", metrics).get(name))


def figure_of(entry: Any) -> Figure | None:
    """One entry of the metrics; None if it is no figure."""
    if isinstance(entry, int | float) and math.isfinite(entry):
        return Figure(float(entry))
    if isinstance(entry, dict) and isinstance(entry.get("value"), int | float):
        return Figure(float(entry["value"]), entry.get("low"), entry.get("high"))
    return None


def gate(
    version: ModelVersion, live: ModelVersion | None, *, check_files: bool = True
) -> list[Check]:
    """Named checks of a model against the live one, each with its reason.

    `check_files` reads every byte of the bundle; a list of many models goes without.
    """
    champion = live if live is not None and live.pk != version.pk else None
    limits = limits_of(version.catalog)
    checks = [_settled(check(version.metrics, champion, limits), limits) for check in CHECKS]
    return [_files(version), *checks] if check_files else checks


def _settled(check: Check, limits: Mapping[str, float]) -> Check:
    """What the catalog does not ask for is green, whatever was measured."""
    waived = any(
        limit.check == check.name and limits[name] == limit.off for name, limit in LIMITS.items()
    )
    if waived and not check.ok:
        told = _("Not asked for: its limit lets every model pass.")
        return Check(check.name, ok=True, reason=told)
    return check


def open_registered(bundle_id: str, catalog: Catalog, digest: str) -> Bundle:
    """Check every byte of a bundle, and that it is the one that was registered.

    Raises
    ------
    TrainingFault
        It is not, or cannot be opened.
    """
    try:
        bundle = open_bundle(bundle_id, catalog.slug)
    except BundleError as fault:
        raise TrainingFault(str(fault)) from fault
    if digest and bundle.digest != digest:
        text = _("Bundle %(bundle)s is not the one that was registered.")
        raise TrainingFault(text % {"bundle": bundle_id})
    return bundle


def _files(version: ModelVersion) -> Check:
    try:
        open_registered(version.bundle_id, version.catalog, version.digest)
    except TrainingFault as fault:
        return Check(CheckName.FILES, ok=False, reason=str(fault))
    return Check(CheckName.FILES, ok=True, reason=_("Every file is there and unchanged."))


def _quality(
    metrics: dict[str, Any], live: ModelVersion | None, limits: Mapping[str, float]
) -> Check:
    """Not worse than the live one by more than the margin.

    Where both answered the same requests, by the mean difference; otherwise it is red only where
    the whole interval lies below what the margin allows.
    """
    new = figure(metrics, QUALITY)
    old = figure(live.metrics, QUALITY) if live is not None else None
    if new is None:
        text = _("No %(metric)s was measured.")
        return Check(CheckName.QUALITY, ok=False, reason=text % {"metric": QUALITY})
    if live is None:
        return Check(CheckName.QUALITY, ok=True, reason=_(NO_LIVE))
    if old is None:
        text = _("No %(metric)s of the live model was measured.")
        return Check(CheckName.QUALITY, ok=None, reason=text % {"metric": QUALITY})
    paired = figure_of(paired_with(metrics, live).get("metrics", {}).get(QUALITY))
    if paired is not None:
        lost = limits["quality_margin"] * (new.value - paired.value)  # of the live one's, here
        told = _(
            "On the same requests its %(metric)s differs from the live one's by %(value)+.4f"
            " [%(low)+.4f, %(high)+.4f]; −%(lost).4f is allowed."
        )
        figures = {
            "metric": QUALITY,
            "value": paired.value,
            "low": paired.low,
            "high": paired.high,
            "lost": lost,
        }
        return Check(CheckName.QUALITY, paired.value >= -lost, told % figures)
    best = new.high if new.high is not None else new.value
    figures = {"metric": QUALITY, "new": new.value, "old": old.value}
    if best < old.value * (1 - limits["quality_margin"]):
        told = _("%(metric)s is %(new).4f, the live one's %(old).4f: worse beyond its interval.")
        return Check(CheckName.QUALITY, ok=False, reason=told % figures)
    told = _("%(metric)s is %(new).4f, the live one's %(old).4f, measured on different requests.")
    return Check(CheckName.QUALITY, ok=True, reason=told % figures)


def paired_with(metrics: Mapping[str, Any], live: ModelVersion) -> dict[str, Any]:
    """Differences from the live model on the same requests; {} if they were not measured so."""
    paired = metrics.get("paired") or {}
    return paired if paired.get("bundle") == live.bundle_id else {}


def _coverage(
    metrics: dict[str, Any], live: ModelVersion | None, limits: Mapping[str, float]
) -> Check:
    """The share of the catalog that it shows has not collapsed."""
    new = figure(metrics, COVERAGE)
    old = figure(live.metrics, COVERAGE) if live is not None else None
    if live is None:
        return Check(CheckName.COVERAGE, ok=True, reason=_(NO_LIVE))
    if new is None or old is None:
        return Check(CheckName.COVERAGE, ok=None, reason=_(NOT_BOTH))
    least = limits["coverage_share"]
    figures = {
        "new": f"{new.value:.1%}",
        "old": f"{old.value:.1%}",
        "least": f"{least:.0%}",
    }
    if new.value >= old.value * least:
        told = _("It shows %(new)s of the catalog, the live one %(old)s.")
    else:
        told = _(
            "It shows %(new)s of the catalog, the live one %(old)s: less than %(least)s of that."
        )
    return Check(CheckName.COVERAGE, new.value >= old.value * least, told % figures)


def _calibration(
    metrics: dict[str, Any], live: ModelVersion | None, limits: Mapping[str, float]
) -> Check:
    """Lists keep to the mix of categories of a person's history about as well as before."""
    new = figure(metrics, CALIBRATION)
    old = figure(live.metrics, CALIBRATION) if live is not None else None
    if live is None:
        return Check(CheckName.CALIBRATION, ok=True, reason=_(NO_LIVE))
    if new is None or old is None:
        return Check(CheckName.CALIBRATION, ok=None, reason=_(NOT_BOTH))
    ok = new.value <= old.value * (1 + limits["calibration_rise"])
    told = (
        _("Lists stray by %(new).3f nats from the mix of a history, the live one's by %(old).3f.")
        if ok
        else _(
            "Lists stray by %(new).3f nats from the mix of a history, the live one's by %(old).3f:"
            " too far."
        )
    )
    return Check(CheckName.CALIBRATION, ok, told % {"new": new.value, "old": old.value})


def _fairness(
    metrics: dict[str, Any], live: ModelVersion | None, limits: Mapping[str, float]
) -> Check:
    """The gap in quality between people of long and of short histories has not grown."""
    if live is None:
        return Check(CheckName.FAIRNESS_GAP, ok=True, reason=_(NO_LIVE))
    new, old = history_gap(metrics), history_gap(live.metrics)
    if new is None or old is None:
        told = _("Fewer than %(least)d requests of people with a short, or a long, history.")
        return Check(CheckName.FAIRNESS_GAP, ok=None, reason=told % {"least": LEAST_REQUESTS})
    ok = abs(new) - abs(old) <= limits["fairness_gap"]
    told = (
        _("%(metric)s of long histories less that of short ones: %(new)+.4f, live %(old)+.4f.")
        if ok
        else _(
            "%(metric)s of long histories less that of short ones: %(new)+.4f, live %(old)+.4f:"
            " the gap has grown too much."
        )
    )
    return Check(CheckName.FAIRNESS_GAP, ok, told % {"metric": QUALITY, "new": new, "old": old})


def history_gap(metrics: Mapping[str, Any]) -> float | None:
    """Quality for people with long histories less that for those with short ones."""
    found = []
    for names in (LONG, SHORT):
        parts = [part for name in names if (part := metrics.get("segments", {}).get(name))]
        requests = sum(part["requests"] for part in parts)
        if requests < LEAST_REQUESTS:
            return None
        found.append(sum(part["requests"] * part[QUALITY] for part in parts) / requests)
    return float(found[0] - found[1])


def _rare_items(
    metrics: dict[str, Any], live: ModelVersion | None, limits: Mapping[str, float]
) -> Check:
    """Rare items keep their places in the lists."""
    new = figure(metrics, RARE)
    old = figure(live.metrics, RARE) if live is not None else None
    if live is None:
        return Check(CheckName.RARE_ITEMS, ok=True, reason=_(NO_LIVE))
    if new is None or old is None:
        return Check(CheckName.RARE_ITEMS, ok=None, reason=_(NOT_BOTH))
    ok = new.value >= old.value * limits["rare_share"]
    told = (
        _("Rare items have %(new)s of all places, with the live one %(old)s.")
        if ok
        else _("Rare items have %(new)s of all places, with the live one %(old)s: too few.")
    )
    return Check(
        CheckName.RARE_ITEMS, ok, told % {"new": f"{new.value:.1%}", "old": f"{old.value:.1%}"}
    )


def _latency(
    metrics: dict[str, Any], live: ModelVersion | None, limits: Mapping[str, float]
) -> Check:
    """A request takes about as long as with the live model, on this machine."""
    rehearsal = rehearsal_beside(metrics, live)
    if live is None:
        return Check(CheckName.LATENCY, ok=True, reason=_(NO_LIVE))
    if rehearsal is None or not rehearsal["champion_ms"]:
        return Check(
            CheckName.LATENCY, ok=None, reason=_("It was not timed beside the live model yet.")
        )
    ratio = rehearsal["ms"] / rehearsal["champion_ms"]
    ok = ratio <= limits["latency_ratio"]
    told = (
        _(
            "%(ms).1f ms a request (median of %(people)d), the live model %(champion_ms).1f:"
            " × %(ratio).2f."
        )
        if ok
        else _(
            "%(ms).1f ms a request (median of %(people)d), the live model %(champion_ms).1f:"
            " × %(ratio).2f, too slow."
        )
    )
    return Check(CheckName.LATENCY, ok, told % {**rehearsal, "ratio": ratio})


def _smoke(
    metrics: dict[str, Any], live: ModelVersion | None, limits: Mapping[str, float]
) -> Check:
    """It answers known people, a guest and a search: something, and nothing that is sold out."""
    rehearsal = metrics.get("rehearsal")
    if rehearsal is None:
        told = _("Nobody has asked it anything yet.")
        return Check(CheckName.SMOKE_QUERIES, ok=None, reason=told)
    if rehearsal["faults"]:
        told = " ".join(rehearsal["faults"])
        return Check(CheckName.SMOKE_QUERIES, ok=False, reason=told, is_stored=True)
    told = _("All %(asked)d answers held something, and nothing that is unavailable.")
    return Check(CheckName.SMOKE_QUERIES, ok=True, reason=told % rehearsal)


def rehearsal_beside(
    metrics: Mapping[str, Any], live: ModelVersion | None
) -> dict[str, Any] | None:
    """What training/rehearsal.py measured, if it was beside the model that is live now."""
    rehearsal: dict[str, Any] | None = metrics.get("rehearsal")
    champion = live.bundle_id if live is not None else ""
    return rehearsal if rehearsal is not None and rehearsal["champion"] == champion else None


CHECKS: tuple[Callable[[dict[str, Any], ModelVersion | None, Mapping[str, float]], Check], ...] = (
    _quality,
    _coverage,
    _calibration,
    _fairness,
    _rare_items,
    _latency,
    _smoke,
)
