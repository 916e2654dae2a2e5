"""A look that costs something, taken once every few seconds whoever asks."""

import time
from collections.abc import Callable
from threading import Lock
from typing import Generic, TypeVar

T = TypeVar("T")


class Fresh(Generic[T]):
    """What `look` found, and a new look once that is older than `seconds`.

    Whoever asks while somebody looks waits for the same answer. A look that raises is not kept.
    """

    def __init__(self, look: Callable[[], T], seconds: float) -> None:
        self._look = look
        self._seconds = seconds
        self._lock = Lock()
        self._found: tuple[float, T] | None = None  # when, in monotonic seconds, and what

    def now(self) -> T:
        """The last look, or a new one."""
        with self._lock:
            if self._found is None or time.monotonic() - self._found[0] > self._seconds:
                found = self._look()
                self._found = (time.monotonic(), found)
            return self._found[1]
