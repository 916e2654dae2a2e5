"""The audit log as CSV: a line an entry, for spreadsheets and archives."""

import json
from collections.abc import Iterator

from catalog.models import AuditEntryQuerySet

COLUMNS = ("at", "who", "through", "action", "kind", "label", "catalog", "id", "before", "after")
CHUNK = 500  # rows held in memory


def rows(entries: AuditEntryQuerySet) -> Iterator[tuple[str, ...]]:
    """The cells of COLUMNS of each entry; before and after are JSON."""
    for entry in entries.iterator(CHUNK):
        yield (
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
