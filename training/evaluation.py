"""⑬ Full-catalog ranking on a global time split, with intervals from a bootstrap over people.

Every model ranks the whole catalog for each person's first session in the test window, from what
was known just before it. No sampled negatives (Krichene & Rendle 2020). Statistics such as
popularity stand as of the start of the window; the person's own history is exact. What people
picked although it may not be recommended (`available` is false) counts as missed by every model.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from catalog.models import Catalog
from ranking.bundle import open_bundle
from ranking.device import one_thread
from ranking.filters import allowed_items
from ranking.pipeline import Trace, rank
from ranking.rerank import diversify
from ranking.serving import bare_state, state_from_bundle
from ranking.sources.tower import tower
from ranking.state import RankingState
from ranking.types import FloatArray, IntArray, InteractionLog, Query, UserContext
from training import metrics
from training.baselines import all_baselines
from training.errors import TrainingFault
from training.handle import RunHandle
from training.items import catalog_items
from training.negatives import PastRequest, context_of, past_requests
from training.snapshot import Split, open_snapshot, read_log, split_by_time, take_snapshot

MEASURES: dict[str, Callable[[IntArray], float]] = {
    "ndcg@10": lambda ranks: metrics.ndcg(ranks, 10),
    "recall@10": lambda ranks: metrics.recall(ranks, 10),
    "recall@20": lambda ranks: metrics.recall(ranks, 20),
    "mrr": metrics.reciprocal_rank,
}
LIST_SIZE = 100  # of the slate that stands for the pipeline; the rest follows by popularity
MAIN = "ndcg@10"
PIPELINE = "full pipeline"

Scorer = Callable[[UserContext], FloatArray]  # one score an item, higher is better


@dataclass(frozen=True)
class Measured:
    """One model's figures, person by person."""

    name: str
    role: str  # baseline, part or pipeline
    values: dict[str, NDArray[np.float64]]  # metric → (people,)
    shown: int  # distinct items among all first tens
    fit_seconds: float
    score_ms: float  # median, one person


def pipeline_scorer(state: RankingState) -> Scorer:
    """The whole path of a request as one scorer: its slate first, the rest by popularity.

    The slate is LIST_SIZE long, so each source may bring that many; a page's ten items are chosen
    from the sources' own quotas.
    """
    popularity = state.popularity.blend
    query = Query(catalog_slug="", size=LIST_SIZE, log=False)

    def scores(context: UserContext) -> FloatArray:
        ranked = rank(state, context, query, Trace())
        slate = diversify(state, context, ranked, LIST_SIZE)
        values = popularity / max(float(popularity.max()), 1e-9)
        values[slate.rows] = 2.0 + np.arange(len(slate), 0, -1)
        return values

    return scores


def tower_scorer(state: RankingState) -> Scorer:
    """The user tower alone; popularity for people without a history."""
    nobody = np.zeros(0, dtype=np.int64)

    def scores(context: UserContext) -> FloatArray:
        found = tower(state, context, nobody)
        return state.popularity.blend if found is None else found

    return scores


def measure(
    name: str,
    role: str,
    scorer: Scorer,
    state: RankingState,
    log: InteractionLog,
    requests: Sequence[PastRequest],
    fit_seconds: float,
    check: Callable[[], None],
) -> Measured:
    """Rank the whole catalog for each request and keep every person's figures."""
    values: dict[str, list[float]] = {metric: [] for metric in MEASURES}
    shown: set[int] = set()
    took = []
    query = Query(catalog_slug="", log=False)
    for request in requests:
        check()
        context = context_of(log, request)
        began = time.perf_counter()
        scores = scorer(context)
        took.append(time.perf_counter() - began)
        allowed, _ = allowed_items(state, context, query)
        scores = np.where(allowed, scores, -np.inf)
        ranks = ranks_of(scores, request.picked)
        shown.update(np.argpartition(-scores, min(10, len(scores) - 1))[:10].tolist())
        for metric, function in MEASURES.items():
            values[metric].append(function(ranks))
    arrays = {metric: np.array(found) for metric, found in values.items()}
    milliseconds = float(np.median(took)) * 1e3 if took else 0.0
    return Measured(name, role, arrays, len(shown), fit_seconds, milliseconds)


def ranks_of(scores: FloatArray, picked: IntArray) -> IntArray:
    """0-based place of each picked item by score; ties take their middle place."""
    own = scores[picked][:, None]
    above = (scores[None, :] > own).sum(axis=1)
    level = (scores[None, :] == own).sum(axis=1) - 1
    return np.asarray(above + level // 2, dtype=np.int64)


def evaluate_state(
    state: RankingState,
    log: InteractionLog,
    split: Split,
    check: Callable[[], None] = lambda: None,
    most_people: int | None = None,
    seed: int = 0,
) -> dict[str, Any]:
    """Every baseline, the tower alone and the full pipeline on the test window.

    Raises
    ------
    TrainingFault
        Nobody came in the test window.
    """
    then = state.as_of(log, split.test_start)
    requests = past_requests(log, split.test_start, split.end, repeats=state.repeat_consumption)
    if not requests:
        raise TrainingFault(
            "Nobody picked anything new in the test window, the last part of the log, so there is "
            "nothing to measure: wait for more interactions, or import some."
        )
    if most_people is not None and len(requests) > most_people:
        order = np.random.default_rng(seed).permutation(len(requests))[:most_people]
        requests = [requests[place] for place in np.sort(order)]
    known = log.before(split.test_start)
    measured = []
    for baseline in all_baselines():
        began = time.perf_counter()
        baseline.fit(known, len(state.items), split.test_start)
        took = time.perf_counter() - began
        measured.append(
            measure(baseline.name, "baseline", baseline.scores, then, log, requests, took, check)
        )
    if state.tower is not None:
        scorer = tower_scorer(then)
        measured.append(measure("tower alone", "part", scorer, then, log, requests, 0.0, check))
    scorer = pipeline_scorer(then)
    measured.append(measure(PIPELINE, "pipeline", scorer, then, log, requests, 0.0, check))
    return report(measured, len(state.items), len(requests), split)


def report(measured: list[Measured], item_count: int, people: int, split: Split) -> dict[str, Any]:
    """The figures with their intervals, and the pipeline's lead over each other model."""
    pipeline = measured[-1].values[MAIN]
    models = []
    for one in measured:
        figures: dict[str, Any] = {}
        for metric, values in one.values.items():
            low, high = metrics.bootstrap_interval(values)
            figures[metric] = {"value": float(values.mean()), "low": low, "high": high}
        figures["coverage@10"] = {"value": one.shown / max(item_count, 1)}
        difference = pipeline - one.values[MAIN]
        low, high = metrics.bootstrap_interval(difference)
        lead = {"value": float(difference.mean()), "low": low, "high": high}
        models.append(
            {
                "name": one.name,
                "role": one.role,
                "metrics": figures,
                "pipeline_lead": lead if one.role != "pipeline" else None,
                "fit_seconds": round(one.fit_seconds, 3),
                "score_ms_per_user": round(one.score_ms, 3),
            }
        )
    return {"split": "time", "users": people, "test_start": split.test_start, "models": models}


def by_name(result: dict[str, Any]) -> dict[str, Any]:
    """The same figures as the registry keeps them: `pipeline`, and every other model by name."""
    figures = {model["name"]: model["metrics"] for model in result["models"]}
    return {"pipeline": figures.pop(PIPELINE), **figures, "users": result["users"]}


def evaluate_catalog(catalog: Catalog, check: Callable[[], None] = lambda: None) -> dict[str, Any]:
    """Evaluate what is live now, on the time split that its bundle never saw.

    With a live bundle, its own snapshot and split are used; without one, a fresh snapshot, and the
    pipeline is encoder and popularity.
    """
    items = catalog_items(catalog)
    if catalog.live_bundle:
        bundle = open_bundle(catalog.live_bundle, catalog.slug)
        log = read_log(open_snapshot(bundle.meta.snapshot_digest), items, catalog)
        split = Split(**bundle.meta.parameters["split"])
        state = state_from_bundle(bundle, items, catalog)
    else:
        log = read_log(take_snapshot(catalog), items, catalog)
        split = split_by_time(log, catalog)
        state = bare_state(items, catalog)
    with one_thread():
        result = evaluate_state(state, log, split, check)
    return {"catalog": catalog.slug, "bundle": catalog.live_bundle, **result}


def evaluate_run(handle: RunHandle) -> None:
    """A run of kind evaluate: the figures go to its log and curves."""
    handle.stage("evaluating", 0.1)
    for line in table(evaluate_catalog(handle.catalog, handle.check)):
        handle.log(line)


def table(result: dict[str, Any]) -> list[str]:
    """The result as lines of text."""
    head = f"{'model':20}" + "".join(f"{name:>22}" for name in MEASURES) + f"{'coverage@10':>13}"
    lines = [head]
    for model in result["models"]:
        figures = model["metrics"]
        cells = [
            "{} [{}, {}]".format(*(_short(figures[name][key]) for key in ("value", "low", "high")))
            for name in MEASURES
        ]
        coverage = _short(figures["coverage@10"]["value"])
        lines.append(
            f"{model['name']:20}" + "".join(f"{cell:>22}" for cell in cells) + f"{coverage:>13}"
        )
    lines.append("")
    lines += [
        f"full pipeline − {model['name']}: {MAIN} {lead['value']:+.4f} "
        f"[{lead['low']:+.4f}, {lead['high']:+.4f}] (paired, 95 %)"
        for model in result["models"]
        if (lead := model["pipeline_lead"])
    ]
    return lines


def _short(share: float) -> str:
    """Four decimals, and no nought before the point: .2407"""
    return f"{share:.4f}".removeprefix("0")
