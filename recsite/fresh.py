"""A look that costs something, taken once every few seconds whoever asks."""

import logging
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from threading import Lock, Thread
from typing import Generic, TypeVar

from django.db import DatabaseError, connection

logger = logging.getLogger(__name__)

T = TypeVar("T")


def in_a_thread(work: Callable[[], None]) -> None:
    """Start work that goes on beside the request, and let go of its connection afterwards."""

    def and_close() -> None:
        try:
            work()
        finally:
            connection.close()

    Thread(target=and_close, daemon=True).start()


class Fresh(Generic[T]):
    """What `look` found, and a new look once that is older than `seconds`.

    Whoever asks while somebody looks waits for the same answer. With `while_new`, nobody waits as
    long as the last look is no older than that: they get it, and the new look is taken beside them.
    Those that share a `turn` are taken beside one after another. A look that raises is not kept.
    """

    def __init__(
        self,
        look: Callable[[], T],
        seconds: float,
        while_new: float = 0.0,
        turn: AbstractContextManager[object] | None = None,
    ) -> None:
        self._look = look
        self._seconds = seconds
        self._while_new = while_new  # seconds
        self._lock = Lock()
        self._found: tuple[float, T] | None = None  # when, in monotonic seconds, and what
        self._begun = Lock()  # held while a look is taken beside, or waits for its turn
        self._turn = turn or Lock()

    def last(self) -> T | None:
        """The last look, however old; None before the first."""
        return None if self._found is None else self._found[1]

    def is_older_than(self, seconds: float) -> bool:
        """Whether the last look is, or there was none."""
        return self._found is None or time.monotonic() - self._found[0] > seconds

    def known(self, seconds: float) -> T | None:
        """The last look, however old, without waiting; one older than that is renewed beside."""
        if self.is_older_than(seconds):
            self._renew()
        return self.last()

    def now(self) -> T:
        """The last look, or a new one."""
        found = self._found
        if found is not None and not self.is_older_than(self._while_new):
            if self.is_older_than(self._seconds):
                self._renew()
            return found[1]
        return self._taken()

    def begin(self, work: Callable[[], None]) -> None:
        """Start it in a thread; tests put something else in this place."""
        in_a_thread(work)

    def _renew(self) -> None:
        """Begin a look beside, unless one goes on."""
        if self._begun.acquire(blocking=False):
            self.begin(self._beside)

    def _taken(self) -> T:
        with self._lock:
            if self._found is None or self.is_older_than(self._seconds):
                found = self._look()
                self._found = (time.monotonic(), found)
            return self._found[1]

    def _beside(self) -> None:
        try:
            with self._turn:
                self._taken()
        except DatabaseError as fault:  # what was found last stays; anything else is a bug and told
            logger.warning("A look beside the pages failed: %s", fault)
        finally:
            self._begun.release()
