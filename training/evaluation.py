"""⑬ Full-catalog ranking of what people really picked next, on a split that nothing was tuned on.

Every model ranks the whole catalog for each request of the split's test, from what was known just
before it. No sampled negatives (Krichene & Rendle 2020). Statistics such as popularity stand as of
the fold's moment; the person's own history is exact. What people picked although it may not be
recommended (`available` is false) counts as missed by every model. Baselines are tuned on the same
validation fold as the pipeline.
"""

import resource
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet

from catalog.models import Catalog
from ranking.bundle import open_bundle
from ranking.device import one_thread
from ranking.filters import allowed_items
from ranking.item_index import ItemIndex
from ranking.loading import state_from_bundle
from ranking.pipeline import Trace, rank
from ranking.rerank import diversify
from ranking.serving import encoder_of
from ranking.state import RankingState
from ranking.types import FloatArray, IntArray, InteractionLog, UserContext
from training import metrics
from training.ablation import ablate
from training.baselines import tuned_baselines
from training.encode import encode
from training.encoders import encoder_of_run, refuse_later_picks, refuse_leak
from training.errors import TrainingFault
from training.fit import Limits, fit_pipeline, fit_sources
from training.handle import RunHandle
from training.impressions import read_impressions, with_impressions
from training.report import LIVE, PIPELINE, WITH_PERSONAL, WITHOUT_PERSONAL, Ranked, report
from training.scoring import Scorer, padded, ranks_of, tower_scorer
from training.snapshot import open_snapshot, read_log, snapshot_of
from training.splits import (
    QUERY,
    Moments,
    PastRequest,
    Split,
    context_of,
    drawn,
    make_split,
    time_split,
)

LIST_SIZE = 100  # of the slate that stands for the pipeline; the rest follows by popularity
TOP = 10  # items of each list that are looked at for coverage, novelty and the like

Peers = Callable[[RankingState, InteractionLog, Split], list[Ranked]]  # what others answer


def pipeline_scorer(state: RankingState, *without: str) -> Scorer:
    """The path of a request as one scorer: its slate first, the rest by popularity.

    The slate is LIST_SIZE long, so each source may bring that many; a page's ten items are chosen
    from the sources' own quotas. `without` are stages and sources that are left out.
    """
    popularity = state.popularity.blend
    query = replace(QUERY, size=LIST_SIZE, without=without)

    def scores(context: UserContext) -> FloatArray:
        ranked = rank(state, context, query, Trace())
        slate = diversify(state, context, ranked, query)
        values = popularity / max(float(popularity.max()), 1e-9)
        values[slate.rows] = 2.0 + np.arange(len(slate), 0, -1)
        return values

    return scores


@dataclass(frozen=True)
class Asked:
    """The requests that every model answers, and the state that says what may be shown."""

    state: RankingState  # statistics as of the test
    log: InteractionLog
    requests: Sequence[PastRequest]
    check: Callable[[], None]

    def answers(self, name: str, role: str, scorer: Scorer, fit_seconds: float) -> Ranked:
        """Rank the whole catalog for each request."""
        ranks: list[IntArray] = []
        tops = np.full((len(self.requests), TOP), -1, dtype=np.int64)
        seen_auc = np.full(len(self.requests), np.nan)
        took = []
        for place, request in enumerate(self.requests):
            self.check()
            context = context_of(self.log, request)
            began = time.perf_counter()
            scores = scorer(context)
            took.append(time.perf_counter() - began)
            allowed, _ = allowed_items(self.state, context, QUERY)
            scores = np.where(allowed, scores, -np.inf)
            ranks.append(ranks_of(scores, request.picked))
            seen_auc[place] = _auc_of_seen(scores[request.seen], request)
            best = np.argsort(-scores, kind="stable") if len(scores) <= TOP else _first(scores)
            tops[place, : len(best)] = np.where(np.isfinite(scores[best]), best, -1)
        score_ms = float(np.median(took)) * 1e3
        return Ranked(name, role, padded(ranks), tops, fit_seconds, score_ms, peak_mb(), seen_auc)


def _auc_of_seen(scores: FloatArray, request: PastRequest) -> float:
    """AUC over what was in view; NaN unless some of it was picked and some was not."""
    picked = np.flatnonzero(np.isin(request.seen, request.picked))
    if len(picked) == 0:
        return float("nan")
    return float(metrics.auc(ranks_of(scores, picked)[None], len(scores))[0])


def _first(scores: FloatArray) -> IntArray:
    """The rows of the TOP largest scores, largest first."""
    best = np.argpartition(-scores, TOP)[:TOP]
    return best[np.argsort(-scores[best], kind="stable")]


def peak_mb() -> float:
    """The most memory that this process held so far, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def evaluate_state(
    state: RankingState,
    log: InteractionLog,
    split: Split,
    check: Callable[[], None] = lambda: None,
    most_people: int | None = None,
    seed: int = 0,
    *,
    fit_seconds: float = 0.0,
    ranks_folder: Path | None = None,
    peers: Callable[[], list[Ranked]] = list,
    live: RankingState | None = None,
) -> dict[str, Any]:
    """Every baseline, the peers, the tower alone and the full pipeline on the split's test.

    `live` is the live model's state over the same rows; it is asked the same requests.

    Raises
    ------
    TrainingFault
        Nobody came in the test window.
    """
    requests = drawn(split.test.requests, most_people, seed)
    if not requests:
        raise TrainingFault(
            "Nobody picked anything new in the test window, the last part of the log, so there is "
            "nothing to measure: wait for more interactions, or import some."
        )
    known = log.keep(split.test.known)
    then = state.as_of(known, split.test.now)
    asked = Asked(then, log, requests, check)
    ranked = [
        asked.answers(baseline.name, "baseline", scorer, seconds)
        for baseline, scorer, seconds in tuned_baselines(state, log, split, check, seed)
    ]
    ranked += peers()
    if state.tower is not None:
        ranked.append(asked.answers("tower alone", "part", tower_scorer(then), 0.0))
    if state.personalizer is not None:
        other = pipeline_scorer(replace(then, personal_on=not state.personal_on))
        name = WITHOUT_PERSONAL if state.personal_on else WITH_PERSONAL
        ranked.append(asked.answers(name, "part", other, 0.0))
    if live is not None:
        scorer = pipeline_scorer(live.as_of(known, split.test.now))
        ranked.append(asked.answers(LIVE, "live", scorer, 0.0))
    ranked.append(asked.answers(PIPELINE, "pipeline", pipeline_scorer(then), fit_seconds))
    if ranks_folder is not None:
        for one in ranked:
            write_ranks(one, requests, state, ranks_folder)
    return report(ranked, then, log, requests, split)


def write_ranks(
    ranked: Ranked, requests: Sequence[PastRequest], state: RankingState, folder: Path
) -> None:
    """One Parquet file a model: request, user, item (database ids) and the 0-based rank."""
    real = ranked.ranks >= 0  # (R, T)
    request, _ = np.nonzero(real)
    users = np.array([one.user_id for one in requests], dtype=np.int64)
    picked = np.concatenate([one.picked for one in requests])
    columns = {
        "request": request,
        "user_id": users[request],
        "item_id": state.items.ids[picked],
        "rank": ranked.ranks[real],
    }
    folder.mkdir(parents=True, exist_ok=True)
    name = ranked.name.replace(" ", "-")
    pyarrow.parquet.write_table(pa.table(columns), folder / f"{name}.parquet")


def evaluate_catalog(
    handle: RunHandle,
    split_name: str = "time",
    *,
    fresh: bool = False,
    most_people: int | None = None,
    ranks_folder: Path | None = None,
    peers: Peers | None = None,
    limits: Limits | None = None,
    encoder: str = "",
) -> dict[str, Any]:
    """Evaluate a catalog's pipeline on a split that its models never saw: `measured_pipeline`."""
    measured = measured_pipeline(handle, split_name, limits, encoder, fresh=fresh)
    state, log, split = measured.state, measured.log, measured.split

    def answers_of_peers() -> list[Ranked]:
        return [] if peers is None else peers(state, log, split)

    handle.stage("evaluating", 0.85)
    with one_thread():
        result = evaluate_state(
            state,
            log,
            split,
            handle.check,
            most_people,
            handle.seed,
            fit_seconds=measured.fit_seconds,
            ranks_folder=ranks_folder,
            peers=answers_of_peers,
        )
    return {"catalog": handle.catalog.slug, "bundle": measured.bundle, **result}


@dataclass(frozen=True)
class MeasuredPipeline:
    """A pipeline that never saw the test of a split, and where it comes from."""

    state: RankingState
    log: InteractionLog
    split: Split
    bundle: str = ""  # '' = fitted for this, and thrown away afterwards
    fit_seconds: float = 0.0


def measured_pipeline(
    handle: RunHandle,
    split_name: str,
    limits: Limits | None = None,
    encoder: str = "",
    *,
    fresh: bool = False,
) -> MeasuredPipeline:
    """The live bundle on its own snapshot, by time; else a pipeline that is fitted now.

    Fitted it is, too, with `fresh` or an `encoder` (see `choose_encoder`).
    """
    catalog = handle.catalog
    by_itself = split_name == "time" and not fresh and not encoder
    if by_itself and (bundle_id := bundle_of_run(handle)):
        return MeasuredPipeline(*live_pipeline(catalog, bundle_id), bundle_id)
    items, log, split = prepare(handle, split_name, encoder)
    began = time.perf_counter()
    state = fit_pipeline(handle, catalog, items, log, split, limits or Limits())
    return MeasuredPipeline(state, log, split, fit_seconds=time.perf_counter() - began)


def prepare(
    handle: RunHandle, split_name: str, encoder: str = ""
) -> tuple[ItemIndex, InteractionLog, Split]:
    """The catalog's items, all of them encoded, its log as it is now, and the split of it."""
    version = encoder_of_run(handle, encoder)
    refuse_leak(version, split_name)
    with handle.part(0.0, 0.05):
        encode(handle, version)
    items = ItemIndex.load(handle.catalog, version)
    snapshot = snapshot_of(handle)
    log = read_log(snapshot, items, handle.catalog)
    split = with_impressions(
        make_split(split_name, log, handle.catalog), log, read_impressions(snapshot, items)
    )
    refuse_later_picks(version, split.moments)
    handle.log(f"{len(log):,} interactions, {len(items):,} items, {split}")
    return items, log, split


def ablate_catalog(
    handle: RunHandle, split_name: str, limits: Limits | None = None, encoder: str = ""
) -> list[dict[str, Any]]:
    """What each part of a catalog's pipeline is worth on the validation fold of a split."""
    items, log, split = prepare(handle, split_name, encoder)
    limits = limits or Limits()
    state = fit_sources(handle, handle.catalog, items, log, split, limits)
    return ablate(handle, state, log, split, limits.ranker)


def bundle_of_run(handle: RunHandle) -> str:
    """The bundle that is live, or was when the run began, if it is resumed; '' for none."""
    known = handle.run.environment.get("bundle")
    if known is None:
        known = handle.catalog.live_bundle
        handle.record(bundle=known)
    return str(known)


def live_pipeline(
    catalog: Catalog, bundle_id: str = ""
) -> tuple[RankingState, InteractionLog, Split]:
    """A bundle, by default the live one, and what it was measured on when it was trained."""
    bundle = open_bundle(bundle_id or catalog.live_bundle, catalog.slug)
    items = ItemIndex.load(catalog, encoder_of(bundle, catalog))
    snapshot = open_snapshot(bundle.meta.snapshot_digest)
    log = read_log(snapshot, items, catalog)
    moments = Moments(**bundle.meta.parameters["split"])
    split = with_impressions(
        time_split(log, moments, repeats=catalog.repeat_consumption),
        log,
        read_impressions(snapshot, items),
    )
    return state_from_bundle(bundle, items, catalog), log, split
