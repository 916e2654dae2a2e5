"""⑬ What an evaluation says: figures with intervals, by segment, and how far the pipeline leads."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from django.utils.translation import gettext_noop
from numpy.typing import NDArray

from ranking.item_index import ItemIndex
from ranking.popularity import decayed_counts
from ranking.state import RankingState
from ranking.types import IntArray, InteractionLog
from training import metrics
from training.splits import PastRequest, Split

PIPELINE = gettext_noop("full pipeline")
LIVE = "live model"
WITH_PERSONAL = "with the personal model"  # where it is switched off, and the other way round
WITHOUT_PERSONAL = "without the personal model"
MAIN = "ndcg@10"
SHOWN = ("ndcg@10", "recall@10", "recall@20", "mrr@100")  # in the table of text
DEPTHS = (5, 10, 20, 100)
MEASURES: dict[str, Callable[[IntArray], NDArray[np.float64]]] = {
    f"{name}@{depth}": partial(function, k=depth)
    for depth in DEPTHS
    for name, function in (
        ("ndcg", metrics.ndcg),
        ("recall", metrics.recall),
        ("mrr", metrics.reciprocal_rank),
        ("map", metrics.average_precision),
        ("hit", metrics.hit_rate),
    )
}
HISTORIES = (
    gettext_noop("no history"),
    gettext_noop("history 1 to 4"),
    gettext_noop("history 5 to 19"),
    gettext_noop("history 20 to 99"),
    gettext_noop("history 100 up"),
)
POPULARITIES = (
    gettext_noop("popular items"),
    gettext_noop("middling items"),
    gettext_noop("rare items"),
)
NEW = gettext_noop("new items")
CATEGORY = "category "  # how the name of a segment begins that is one
HEAD_AND_MIDDLE = (0.5, 0.8)  # shares of all interactions, from the most picked item down
CATEGORIES = 5  # of the first level, those that are picked most
CALIBRATED = 2_000  # requests, at most, that the slower figures of lists are taken from


@dataclass(frozen=True)
class Ranked:
    """One model's answers, request by request."""

    name: str
    role: str  # baseline, part, live or pipeline
    ranks: IntArray  # (R, T) 0-based place of each picked item, −1 fills short rows
    tops: IntArray  # (R, 10) the first rows of each list, −1 fills short ones
    fit_seconds: float
    score_ms: float  # median, one person
    peak_mb: float  # of the whole process, up to the end of this model
    auc_of_seen: NDArray[np.float64] | None = None  # (R,) NaN where there are no impressions


def report(
    ranked: list[Ranked],
    state: RankingState,
    log: InteractionLog,
    requests: Sequence[PastRequest],
    split: Split,
) -> dict[str, Any]:
    """The figures with their intervals, and the pipeline's lead over each other model."""
    _, people = np.unique([request.user_id for request in requests], return_inverse=True)
    pipeline = ranked[-1]
    lists = Lists(state, log, requests, split)
    parts = segments(state.items, log.keep(split.test.known), requests)
    models = []
    for one in ranked:
        figures = {
            name: with_interval(function(one.ranks), people) for name, function in MEASURES.items()
        }
        if len(state.items) > one.ranks.shape[1]:  # there is something to prefer the picked to
            figures["auc"] = with_interval(metrics.auc(one.ranks, len(state.items)), people)
        if one.auc_of_seen is not None and (judged := ~np.isnan(one.auc_of_seen)).any():
            figures["auc_of_seen"] = with_interval(one.auc_of_seen[judged], people[judged])
        models.append(
            {
                "name": one.name,
                "role": one.role,
                "metrics": figures | lists.figures(one.tops),
                "segments": {name: _segment(one, chosen, people) for name, chosen in parts.items()},
                "pipeline_lead": _lead(pipeline, one, people) if one is not pipeline else None,
                "pipeline_leads": _leads(pipeline, one, people, parts)
                if one.role == "live"
                else {},
                "fit_seconds": round(one.fit_seconds, 3),
                "score_ms_per_user": round(one.score_ms, 3),
                "peak_mb": round(one.peak_mb),
            }
        )
    return {
        "split": split.name,
        "users": int(people.max()) + 1,
        "requests": len(requests),
        "test_start": split.test.now,
        "models": models,
    }


def with_interval(values: NDArray[np.float64], people: IntArray) -> dict[str, float]:
    """The mean of these requests' values, and its 95 % interval over people. (R,) and (R,)"""
    low, high = metrics.bootstrap_interval(values, clusters=people)
    return {"value": float(values.mean()), "low": low, "high": high}


def _segment(one: Ranked, chosen: NDArray[np.bool_], people: IntArray) -> dict[str, float]:
    """The main metric of the requests of one segment, with its interval."""
    figure = with_interval(MEASURES[MAIN](one.ranks)[chosen], people[chosen])
    return {
        "requests": int(chosen.sum()),
        MAIN: figure["value"],
        "low": figure["low"],
        "high": figure["high"],
    }


def _leads(
    pipeline: Ranked, other: Ranked, people: IntArray, parts: dict[str, NDArray[np.bool_]]
) -> dict[str, Any]:
    """The pipeline's difference from another model in each measure and each segment; paired."""
    each = {
        name: measure(pipeline.ranks) - measure(other.ranks) for name, measure in MEASURES.items()
    }
    return {
        "metrics": {name: _difference(values, people) for name, values in each.items()},
        "segments": {
            name: _difference(each[MAIN][chosen], people[chosen]) for name, chosen in parts.items()
        },
    }


def _difference(values: NDArray[np.float64], people: IntArray) -> dict[str, float]:
    """The mean of paired differences, its interval, and the p that there is none."""
    p = metrics.paired_p_value(values, np.zeros(len(values)), clusters=people)
    return {**with_interval(values, people), "p": p}


def _lead(pipeline: Ranked, other: Ranked, people: IntArray) -> dict[str, Any]:
    """How far the pipeline is ahead, as a difference and as a ratio; paired."""
    ours, theirs = MEASURES[MAIN](pipeline.ranks), MEASURES[MAIN](other.ranks)
    ratio = metrics.ratio_interval(ours, theirs, clusters=people)
    return {
        **with_interval(ours - theirs, people),
        # none where the other model never was right, in whatever drawing of people
        "ratio": dict(zip(("value", "low", "high"), ratio, strict=True))
        if np.isfinite(ratio).all()
        else None,
        "p": metrics.paired_p_value(ours, theirs, clusters=people),
    }


class Lists:
    """Figures of the first ten items of each list, beyond whether they were picked."""

    def __init__(
        self,
        state: RankingState,
        log: InteractionLog,
        requests: Sequence[PastRequest],
        split: Split,
    ) -> None:
        self.items = state.items
        known = log.keep(split.test.known)
        self.popularity = decayed_counts(known, len(state.items), split.test.now, 1e9)
        self.is_rare = bands(known, len(state.items)) == len(POPULARITIES) - 1  # (N,)
        self.histories = [log.rows[request.start : request.stop] for request in requests]

    def figures(self, tops: IntArray) -> dict[str, dict[str, float]]:
        """Each by its name; see training/metrics.py."""
        some = slice(0, CALIBRATED)
        vectors = self.items.vectors(np.arange(len(self.items)))
        each = {
            "novelty@10": metrics.novelty(tops, self.popularity),
            "average_popularity@10": metrics.average_popularity(tops, self.popularity),
            "intra_list_diversity@10": metrics.intra_list_diversity(tops[some], vectors),
            "calibration@10": metrics.calibration(
                tops[some], self.items.categories, self.histories[some]
            ),
        }
        whole = {
            "coverage@10": metrics.coverage(tops, len(self.items)),
            "gini@10": metrics.gini(tops, len(self.items)),
            "rare_exposure@10": metrics.exposure(tops, self.is_rare),
        }
        means = {name: _mean(values) for name, values in each.items()}
        return {name: {"value": value} for name, value in (whole | means).items() if value == value}


def _mean(values: NDArray[np.float64]) -> float:
    real = values[~np.isnan(values)]
    return float(real.mean()) if len(real) else float("nan")


def segments(
    items: ItemIndex, known: InteractionLog, requests: Sequence[PastRequest]
) -> dict[str, NDArray[np.bool_]]:
    """Requests by history, by how much the picked items were picked, by category. (R,) each

    `NEW` are those that picked something which nobody had touched. Popularity and category are
    those of most of the items that a request picked; ties go to the more popular, and to the first.
    Only segments that some request is in.
    """
    lengths = np.array([request.stop - request.start for request in requests])
    place = np.searchsorted([0, 4, 19, 99], lengths)
    found = {name: place == number for number, name in enumerate(HISTORIES)}
    band = bands(known, len(items))
    picked = np.array([_most(band[request.picked]) for request in requests])
    found |= {name: picked == number for number, name in enumerate(POPULARITIES)}
    untouched = np.bincount(known.rows, minlength=len(items)) == 0
    found[NEW] = np.array([bool(untouched[request.picked].any()) for request in requests])
    departments = np.array([_most(items.departments[request.picked]) for request in requests])
    numbers, counts = np.unique(departments[departments >= 0], return_counts=True)
    for number in numbers[np.argsort(-counts, kind="stable")[:CATEGORIES]].tolist():
        some = items.categories[(items.departments == number).argmax()]
        name = items.category_names[some].split(" > ")[0]
        found[f"{CATEGORY}{name}"] = departments == number
    return {name: chosen for name, chosen in found.items() if chosen.any()}


def bands(known: InteractionLog, items: int) -> IntArray:
    """The place in POPULARITIES of each item's share of all interactions. (N,)"""
    shares = np.bincount(known.rows, minlength=items) / max(len(known), 1)
    order = np.argsort(-shares, kind="stable")
    before = np.cumsum(shares[order]) - shares[order]  # of all interactions, above this item
    band = np.full(items, len(POPULARITIES) - 1, dtype=np.int64)
    band[order] = np.searchsorted(HEAD_AND_MIDDLE, before, side="right")
    return band


def _most(codes: IntArray) -> int:
    """The code that stands there most often, the smallest of several."""
    values, counts = np.unique(codes, return_counts=True)
    return int(values[counts.argmax()])


def by_name(result: dict[str, Any], live_bundle: str = "") -> dict[str, Any]:
    """The same figures as the registry keeps them: `pipeline`, and every other model by name.

    `segments` are the pipeline's; `paired` its differences from the live bundle, where that was
    asked the same requests.
    """
    models = {model["name"]: model for model in result["models"]}
    kept = {name: model["metrics"] for name, model in models.items()}
    live = models.get(LIVE)
    return {
        "pipeline": kept.pop(PIPELINE),
        **kept,
        "segments": models[PIPELINE]["segments"],
        "paired": {"bundle": live_bundle, **live["pipeline_leads"]} if live else None,
        "users": result["users"],
        "requests": result["requests"],
    }


def table(result: dict[str, Any]) -> list[str]:
    """The result as lines of text."""
    head = f"{'model':26}" + "".join(f"{name:>22}" for name in SHOWN) + f"{'coverage@10':>13}"
    lines = [head + f"{'fit s':>9}{'ms/user':>9}"]
    for model in result["models"]:
        figures = model["metrics"]
        cells = [
            "{} [{}, {}]".format(*(_short(figures[name][key]) for key in ("value", "low", "high")))
            for name in SHOWN
        ]
        coverage = _short(figures["coverage@10"]["value"])
        lines.append(
            f"{model['name']:26}"
            + "".join(f"{cell:>22}" for cell in cells)
            + f"{coverage:>13}{model['fit_seconds']:>9.1f}{model['score_ms_per_user']:>9.2f}"
        )
    lines.append("")
    lines += [
        f"full pipeline − {model['name']}: {MAIN} {lead['value']:+.4f} "
        f"[{lead['low']:+.4f}, {lead['high']:+.4f}] (paired, 95 %){_times(lead['ratio'])}"
        for model in result["models"]
        if (lead := model["pipeline_lead"])
    ]
    return lines


def _times(ratio: dict[str, float] | None) -> str:
    """How many times as good, where that can be said."""
    return ", × {value:.3f} [{low:.3f}, {high:.3f}]".format(**ratio) if ratio else ""


def _short(share: float) -> str:
    """Four decimals, and no nought before the point: .2407"""
    return f"{share:.4f}".removeprefix("0")
