"""Work of a few seconds that a page waits for without waiting: it goes on beside the requests.

A page asks, shows “loading”, and asks again. One piece of work at a time in each process, because
each may hold a bundle in memory; what came out is kept for a while, the newest few of it. Where
several web processes answer by turns, each does the work once.
"""

import logging
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from django.conf import settings
from django.utils.translation import get_language, override
from django.utils.translation import gettext as _

from recsite.fresh import in_a_thread

logger = logging.getLogger(__name__)

T = TypeVar("T")
KEPT = 32  # results
MOST_WAITING = 8  # pieces of work


@dataclass(frozen=True)
class Outcome(Generic[T]):
    """What came out: a value, or why there is none."""

    value: T | None
    fault: str = ""


class Beside(Generic[T]):
    """Work by key: begun once, its outcome kept until newer ones push it out."""

    def __init__(self, told: tuple[type[Exception], ...]) -> None:
        self.told = told  # the faults whose message is meant for people
        self._outcomes: OrderedDict[str, Outcome[T]] = OrderedDict()
        self._going_on: set[str] = set()
        self._lock = threading.Lock()
        self._turn = threading.Lock()  # held by the one who works

    def ask(self, key: str, work: Callable[[], T]) -> Outcome[T] | None:
        """What came out of it; None while it goes on, which this begins where it must."""
        with self._lock:
            if key in self._outcomes:
                self._outcomes.move_to_end(key)
                return self._outcomes[key]
            if key in self._going_on:
                return None
            if len(self._going_on) >= MOST_WAITING:
                return Outcome(None, _("Too much is going on beside the pages: ask again soon."))
            self._going_on.add(key)
        language = get_language() or settings.LANGUAGE_CODE  # a thread has none of its own
        self.begin(lambda: self._work(key, work, language))
        with self._lock:
            return self._outcomes.get(key)

    def goes_on(self, key: str) -> bool:
        """Whether somebody is at it."""
        return key in self._going_on

    def forget(self, key: str) -> None:
        """Let the next one who asks begin anew."""
        with self._lock:
            self._outcomes.pop(key, None)

    def begin(self, work: Callable[[], None]) -> None:
        """Start it in a thread; tests put `work()` in this place."""
        in_a_thread(work)

    def _work(self, key: str, work: Callable[[], T], language: str) -> None:
        with self._turn:
            try:
                outcome = Outcome(work())
            except Exception as fault:
                logger.exception("Work beside a page failed: %s", key)
                with override(language):
                    told = _("It failed: %(fault)s.") % {"fault": type(fault).__name__}
                outcome = Outcome[T](None, str(fault) if isinstance(fault, self.told) else told)
        with self._lock:
            self._outcomes[key] = outcome
            self._going_on.discard(key)
            while len(self._outcomes) > KEPT:
                self._outcomes.popitem(last=False)
