"""Whom a teacher is asked about, and which heads students learn from."""

import numpy as np
import pytest

from ranking.rankers.examples import HISTORY, Examples
from ranking.types import IntArray
from tests.ranking.worlds import log_of
from training.course import NOBODYS, Course, visitors
from training.fit_personal import NAMES, Heads
from training.negatives import NO_EXAMPLES
from training.splits import Fold, PastRequest
from training.teacher import drawn_candidates

SIZE = 20


def heads(people: IntArray, picked: tuple[int, ...]) -> Heads:
    """One head a person, in which these places are picked."""
    labels = np.zeros((len(people), SIZE), dtype=np.float32)
    labels[:, picked] = 1.0
    total = labels.size
    examples = Examples(
        np.zeros((total, len(NAMES)), dtype=np.float32),
        labels.ravel(),
        np.full(len(people), SIZE),
        np.arange(total),
        np.zeros(total, dtype=np.uint8),
        np.full((len(people), HISTORY), -1, dtype=np.int64),
    )
    return Heads(examples, people, np.full(len(people), len(picked)))


@pytest.fixture
def course() -> Course:
    return Course.of(heads(np.arange(8), (3,)), heads(np.arange(90, 93), ()), 2, seed=1)


def test_picks_are_half_at_most_and_upper_places_come_more_often() -> None:
    drawn = drawn_candidates(heads(np.arange(200), (3, 5, 7)).examples, 4, seed=1)
    assert {len(some) for some in drawn} == {4}
    assert {int(np.isin(some, (3, 5, 7)).sum()) for some in drawn} == {2}
    assert all((np.diff(some) > 0).all() for some in drawn)
    counts = np.bincount(np.concatenate(drawn), minlength=SIZE)
    assert counts[:3].sum() > 2 * counts[-3:].sum()
    short = drawn_candidates(heads(np.arange(1), (3,)).examples, 50, seed=1)
    np.testing.assert_array_equal(short[0], np.arange(SIZE))


def test_which_requests_have_picks() -> None:
    known, unknown = heads(np.arange(2), (3,)).examples, heads(np.arange(1), ()).examples
    assert Examples.joined([known, unknown]).with_picks().tolist() == [True, True, False]
    assert NO_EXAMPLES.with_picks().tolist() == []


def test_nobody_learns_from_the_group_that_is_measured(course: Course) -> None:
    assert list(course.groups) == [0, 1]
    assert (course.group[8:] == NOBODYS).all()
    for group in course.groups:
        labelled, both = (course.learners(group, labelled=told) for told in (True, False))
        assert not (labelled & (course.group == group)).any()
        assert labelled.sum() == 4
        assert both.sum() == 7


def test_each_head_is_judged_by_who_has_not_learned_from_it(course: Course) -> None:
    size = len(course.examples.labels)
    verdicts = [np.full(size, value, dtype=np.float32) for value in (1.0, 3.0)]
    unseen = course.split(course.unseen(verdicts))
    for head, group in enumerate(course.group.tolist()):
        assert set(unseen[head].tolist()) == {2.0 if group == NOBODYS else 1.0 + 2 * group}
    held = course.held(verdicts)
    assert [scores[0] for scores in held] == [1.0 + 2 * group for group in course.group[:8]]


def test_who_was_not_asked_about_stays_behind_in_order(course: Course) -> None:
    verdict = np.full(len(course.examples.labels), np.nan, dtype=np.float32)
    verdict[[0, 1]] = (-5.0, 4.0)
    order = np.argsort(-course.split(course.behind(verdict))[0], kind="stable")
    np.testing.assert_array_equal(order, [1, 0, *range(2, SIZE)])


def test_visitors_are_people_who_did_not_come() -> None:
    log = log_of((1, 0, 9.0, 1.0), (1, 1, 1.0, 1.0), (2, 2, 8.0, 1.0), (2, 3, 7.0, 1.0))
    known = log.timestamps < log.timestamps[1]
    nothing = np.zeros(0, dtype=np.int64)
    came = PastRequest(0, 1, 1, 5.0, nothing, nothing, np.zeros(0, dtype=np.uint8))
    found = visitors(log, Fold(known, 5.0, [came]), 10, seed=1).requests
    assert [(one.user_id, one.start, one.stop, one.moment) for one in found] == [(2, 2, 4, 5.0)]
    assert not visitors(log, Fold(known, 5.0, [came]), 0, seed=1).requests
