"""Work beside a page: begun once, told of, forgotten."""

import threading
import time

from recsite.dashboard import beside
from recsite.dashboard.beside import Beside


class Told(Exception):
    """A fault for people."""


def wait_for(work: Beside[int], key: str) -> beside.Outcome[int]:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        if (outcome := work.ask(key, lambda: 0)) is not None:
            return outcome
        time.sleep(0.01)
    raise AssertionError("it took too long")


def test_it_is_done_once_and_nobody_waits(db: None) -> None:
    work: Beside[int] = Beside((Told,))
    gate, times = threading.Event(), []

    def slow() -> int:
        times.append(1)
        gate.wait(10)
        return 7

    assert work.ask("a", slow) is None
    assert work.ask("a", slow) is None
    assert work.goes_on("a")
    gate.set()
    assert wait_for(work, "a").value == 7
    assert (len(times), work.goes_on("a")) == (1, False)
    work.forget("a")
    work.ask("a", lambda: 8)
    assert wait_for(work, "a").value == 8


def test_faults_are_told_and_others_are_not(db: None) -> None:
    work: Beside[int] = Beside((Told,))

    def fails(fault: Exception) -> int:
        raise fault

    work.ask("a", lambda: fails(Told("Mend it.")))
    work.ask("b", lambda: fails(ValueError("a secret")))
    assert wait_for(work, "a").fault == "Mend it."
    assert wait_for(work, "b").fault == "It failed: ValueError."


def test_the_newest_are_kept(db: None) -> None:
    work: Beside[int] = Beside((Told,))
    for number in range(beside.KEPT + 3):
        work.ask(str(number), lambda: 1)
        wait_for(work, str(number))
    assert len(work._outcomes) == beside.KEPT
