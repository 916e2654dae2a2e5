"""Who changes something now, told to the database, whose triggers write the audit log."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection

SETTING = "recsite.who"  # of the database session; without it, the name of the process stands there


@contextmanager
def acting_as(who: str) -> Iterator[None]:
    """What is written inside is `who`'s doing; two small statements, so not for the hot path."""
    _tell(who)
    try:
        yield
    finally:
        _tell("")


def _tell(who: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT set_config(%s, %s, false)", [SETTING, who])
