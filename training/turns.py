"""One at a time: runs of different kinds that would do the same work take turns."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection
from django.db.backends.utils import CursorWrapper

from training.handle import RunHandle

ENCODING = 7_001  # first half of the lock's key; the second is the catalog
LOOK_AGAIN = 1.0  # seconds


@contextmanager
def turn_to_encode(handle: RunHandle) -> Iterator[None]:
    """Wait until no other run encodes items of this catalog.

    A training run encodes what is new before it begins; without turns it would encode the same
    items as the refresh that runs beside it. The lock belongs to this connection, so it goes with
    the process, however that ends.
    """
    key = [ENCODING, handle.catalog.pk]
    with connection.cursor() as cursor:
        while not _try(cursor, key):
            handle.check()
            handle.stage("waiting for the run that encodes", 0.0)
            time.sleep(LOOK_AGAIN)
        try:
            yield
        finally:
            cursor.execute("SELECT pg_advisory_unlock(%s, %s)", key)


def _try(cursor: CursorWrapper, key: list[int]) -> bool:
    cursor.execute("SELECT pg_try_advisory_lock(%s, %s)", key)
    return bool(cursor.fetchone()[0])
