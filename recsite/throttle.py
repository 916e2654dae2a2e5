"""Login attempts: a few failures for one name from one address, then a pause.

Each attempt takes one of a few slots in the cache, before the password is looked at, and a success
gives its slot back. Taking a slot is one atomic INSERT in Django's database cache, so that many
attempts sent at the same moment get no more tries than attempts sent one by one.
"""

import hashlib
import time
from dataclasses import dataclass

from django.core.cache import cache

FAILURES = 5  # allowed failures in a window
WINDOW_SECONDS = 300


@dataclass(frozen=True)
class Attempt:
    """A slot taken, or how long to wait until one is free."""

    key: str = ""
    wait_seconds: int = 0  # 0 = go ahead

    def release(self) -> None:
        """Give the slot back: the password was right."""
        cache.delete(self.key)


def _slot_keys(username: str, address: str) -> list[str]:
    """Cache keys of the slots; names are compared without case, and never stored in the clear."""
    who = hashlib.sha256(f"{username.casefold()}\n{address}".encode()).hexdigest()
    return [f"login:{who}:{slot}" for slot in range(FAILURES)]


def take(username: str, address: str) -> Attempt:
    """Take a slot for one attempt; without a free one, say how long to wait."""
    now = time.time()
    keys = _slot_keys(username, address)
    for key in keys:
        if cache.add(key, now + WINDOW_SECONDS, WINDOW_SECONDS):
            return Attempt(key)
    first_free = min(cache.get_many(keys).values(), default=now)
    return Attempt(wait_seconds=max(1, round(first_free - now)))
