"""⑦ What must not be shown: unavailable, unpublished, hidden, seen, near-duplicates."""

import numpy as np
from numpy.typing import NDArray

from catalog.models import Rule
from ranking.item_mask import mask
from ranking.state import RankingState
from ranking.types import Candidates, Query, UserContext

HEAD = 150  # candidates that are compared with each other


def allowed_items(
    state: RankingState, context: UserContext, query: Query
) -> tuple[NDArray[np.bool_], dict[str, int]]:
    """Which items may come back at all, and how many each rule takes away. (N,)"""
    items = state.items
    rules = {
        "unavailable": items.available,
        "not published yet": ~(items.published > context.now),  # no time of its own: published
    }
    if query.category:
        rules["other category"] = items.in_category(query.category)
    if query.filter is not None:
        rules["other than the filter"] = mask(query.filter, items, context.now)
    for rule in state.rules.holding(query.surface, context.now, Rule.Kind.EXCLUDE):
        rules[rule.name] = ~rule.rows
    banned = {
        "hidden": context.rows[context.weights < 0],
        "seen": context.rows[:0] if state.repeat_consumption else context.rows,
        "excluded": items.rows_of(np.array(query.exclude, dtype=np.int64)),
        "the item itself": items.rows_of(np.array([query.anchor_item_id or -1])),
    }
    for name, rows in banned.items():
        rules[name] = np.ones(len(items), dtype=bool)
        rules[name][rows[rows >= 0]] = False
    allowed = np.ones(len(items), dtype=bool)
    removed: dict[str, int] = {}
    for name, passes in rules.items():
        removed[name] = int((allowed & ~passes).sum())
        allowed &= passes
    return allowed, {name: count for name, count in removed.items() if count}


def drop_near_duplicates(
    state: RankingState,
    context: UserContext,
    candidates: Candidates,
    likeness: float,
) -> Candidates:
    """Keep the best of each group whose texts are this much alike. Expects candidates best first.

    What the person picked before always stays: two brands of the same product are both staples.
    """
    head = candidates.rows[:HEAD]
    vectors = state.items.vectors(head)
    alike = np.triu(vectors @ vectors.T >= likeness, k=1)  # (H, H) row before column
    own = np.isin(head, context.rows)
    keep = np.ones(len(candidates), dtype=bool)
    for place in range(len(head)):
        if keep[place]:
            keep[: len(head)] &= ~alike[place] | own
    return candidates.keep(keep)
