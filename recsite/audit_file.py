"""The audit log as CSV: a line an entry, for spreadsheets and archives."""

import csv
import io
import json
from collections.abc import Iterator

from catalog.models import AuditEntryQuerySet

COLUMNS = ("at", "who", "through", "action", "kind", "label", "catalog", "id", "before", "after")
FORMULA = ("=", "+", "-", "@", "\t", "\r")  # how a cell begins that a spreadsheet would compute
CHUNK = 500  # rows held in memory


def lines(entries: AuditEntryQuerySet) -> Iterator[str]:
    """The heading, then a line an entry; before and after are JSON."""
    yield _line(COLUMNS)
    for entry in entries.iterator(CHUNK):
        yield _line(
            (
                entry.at.isoformat(timespec="milliseconds"),
                entry.who,
                entry.through,
                entry.action,
                entry.kind,
                entry.label,
                entry.catalog,
                entry.row_id,
                json.dumps(entry.before, ensure_ascii=False),
                json.dumps(entry.after, ensure_ascii=False),
            )
        )


def _line(cells: tuple[str, ...]) -> str:
    buffer = io.StringIO()
    csv.writer(buffer).writerow(f"'{cell}" if cell.startswith(FORMULA) else cell for cell in cells)
    return buffer.getvalue()
