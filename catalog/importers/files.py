"""Import files into a catalog: read and check everything first, then write all of it or nothing."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from django.conf import settings
from django.db import connection, transaction

from catalog import loads
from catalog.errors import CatalogError, database_faults
from catalog.importers import (
    csv_file,
    interactions,
    items,
    jsonl_file,
    offers,
    parquet_file,
    staging,
    users,
)
from catalog.importers.merging import Merged
from catalog.importers.report import Report
from catalog.importers.rows import (
    INTERACTIONS,
    ITEMS,
    OFFERS,
    USERS,
    BadRow,
    Layout,
    Rows,
)
from catalog.models import Catalog, LoadState

READERS: dict[str, Callable[[Path, Layout], Rows]] = {
    ".csv": csv_file.read,
    ".jsonl": jsonl_file.read,
    ".ndjson": jsonl_file.read,
    ".parquet": parquet_file.read,
}
Say = Callable[[str, int], None]  # (what is going on, rows so far)


@dataclass(frozen=True)
class Summary:
    """What came of one file."""

    kind: str
    rows: int
    added: int
    changed: int
    bad: int

    @property
    def unchanged(self) -> int:
        """Good rows that said nothing new."""
        return self.rows - self.added - self.changed - self.bad


@dataclass(frozen=True)
class Outcome:
    """What came of a run."""

    summaries: list[Summary]
    report: Path | None  # the list of bad rows; None = there were none

    @property
    def bad(self) -> int:
        return sum(summary.bad for summary in self.summaries)


@dataclass
class _Part:
    """One file on its way in."""

    layout: Layout
    path: Path
    load: LoadState
    rows: int = 0
    bad: int = 0
    merged: Merged | None = field(default=None)


@database_faults()
def import_files(
    catalog: Catalog,
    *,
    items_file: Path | None = None,
    offers_file: Path | None = None,
    users_file: Path | None = None,
    interactions_file: Path | None = None,
    say: Say = lambda stage, rows: None,
) -> Outcome:
    """Import up to four files; good rows are kept, bad ones listed in a report.

    Everything is read into temporary tables first, and written in one transaction: a file that
    cannot be read, a full disk or a kill leaves nothing half written. A second run of the same
    files changes nothing.

    Raises
    ------
    CatalogError
        When a file is missing, is none of CSV, JSON Lines and Parquet, or cannot be read; and
        when the database gives up.
    """
    given = [
        (ITEMS, items_file),
        (OFFERS, offers_file),
        (USERS, users_file),
        (INTERACTIONS, interactions_file),
    ]
    wanted = [(layout, path) for layout, path in given if path is not None]
    for _, path in wanted:
        _reader(path)
    parts = [
        _Part(layout, path, loads.begin(catalog, f"import {layout.kind}", None))
        for layout, path in wanted
    ]
    try:
        with Report(settings.IMPORT_REPORT_DIR, catalog.slug) as report:
            for part in parts:
                _stage(part, report, say)
            _merge_all(catalog, parts, report, say)
    except BaseException:
        LoadState.objects.filter(pk__in=[part.load.pk for part in parts]).delete()
        raise
    finally:
        staging.drop(*(layout for layout, _ in given))
    summaries = [_finish(part) for part in parts]
    return Outcome(summaries, report.path if report.rows else None)


def _reader(path: Path) -> Callable[[Path, Layout], Rows]:
    if not path.is_file():
        raise CatalogError(f"There is no file {path}.")
    try:
        return READERS[path.suffix.lower()]
    except KeyError:
        raise CatalogError(
            f"{path} ends in none of {', '.join(READERS)}; the ending says how to read it."
        ) from None


def _stage(part: _Part, report: Report, say: Say) -> None:
    """Read one file into its staging table."""

    def bad(row: BadRow) -> None:
        part.bad += 1
        report.add(part.path, row)

    def progress(rows: int) -> None:
        loads.advance(part.load, rows)
        say(f"read {part.layout.kind}", rows)

    part.rows = staging.stage(part.layout, _read(part.path, part.layout), bad, progress)


def _read(path: Path, layout: Layout) -> Rows:
    """The rows of a file; what keeps it from being read is one line."""
    try:
        yield from _reader(path)(path, layout)
    except UnicodeDecodeError as error:
        raise CatalogError(
            f"{path} is not UTF-8 (byte 0x{error.object[error.start]:02x}); save it as UTF-8."
        ) from None
    except OSError as error:
        raise CatalogError(f"{path} cannot be read: {error.strerror or error}.") from error


def _merge_all(catalog: Catalog, parts: list[_Part], report: Report, say: Say) -> None:
    """Write what was staged, in one transaction."""
    if any(part.layout is INTERACTIONS for part in parts):
        interactions.check(catalog)
    with transaction.atomic():
        with connection.cursor() as cursor:  # one import of a catalog at a time
            cursor.execute(
                "SELECT pg_advisory_xact_lock(hashtextextended(%s, 2))", [f"import {catalog.pk}"]
            )
        for part in parts:
            say(f"write {part.layout.kind}", part.rows)
            part.merged = _merge(catalog, part.layout)
            for row in part.merged.bad:
                part.bad += 1
                report.add(part.path, row)
            if part.layout in (ITEMS, OFFERS) and part.merged.added + part.merged.changed:
                catalog.touch_items()
        report.flush()


def _merge(catalog: Catalog, layout: Layout) -> Merged:
    if layout is ITEMS:
        return items.merge(catalog)
    if layout is OFFERS:
        return offers.merge(catalog)
    if layout is USERS:
        return users.merge()
    return interactions.merge(catalog)


def _finish(part: _Part) -> Summary:
    added = part.merged.added if part.merged else 0
    changed = part.merged.changed if part.merged else 0
    summary = Summary(part.layout.kind, part.rows, added, changed, part.bad)
    loads.finish(part.load, part.rows, f"{added} new, {changed} changed, {part.bad} bad")
    return summary
