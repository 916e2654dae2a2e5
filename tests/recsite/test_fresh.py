"""A look that is taken once every few seconds."""

import itertools
import threading
import time

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
