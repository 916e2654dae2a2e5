"""What the merges of items, offers, users and interactions share."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from django.db import connection

from catalog.importers.rows import BadRow

FAULTS_AT_ONCE = 5000  # rows


@dataclass(frozen=True)
class Merged:
    """What a merge did."""

    added: int
    changed: int
    bad: Iterator[BadRow]  # to be read before the transaction ends


def run(sql: str, parameters: Mapping[str, Any]) -> list[tuple[Any, ...]]:
    """Run one statement; its rows, if it returns any."""
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        return cursor.fetchall() if cursor.description else []


def count(sql: str, parameters: Mapping[str, Any]) -> int:
    """Run one statement that returns no rows; how many it touched."""
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        return int(cursor.rowcount)


def faults(checked_table: str) -> Iterator[BadRow]:
    """The rows that a check refused, in the order of their lines."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT line, fault[1], fault[2] FROM {checked_table}"
            " WHERE fault IS NOT NULL ORDER BY line"
        )
        while rows := cursor.fetchmany(FAULTS_AT_ONCE):
            for line, field, reason in rows:
                yield BadRow(line, field, reason)
