"""The path of a request, a line a stage. ① is the page or the API that asks."""

import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial

import numpy as np

from catalog.events import log_slate
from catalog.models import Catalog, EncoderVersion, Item, SlateLog
from ranking import explain
from ranking.context import read_context
from ranking.features import recent_rows
from ranking.filters import allowed_items, drop_near_duplicates
from ranking.personalizer import PERSONAL
from ranking.placing import EXPLORATION, EXPLORED, PINS, PUSH, Placed, explore, pin, push
from ranking.query import find
from ranking.rankers.blend import score
from ranking.rankers.ensemble import by_rank
from ranking.rankers.examples import HISTORY
from ranking.rerank import DIVERSITY, diversify
from ranking.rollout import answered
from ranking.serving import vector_of_query
from ranking.sources.union import empty_candidates, retrieve
from ranking.state import SAME_TEXT, RankingState
from ranking.types import Candidates, Query, Slate, SlateItem, Stage, UserContext

NEAR_DUPLICATES = "near-duplicates"
PERSONAL_SHARE = 0.25  # of a search result's score that is the person's taste, or everybody's


@dataclass
class Trace:
    """Collects what each stage did."""

    stages: list[Stage] = field(default_factory=list)

    @contextmanager
    def stage(self, name: str, entered: int) -> Iterator[list[int | dict[str, int]]]:
        """Time a stage; the block appends how many candidates left, and its own counts."""
        began, out = time.perf_counter(), list[int | dict[str, int]]()
        yield out
        took = (time.perf_counter() - began) * 1e3
        left = next((value for value in out if isinstance(value, int)), entered)
        detail = next((value for value in out if isinstance(value, dict)), {})
        self.stages.append(Stage(name, entered, left, round(took, 3), detail))


def recommend(query: Query) -> Slate:
    """Answer a request for recommendations, and log what was shown.

    Raises
    ------
    Catalog.DoesNotExist
        There is no such catalog.
    """
    catalog = Catalog.objects.get(slug=query.catalog_slug)
    return answered(catalog, query.user_id, partial(recommend_with, query, catalog))


def recommend_with(
    query: Query,
    catalog: Catalog,
    state: RankingState,
    _: EncoderVersion | None = None,
    context: UserContext | None = None,
) -> Slate:
    """The whole path with this state; for the person that the query names, unless told of one."""
    trace = Trace()
    with trace.stage("context", 0) as out:  # ②
        context = context or read_context(
            query, catalog, state.items, state.lenders, state.affinity.traits
        )
        out += [0, {"interactions": len(context.rows)}]
    candidates = rank(state, context, query, trace)  # ④ – ⑧
    placed = place(state, context, candidates, query, trace)  # ⑨
    return _finish(query, catalog, state, context, placed, trace, total=len(candidates))  # ⑩


def rank(state: RankingState, context: UserContext, query: Query, trace: Trace) -> Candidates:
    """④ – ⑧: candidates of one person, best first. Evaluation calls this very function."""
    with trace.stage("allowed", len(state.items)) as out:  # ⑦ the rules that need no score
        allowed, removed = allowed_items(state, context, query)
        out += [int(allowed.sum()), removed]
    with trace.stage("sources", int(allowed.sum())) as out:  # ④
        candidates = retrieve(state, context, query, allowed)
        found = (~np.isnan(candidates.source_ranks)).sum(axis=0)
        out += [len(candidates), dict(zip(candidates.source_names, map(int, found), strict=True))]
    with trace.stage("ranker", len(candidates)):  # ⑤ ⑥
        candidates.scores = score(state, context, candidates, query)
    with trace.stage(NEAR_DUPLICATES, len(candidates)) as out:  # ⑦
        best_first = candidates.keep(np.argsort(-candidates.scores, kind="stable"))
        unique = best_first
        if NEAR_DUPLICATES not in query.without:
            unique = drop_near_duplicates(state, context, best_first, state.near_duplicate)
        out.append(len(unique))
    personal = state.personalizer if state.personal_on else None
    if personal is None or not len(unique.features) or PERSONAL in query.without:
        return unique
    with trace.stage(PERSONAL, len(unique)):  # ⑧
        return personal.rerank(unique, recent_rows(context, HISTORY))


def place(
    state: RankingState, context: UserContext, candidates: Candidates, query: Query, trace: Trace
) -> Placed:
    """⑨: who stands where, and by what chance. Measuring what dials cost calls this function."""
    if (state.rules.loaded or state.popularity_push) and PUSH not in query.without:
        with trace.stage(PUSH, len(candidates)) as out:
            candidates, meant = push(state, context, candidates, query)
            out.append(meant)
    with trace.stage(DIVERSITY, len(candidates)) as out:
        placed = Placed.by_score(diversify(state, context, candidates, query))
        out.append(len(placed.candidates))
    if state.rules.loaded and PINS not in query.without:
        with trace.stage(PINS, len(placed.candidates)) as out:
            allowed = allowed_items(state, context, query)[0]
            pins = state.rules.pins(allowed, query.surface, context.now)
            placed, pinned = pin(pins, placed.candidates, candidates, query.size)
            out += [len(placed.candidates), pinned]
    if state.exploration and not query.only_sources and EXPLORATION not in query.without:
        with trace.stage(EXPLORATION, len(placed.candidates)) as out:
            placed = explore(state, placed, candidates, np.random.default_rng(query.seed))
            out.append({"given by chance": placed.marks.count(EXPLORED)})
    return placed


def search(query: Query) -> Slate:
    """Answer a search: ③ finds by words and by meaning, then the same path as any request."""
    catalog = Catalog.objects.get(slug=query.catalog_slug)
    return answered(catalog, query.user_id, partial(search_with, query, catalog))


def search_with(
    query: Query, catalog: Catalog, state: RankingState, encoder: EncoderVersion | None
) -> Slate:
    """The whole path of a search with this state."""
    trace = Trace()
    with trace.stage("context", 0) as out:  # ②
        context = read_context(query, catalog, state.items, state.lenders, state.affinity.traits)
        out += [0, {"interactions": len(context.rows)}]
    with trace.stage("query", len(state.items)) as out:  # ③ ④
        vector = vector_of_query(query.text, encoder) if encoder else None
        rows, relevance, total = find(query.text, catalog, state.items, encoder, vector)
        allowed = allowed_items(state, _nobody(context), query)[0][rows]
        candidates, relevance = empty_candidates(rows[allowed]), relevance[allowed]
        total = total if query.filter is None else len(candidates)
        out.append(len(candidates))
    with trace.stage("ranker", len(candidates)):  # ⑤ ⑥
        if len(context.rows):
            personal = score(state, context, candidates, query)
        else:  # of a newcomer, what such people pick on their first visit
            personal = by_rank(state.popular_with(context.traits)[candidates.rows])
        candidates.scores = (1 - PERSONAL_SHARE) * relevance + PERSONAL_SHARE * personal
    best_first = candidates.keep(np.argsort(-candidates.scores, kind="stable"))
    # Who searches wants what is only alike, too; the same text again where people pick it again.
    likeness = max(state.near_duplicate, SAME_TEXT)
    unique = drop_near_duplicates(state, context, best_first, likeness)  # ⑦
    if state.rules.loaded and PUSH not in query.without:
        with trace.stage(PUSH, len(unique)) as out:  # ⑨
            unique, meant = push(state, context, unique, query)
            out.append(meant)
    chosen = Placed.by_score(unique.keep(np.arange(min(query.size, len(unique)))))
    return _finish(query, catalog, state, context, chosen, trace, total)  # ⑩


def _nobody(context: UserContext) -> UserContext:
    """The same moment without a history: a search may find what was seen."""
    nothing = slice(0, 0)
    return UserContext(
        context.user_id,
        context.rows[nothing],
        context.types[nothing],
        context.timestamps[nothing],
        context.weights[nothing],
        context.now,
    )


def _finish(
    query: Query,
    catalog: Catalog,
    state: RankingState,
    context: UserContext,
    placed: Placed,
    trace: Trace,
    total: int,
) -> Slate:
    """⑩ Name the reasons, write the slate log, answer."""
    chosen = placed.candidates
    because = explain.closest_recent(state, context, chosen.rows)
    wanted = [int(state.items.ids[row]) for row in because if row >= 0]
    titles = dict(Item.objects.filter(pk__in=wanted).values_list("pk", "title")) if wanted else {}
    own = context.rows[context.weights > 0]
    alike = explain.liked_by_alike(state, context, chosen)
    items = []
    for place, row in enumerate(chosen.rows):
        mark = placed.marks[place]
        sources = ((mark,) if mark else ()) + explain.sources_of(chosen, place)
        title = titles.get(int(state.items.ids[because[place]]), "") if because[place] >= 0 else ""
        items.append(
            SlateItem(
                item_id=int(state.items.ids[row]),
                position=place,
                score=round(float(chosen.scores[place]), 6),
                propensity=round(float(placed.propensities[place]), 9),
                sources=sources,
                reason=explain.reason(sources, title, int((own == row).sum()), bool(alike[place])),
            )
        )
    slate = Slate(uuid.uuid4(), tuple(items), state.bundle_id, tuple(trace.stages), total)
    if query.log:
        log_slate(_log_row(query, catalog, context, slate))
    return slate


def _log_row(query: Query, catalog: Catalog, context: UserContext, slate: Slate) -> SlateLog:
    moment = datetime.fromtimestamp(context.now, UTC)
    return SlateLog(
        id=slate.id,
        catalog=catalog,
        user_id=query.user_id,
        surface=query.surface,
        bundle_id=slate.bundle_id,
        query_text=query.text,
        context={
            "hour": moment.hour,
            "weekday": moment.weekday(),
            "device": query.device,
            "history": len(context.rows),
            "anchor_item_id": query.anchor_item_id,
            "category": query.category,
        },
        item_ids=slate.item_ids,
        scores=[item.score for item in slate.items],
        propensities=[item.propensity for item in slate.items],
        sources=["+".join(item.sources) for item in slate.items],
        trace={"stages": [vars(stage) for stage in slate.stages]},
    )
