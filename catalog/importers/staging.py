"""Rows → a temporary table of text columns, by COPY; only what COPY refuses is checked here."""

from collections.abc import Callable
from itertools import islice

from django.db import connection

from catalog.importers.rows import BadRow, Layout, Rows, StagedRow

Progress = Callable[[int], None]  # rows so far
ROWS_A_COPY = 20_000


def table_of(layout: Layout) -> str:
    """The staging table's name; temporary, so each connection has its own."""
    return f"import_{layout.kind}"


def stage(layout: Layout, rows: Rows, bad: Callable[[BadRow], None], progress: Progress) -> int:
    """Copy rows into a fresh staging table.

    Parameters
    ----------
    rows
        From a reader; bad rows among them are handed to `bad`.
    progress
        Told the number of rows after each stretch. It may use the database; `bad` must not, for a
        COPY is under way on the connection.

    Returns
    -------
    int
        How many rows there were, bad ones included.
    """
    name = table_of(layout)
    columns = ", ".join(f'"{column}" text' for column in (*layout.columns, "extra"))
    done = 0
    with connection.cursor() as cursor:
        cursor.execute(f"DROP TABLE IF EXISTS {name}")
        cursor.execute(f"CREATE TEMPORARY TABLE {name} (line bigint, {columns})")
        while stretch := list(islice(rows, ROWS_A_COPY)):
            with cursor.copy(f"COPY {name} FROM STDIN") as copy:
                for row in stretch:
                    if isinstance(row, BadRow):
                        bad(row)
                    elif fault := _refused_by_copy(row):
                        bad(BadRow(int(row[0] or 0), "", fault))
                    else:
                        copy.write_row(row)
            done += len(stretch)
            progress(done)
        cursor.execute(f"ANALYZE {name}")
    return done


def drop(*layouts: Layout) -> None:
    """Let go of staging tables; the connection may live on."""
    with connection.cursor() as cursor:
        for layout in layouts:
            cursor.execute(f"DROP TABLE IF EXISTS {table_of(layout)}, {table_of(layout)}_checked")


def _refused_by_copy(row: StagedRow) -> str:
    """Why PostgreSQL cannot hold this text; '' = it can."""
    for value in row:
        if isinstance(value, str):
            if "\0" in value:
                return "holds a NUL character"
            if not value.isascii() and _has_surrogate(value):
                return "holds half of a surrogate pair, which is no character"
    return ""


def _has_surrogate(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return False
