"""What the merges of items, offers, users and interactions share."""

from collections.abc import Iterator, Mapping, Sequence
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


def noted(merge: str, kind: str, table: str, columns: Sequence[str], *, keep_after: bool) -> str:
    """A merge that also writes down, for undo, which rows it added and what it changed.

    Parameters
    ----------
    merge
        INSERT … ON CONFLICT, without RETURNING.
    columns
        What it may change in `table`.
    keep_after
        Whether undo has to compare with what was written, for want of a time of change.

    The former values are read in the same statement, which sees the table as it was before. Without
    a number of an import (`import` is None: the demo's loads) nothing is written down.
    """
    former = ", ".join(f"'{column}', former.{column}" for column in columns)
    written = ", ".join(f"'{column}', {column}" for column in columns)
    after = f"jsonb_build_object({written})" if keep_after else "NULL::jsonb"
    return f"""
WITH merged AS (
    {merge} RETURNING id, (xmax = 0) AS is_new, {after} AS after
), noted AS (
    INSERT INTO catalog_importedrow (part_of_id, kind, row_id, before, after)
    SELECT %(import)s::bigint, '{kind}', merged.id,
        CASE WHEN NOT merged.is_new THEN jsonb_build_object({former}) END, merged.after
    FROM merged LEFT JOIN {table} AS former ON former.id = merged.id
    WHERE %(import)s::bigint IS NOT NULL
)
SELECT is_new FROM merged
"""


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
