"""The heads of a distillation: what teachers judge, and students learn from and are measured on.

People are dealt into groups, as in fit_personal.py: whoever orders a group's heads, teacher or
student, has learned from the other groups alone. Heads without labels belong to no group, and
all students learn from them.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ranking.context import HISTORY_LIMIT
from ranking.personalizer import FAR
from ranking.rankers.examples import Examples, Rows
from ranking.types import FloatArray, IntArray, InteractionLog
from training.fit_personal import Heads, Order
from training.splits import BoolArray, Fold, PastRequest

NOBODYS = -1  # the group of heads without labels

Verdicts = list[
    FloatArray
]  # a group each: logits of all candidates of a course (M,), NaN = unasked


@dataclass(frozen=True)
class Course:
    """All heads of a distillation, those with labels first."""

    heads: Heads
    others: Heads  # of people who did not come: labels are not known
    group: IntArray  # (R,) of each head, NOBODYS for the others

    @classmethod
    def of(cls, heads: Heads, others: Heads, groups: int, seed: int) -> "Course":
        """People dealt into so many groups."""
        nobodys = np.full(len(others.picked), NOBODYS)
        return cls(heads, others, np.concatenate([heads.dealt(groups, seed), nobodys]))

    @property
    def groups(self) -> range:
        """The groups of people."""
        return range(int(self.group.max()) + 1)

    @cached_property
    def examples(self) -> Examples:
        """The heads' candidates."""
        return Examples.joined([self.heads.examples, self.others.examples])

    @cached_property
    def rows(self) -> list[Rows]:
        """The candidates head by head. R"""
        return self.examples.requests()

    @property
    def requests(self) -> list[PastRequest]:
        """Where each head was asked. R"""
        return self.heads.requests + self.others.requests

    @property
    def users(self) -> IntArray:
        """Who asked. (R,)"""
        return np.concatenate([self.heads.users, self.others.users])

    def split(self, flat: FloatArray) -> list[FloatArray]:
        """(M,) head by head. R × (N,)"""
        return np.split(flat, np.cumsum(self.examples.groups)[:-1])

    def behind(self, verdict: FloatArray) -> FloatArray:
        """A verdict with those who were not asked about last, in the ranker's order. (M,)"""
        places = np.concatenate([np.arange(count) for count in self.examples.groups])
        return np.where(np.isnan(verdict), np.float32(FAR) - places, verdict).astype(np.float32)

    def unseen(self, verdicts: Verdicts) -> FloatArray:
        """Each head by the teacher that has not learned from it; the others by the mean of all.

        (M,)
        """
        group = np.repeat(self.group, self.examples.groups)
        mean = np.mean(verdicts, axis=0)
        own = np.stack(verdicts)[np.maximum(group, 0), np.arange(len(group))]
        return np.asarray(np.where(group == NOBODYS, mean, own), dtype=np.float32)

    def learners(self, group: int, *, labelled: bool) -> BoolArray:
        """The heads that whoever orders a group learns from; with labels only, or all. (R,)"""
        excluded = (group, NOBODYS) if labelled else (group,)
        return ~np.isin(self.group, excluded)

    def held(self, verdicts: Verdicts) -> list[FloatArray]:
        """The scores of each head with labels by the teacher that has not learned from it."""
        scores = [self.split(self.behind(verdict)) for verdict in verdicts]
        return self.cross_fitted(lambda group: scores[group].__getitem__)

    def cross_fitted(self, fit: Callable[[int], Order]) -> list[FloatArray]:
        """The scores of each head with labels by what `fit` makes of the other groups."""
        scores = self.heads.in_order()
        for number in self.groups:
            order = fit(number)
            for head in np.flatnonzero(self.group == number).tolist():
                scores[head] = order(head)
        return scores


def visitors(log: InteractionLog, fold: Fold, most: int, seed: int) -> Fold:
    """People who did not come in a fold, as if they did at its moment; their picks are unknown."""
    came = np.array([request.user_id for request in fold.requests], dtype=np.int64)
    people, counts = np.unique(log.users[fold.known], return_counts=True)
    known = dict(zip(people.tolist(), counts.tolist(), strict=True))
    absent = np.setdiff1d(people, came)
    chosen = np.sort(np.random.default_rng(seed).permutation(absent)[:most])
    starts = np.searchsorted(log.users, chosen)
    nothing = np.zeros(0, dtype=np.int64)
    untouched = (np.full(1, -1), np.zeros(1, dtype=np.uint8))  # no item has the row −1
    requests = []
    for person, start in zip(chosen.tolist(), starts.tolist(), strict=True):
        stop = start + known[person]
        oldest = max(start, stop - HISTORY_LIMIT)
        requests.append(PastRequest(oldest, stop, person, fold.now, nothing, *untouched))
    return Fold(fold.known, fold.now, requests)
