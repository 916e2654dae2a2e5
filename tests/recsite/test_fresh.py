"""A look that is taken once every few seconds."""

import itertools
import threading
import time
from collections.abc import Callable

import pytest

from recsite.fresh import Fresh


def test_one_look_for_all_who_ask_within_the_time() -> None:
    def look() -> int:
        time.sleep(0.05)
        return next(numbers)

    numbers = itertools.count()
    fresh = Fresh(look, 60.0)
    found: list[int] = []
    threads = [threading.Thread(target=lambda: found.append(fresh.now())) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [0] * 5


def test_a_new_look_once_it_is_old_or_the_last_one_failed() -> None:
    answers = iter([1, 2])
    fresh = Fresh(lambda: next(answers), 0.0)
    assert [fresh.now(), fresh.now()] == [1, 2]
    failing = Fresh(lambda: next(answers), 60.0)
    for _ in range(2):
        with pytest.raises(StopIteration):
            failing.now()


def test_nobody_waits_for_the_new_look_while_the_last_one_is_no_older_than_that() -> None:
    numbers, may_look = itertools.count(), threading.Event()

    def look() -> int:
        assert may_look.wait(10)
        return next(numbers)

    may_look.set()
    fresh = Fresh(look, 0.0, while_new=60.0)
    assert fresh.now() == 0
    may_look.clear()
    assert [fresh.now(), fresh.now()] == [0, 0]  # one look goes on beside
    may_look.set()
    deadline = time.monotonic() + 10
    while fresh.last() == 0 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert fresh.last() == 1
    assert next(numbers) == 2


def test_what_is_too_old_is_waited_for() -> None:
    numbers = itertools.count()
    fresh = Fresh(lambda: next(numbers), 0.0, while_new=0.01)
    assert fresh.now() == 0
    time.sleep(0.02)
    assert fresh.now() == 1


def test_what_is_known_waits_for_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[Callable[[], None]] = []
    monkeypatch.setattr(Fresh, "begin", lambda look, work: begun.append(work))
    numbers = itertools.count()
    fresh = Fresh(lambda: next(numbers), 0.0)
    assert [fresh.known(60.0), fresh.known(60.0)] == [None, None]
    (work,) = begun  # one look, however many ask
    work()
    assert (fresh.known(60.0), len(begun)) == (0, 1)
    time.sleep(0.01)
    assert (fresh.known(0.0), len(begun)) == (0, 2)  # too old: told, and renewed


def test_looks_that_share_a_turn_go_one_after_another() -> None:
    turn = threading.Lock()
    numbers = itertools.count()
    fresh = Fresh(lambda: next(numbers), 60.0, turn=turn)
    with turn:
        assert fresh.known(60.0) is None
        time.sleep(0.05)
        assert fresh.last() is None
    deadline = time.monotonic() + 10
    while fresh.last() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    assert fresh.last() == 0
