"""Splits, past requests and their histories."""

import numpy as np
import pytest

from catalog.models import Catalog
from ranking.types import DAY
from tests.ranking.worlds import NOW, log_of
from training.errors import TrainingFault
from training.splits import (
    context_of,
    leave_last,
    make_split,
    past_requests,
    split_by_time,
    without_test,
)


def test_the_last_windows_are_held_back() -> None:
    events = [(user, user % 5, float(day), 1.0) for user in range(12) for day in range(100)]
    split = split_by_time(log_of(*events), Catalog(name="c"))
    window = 99 * DAY * 0.12
    assert split.end - split.test_start == pytest.approx(window, rel=1e-3)
    assert split.test_start - split.valid_start == pytest.approx(window, rel=1e-3)
    assert split.valid_start - split.rank_start == pytest.approx(2 * window, rel=1e-3)


@pytest.mark.parametrize(("name", "kept"), [("time", 88), ("leave-last-5", 95)])
def test_without_the_test_nothing_of_it_is_left(name: str, kept: int) -> None:
    def events(row: int) -> list[tuple[int, int, float, float]]:
        """A pick a day; those of the last `100 - kept` days are of this row."""
        return [
            (user, row if day >= kept else (user + day) % 5, 99.0 - day, 1.0)
            for user in range(12)
            for day in range(100)
        ]

    catalog = Catalog(name="c", repeat_consumption=True)
    one, other = (
        without_test(log, make_split(name, log, catalog))
        for log in (log_of(*events(7)), log_of(*events(8)))
    )
    for log, split in (one, other):
        assert not np.isin(log.rows, [7, 8]).any()
        assert split.test.requests == []
    for column in ("users", "rows", "timestamps", "weights"):
        assert np.array_equal(getattr(one[0], column), getattr(other[0], column))
    for first, second in zip(
        [*one[1].train, one[1].valid], [*other[1].train, other[1].valid], strict=True
    ):
        assert np.array_equal(first.known, second.known)
        assert len(first.requests) == len(second.requests) > 0


@pytest.mark.parametrize("name", ["time", "leave-last-5"])
def test_without_the_test_requests_know_the_same(name: str) -> None:
    events = [(user, (user * day) % 7, 99.0 - day, 1.0) for user in range(12) for day in range(100)]
    log = log_of(*events)
    split = make_split(name, log, Catalog(name="c", repeat_consumption=True))
    less, own = without_test(log, split)
    for before, after in zip(split.valid.requests, own.valid.requests, strict=True):
        assert np.array_equal(context_of(log, before).rows, context_of(less, after).rows)
        assert np.array_equal(before.picked, after.picked)
    assert np.array_equal(log.keep(split.tower).rows, less.keep(own.tower).rows)
    assert np.array_equal(log.keep(split.valid.known).rows, less.keep(own.valid.known).rows)


def test_too_little_is_said_with_figures() -> None:
    with pytest.raises(TrainingFault, match=r"has 1 interactions by 1 people.*200 by 10"):
        split_by_time(log_of((1, 0, 1.0, 1.0)), Catalog(name="c"))


def test_all_at_once_cannot_be_split() -> None:
    events = [(user, user % 5, 1.0, 1.0) for user in range(300)]
    with pytest.raises(TrainingFault, match="at the same time"):
        split_by_time(log_of(*events), Catalog(name="c"))


def test_a_request_is_the_first_session_and_sees_only_its_past() -> None:
    log = log_of(
        (1, 0, 9.0, 1.0), (1, 1, 5.0, 1.0), (1, 2, 5.0, 1.0), (1, 3, 4.0, 1.0), (2, 5, 8.0, 1.0)
    )
    (request,) = past_requests(log, NOW - 6 * DAY, NOW, repeats=True)
    assert request.user_id == 1
    assert request.picked.tolist() == [1, 2]
    context = context_of(log, request)
    assert context.rows.tolist() == [0]
    assert (context.timestamps < request.moment).all()


def test_seen_items_are_no_targets_where_nothing_repeats() -> None:
    log = log_of((1, 0, 9.0, 1.0), (1, 0, 5.0, 1.0), (1, 2, 5.0, 1.0), (1, 4, 5.0, -1.0))
    (request,) = past_requests(log, NOW - 6 * DAY, NOW, repeats=False)
    assert request.picked.tolist() == [2]
    assert np.array_equal(past_requests(log, NOW - 6 * DAY, NOW, repeats=True)[0].picked, [0, 2])


def test_the_last_picks_are_asked_one_by_one_and_known_to_nobody() -> None:
    log = log_of(*((user, row, 20.0 - row, 1.0) for user in (1, 2) for row in range(8)))
    split = leave_last(log, 2, repeats=False)
    assert [request.picked.tolist() for request in split.test.requests] == [[6], [7], [6], [7]]
    assert [request.picked.tolist() for request in split.valid.requests] == [[4], [5], [4], [5]]
    asked = [[request.picked.tolist() for request in fold.requests] for fold in split.train]
    assert asked == [[[2], [3]]] * 2  # one group of people after the other
    assert log.rows[split.test.known].tolist() == [0, 1, 2, 3] * 2  # neither test nor validation
    for fold in split.train:  # the others' third block is known, as it is in the test
        (person,) = {request.user_id for request in fold.requests}
        assert log.rows[fold.known & (log.users == person)].tolist() == [0, 1]
        assert log.rows[fold.known & (log.users != person)].tolist() == [0, 1, 2, 3]
    assert log.rows[split.tower].tolist() == [0, 1] * 2
    last = context_of(log, split.test.requests[1])
    assert last.rows.tolist() == [0, 1, 2, 3, 4, 5, 6]


def test_a_person_with_few_picks_keeps_the_first() -> None:
    log = log_of((1, 0, 3.0, 1.0), (1, 1, 2.0, 1.0), (2, 4, 1.0, 1.0))
    split = leave_last(log, 1, repeats=False)
    assert [request.picked.tolist() for request in split.test.requests] == [[1]]
    assert split.valid.requests == []
    assert log.rows[split.test.known].tolist() == [0, 4]


def test_what_is_seen_again_is_no_last_pick() -> None:
    log = log_of((1, 0, 4.0, 1.0), (1, 1, 3.0, 1.0), (1, 2, 2.0, 1.0), (1, 0, 1.0, 1.0))
    assert leave_last(log, 1, repeats=False).test.requests[0].picked.tolist() == [2]
    assert leave_last(log, 1, repeats=True).test.requests[0].picked.tolist() == [0]


@pytest.mark.parametrize("name", ["leave-last-0", "leave-last-x", "random", "leave-last-51"])
def test_a_split_that_there_is_not_is_said(name: str) -> None:
    log = log_of(*((user, 0, 1.0, 1.0) for user in range(300)))
    with pytest.raises(TrainingFault, match=r"There is no split|must leave out 1 to 50"):
        make_split(name, log, Catalog(name="c"))
