"""A model's figures beside the live one's: differences, intervals, and whether they are clear."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.utils.text import capfirst
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from training.gate import QUALITY, Figure, figure, figure_of, paired_with
from training.models import ModelVersion
from training.report import CATEGORY, HISTORIES, NEW, POPULARITIES

METRICS = {  # name in training/report.py → words on the pages
    "ndcg@10": gettext_noop("nDCG@10"),
    "recall@10": gettext_noop("Recall@10"),
    "recall@20": gettext_noop("Recall@20"),
    "mrr@10": gettext_noop("MRR@10"),
    "coverage@10": gettext_noop("Coverage"),
}
NAMES = {  # how the rest is written
    "ndcg": "nDCG",
    "recall": gettext_noop("Recall"),
    "mrr": "MRR",
    "map": "MAP",
    "hit": gettext_noop("Hit rate"),
    "auc": "AUC",
    "auc_of_seen": gettext_noop("AUC of what was seen"),
}
FAMILIES = (*NAMES, "coverage")  # in the order of the page; others after them
CLEAR = 0.05  # p below which a paired difference counts as one


@dataclass(frozen=True)
class Measured:
    """One figure of a model beside the live model's."""

    words: str
    figure: Figure | None
    live: Figure | None = None
    paired: Figure | None = None  # the mean difference on the same requests
    p: float | None = None  # of the paired difference
    requests: int | None = None  # of a segment

    @property
    def difference(self) -> float | None:
        """Positive = more than the live one's."""
        if self.paired is not None:
            return self.paired.value
        if self.figure is None or self.live is None:
            return None
        return self.figure.value - self.live.value

    @property
    def spread(self) -> Figure | None:
        """The difference with its 95 % interval: paired, or from both intervals; None without."""
        if self.paired is not None:
            return self.paired
        difference = self.difference
        widths = [_half_width(one) for one in (self.figure, self.live)]
        if difference is None or widths[0] is None or widths[1] is None:
            return None
        half = math.hypot(widths[0], widths[1])
        return Figure(difference, difference - half, difference + half)

    @property
    def is_clear(self) -> bool:
        """Whether the interval of the difference leaves out nought."""
        spread = self.spread
        if spread is None or spread.low is None or spread.high is None:
            return False
        return not spread.low <= 0 <= spread.high and (self.p is None or self.p < CLEAR)


def words_of(name: str) -> str:
    """ndcg@10 → nDCG@10; intra_list_diversity@10 → Intra list diversity@10."""
    stem, at, depth = name.partition("@")
    return _(NAMES.get(stem) or stem.replace("_", " ").capitalize()) + at + depth


def measured(
    version: ModelVersion, live: ModelVersion | None, names: Mapping[str, str]
) -> list[Measured]:
    """These metrics (name → words in English) beside the live model's, if that is another."""
    champion = live if live is not None and live.pk != version.pk else None
    paired = paired_with(version.metrics, champion).get("metrics", {}) if champion else {}
    return [
        Measured(
            _(words),
            figure(version.metrics, name),
            figure(champion.metrics, name) if champion is not None else None,
            figure_of(paired.get(name)),
            paired.get(name, {}).get("p"),
        )
        for name, words in names.items()
    ]


def everything(version: ModelVersion, live: ModelVersion | None) -> list[Measured]:
    """Each metric that the model has: rankings first, then lists."""
    kept = [
        name
        for name in version.metrics.get("pipeline", {})
        if figure(version.metrics, name) is not None
    ]
    names = {name: words_of(name) for name in sorted(kept, key=_place)}
    return measured(version, live, names)


def by_segment(version: ModelVersion, live: ModelVersion | None) -> list[Measured]:
    """nDCG@10 of each segment of requests; [] for models of before segments were kept."""
    champion = live if live is not None and live.pk != version.pk else None
    paired = paired_with(version.metrics, champion).get("segments", {}) if champion else {}
    theirs = champion.metrics.get("segments", {}) if champion is not None else {}
    found = version.metrics.get("segments", {})
    known = (*HISTORIES, *POPULARITIES, NEW)
    by_size = sorted(found, key=lambda name: -int(found[name]["requests"]))
    names = [name for name in known if name in found]
    names += [name for name in by_size if name not in known]
    return [
        Measured(
            _segment_words(name),
            _of_segment(found[name]),
            _of_segment(theirs.get(name)),
            figure_of(paired.get(name)),
            paired.get(name, {}).get("p"),
            found[name]["requests"],
        )
        for name in names
    ]


def _segment_words(name: str) -> str:
    """A segment as the page names it: no history → No history, category X → Category X."""
    if name.startswith(CATEGORY):
        return _("Category %(name)s") % {"name": name.removeprefix(CATEGORY)}
    return capfirst(_(name))


def _place(name: str) -> tuple[int, str, int]:
    """Where a metric stands on the page: by family, then by depth."""
    stem, _, depth = name.partition("@")
    family = FAMILIES.index(stem) if stem in FAMILIES else len(FAMILIES)
    return family, stem, int(depth) if depth.isdigit() else 0


def _of_segment(entry: dict[str, Any] | None) -> Figure | None:
    if entry is None:
        return None
    return Figure(float(entry[QUALITY]), entry.get("low"), entry.get("high"))


def _half_width(one: Figure | None) -> float | None:
    if one is None or one.low is None or one.high is None:
        return None
    return (one.high - one.low) / 2
