"""Why this item: one sentence for the reader, from what really put it there."""

import numpy as np
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop
from numpy.typing import NDArray

from ranking.features import recent_rows
from ranking.state import RankingState
from ranking.types import Candidates, IntArray, UserContext

SENTENCES = {
    "staples": gettext_noop("One of your staples"),
    "tower": gettext_noop("Fits what you did lately"),
    "category": gettext_noop("Popular in a category you come back to"),
    "popular": gettext_noop("Popular now"),
    "fresh": gettext_noop("New"),
    "pinned": gettext_noop("Pinned"),
    "explored": gettext_noop("Something different"),
}
LIFTED = 0.2  # of Affinity.lift: people with these traits pick it a fifth more
STAPLE_TIMES = 3  # interactions from which an item is called a staple
ORDER = (
    "pinned",
    "explored",
    "staples",
    "covisit",
    "markov",
    "ease",
    "similar",
    "tower",
    "category",
    "fresh",
    "popular",
)


def sources_of(candidates: Candidates, place: int) -> tuple[str, ...]:
    """The sources that found this candidate, the one that ranked it highest first."""
    ranks = candidates.source_ranks[place]
    found = np.flatnonzero(~np.isnan(ranks))
    return tuple(candidates.source_names[column] for column in found[np.argsort(ranks[found])])


def closest_recent(state: RankingState, context: UserContext, rows: IntArray) -> IntArray:
    """For each row, the item-index row of the recent item whose text is closest; −1 without one."""
    recent = recent_rows(context, 10)
    if len(recent) == 0 or len(rows) == 0:
        return np.full(len(rows), -1, dtype=np.int64)
    likeness = state.items.vectors(rows) @ state.items.vectors(recent).T  # (N, R)
    likeness[rows[:, None] == recent] = -1.0  # an item is no reason for itself
    return np.where(likeness.max(axis=1) > 0.3, recent[likeness.argmax(axis=1)], -1)


def liked_by_alike(
    state: RankingState, context: UserContext, candidates: Candidates
) -> NDArray[np.bool_]:
    """Whether people with a newcomer's traits pick each candidate clearly more than others. (N,)"""
    if len(context.traits) == 0:
        return np.zeros(len(candidates), dtype=bool)
    popular = candidates.source_scores[:, candidates.source_names.index("popular")]
    return np.asarray(popular > np.exp(LIFTED) * state.popularity.for_newcomers[candidates.rows])


def reason(
    sources: tuple[str, ...], because_of: str, times: int, alike_like_it: bool = False
) -> str:
    """A sentence, in the language of the page that asks; the API asks in English.

    Parameters
    ----------
    because_of
        The title of the recent item that led here, or ''.
    times
        How often this person picked, or looked at, this very item.
    alike_like_it
        Whether people with the same traits like it (`liked_by_alike`).
    """
    for name in ORDER:
        if name not in sources:
            continue
        if name == "staples" and times < STAPLE_TIMES:
            return _("From your history")
        if name in ("similar", "covisit", "markov", "ease"):
            if because_of:
                return _("Because of “%(title)s”") % {"title": because_of}
            continue
        if name == "popular" and alike_like_it:
            return _("Popular with people like you")
        return _(SENTENCES[name])
    return _("Goes with what you looked at") if sources else _("Matches your search")
