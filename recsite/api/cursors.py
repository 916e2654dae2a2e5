"""Cursors of lists: opaque to programs, so that what they hold may change."""

import base64
import binascii
from collections.abc import Callable
from typing import TypeVar

from recsite.api.problems import InvalidParameter

Place = TypeVar("Place")

LARGEST_ID = 2**63 - 1  # of PostgreSQL's bigint


def write_cursor(*parts: object) -> str:
    """The cursor of a place in a list; no part's text may hold a blank."""
    return base64.urlsafe_b64encode(" ".join(map(str, parts)).encode()).decode()


def read_cursor(cursor: str, read: Callable[[list[str]], Place]) -> Place:
    """The place again; `read` raises ValueError for parts that are none of its list.

    Errors: InvalidParameter (422) for a cursor that this site didn't make.
    """
    try:
        return read(base64.urlsafe_b64decode(cursor.encode()).decode().split(" "))
    except (ValueError, binascii.Error) as error:
        raise InvalidParameter({"cursor": ["Not a cursor of this list."]}) from error


def read_id(text: str) -> int:
    """A database id. Errors: ValueError."""
    number = int(text)
    if not 0 <= number <= LARGEST_ID:
        raise ValueError(f"{number} is no id")
    return number
