"""Import files into a catalog: read and check everything first, then write all of it or nothing."""

import uuid
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib.postgres.functions import TransactionNow
from django.db import connection, transaction
from django.utils.translation import gettext as _

from catalog import loads
from catalog.errors import database_faults
from catalog.importers import interactions, items, mapping, offers, staging, users
from catalog.importers.merging import Merged, run
from catalog.importers.preview import preview
from catalog.importers.reading import check_file, read
from catalog.importers.report import Report
from catalog.importers.rows import (
    INTERACTIONS,
    ITEMS,
    LAYOUTS,
    OFFERS,
    USERS,
    BadRow,
    Layout,
    Names,
)
from catalog.models import Catalog, Import, LoadState

Say = Callable[[str, int], None]  # (what is going on, rows so far); what it raises ends the import


@dataclass(frozen=True)
class Origin:
    """Who imports, from where, and whether it is only tried."""

    who: str = ""  # a username; '' = a command
    run_id: uuid.UUID | None = None
    is_dry: bool = False  # read, check and merge, and then keep nothing


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

    @property
    def words(self) -> str:
        """The same as a sentence, in the language of the page."""
        told = {
            "kind": _(self.kind),
            "rows": f"{self.rows:,}",
            "added": f"{self.added:,}",
            "changed": f"{self.changed:,}",
            "unchanged": f"{self.unchanged:,}",
            "bad": f"{self.bad:,}",
        }
        return (
            _(
                "%(kind)s: %(rows)s rows: %(added)s new, %(changed)s changed, %(unchanged)s"
                " unchanged, %(bad)s bad."
            )
            % told
        )

    def __str__(self) -> str:
        return (
            f"{self.kind}: {self.rows:,} rows: {self.added:,} new, {self.changed:,} changed,"
            f" {self.unchanged:,} unchanged, {self.bad:,} bad"
        )


@dataclass(frozen=True)
class Outcome:
    """What came of an import."""

    summaries: list[Summary]
    report: Path | None  # the list of bad rows; None = there were none
    first_bad: list[tuple[str, BadRow]]  # (file, row), the first ones of the report
    number: int | None  # of the Import; None = a dry run

    @property
    def bad(self) -> int:
        return sum(summary.bad for summary in self.summaries)


@dataclass
class _Part:
    """One file on its way in."""

    layout: Layout
    path: Path
    names: Names
    load: LoadState | None  # None in a dry run
    rows: int = 0
    bad: int = 0
    merged: Merged | None = field(default=None)

    @property
    def summary(self) -> Summary:
        added = self.merged.added if self.merged else 0
        changed = self.merged.changed if self.merged else 0
        return Summary(self.layout.kind, self.rows, added, changed, self.bad)


def import_files(
    catalog: Catalog,
    *,
    items_file: Path | None = None,
    offers_file: Path | None = None,
    users_file: Path | None = None,
    interactions_file: Path | None = None,
    say: Say = lambda stage, rows: None,
) -> Outcome:
    """Import up to four files whose columns bear our names; see `import_by_kind`."""
    given = {
        "items": items_file,
        "offers": offers_file,
        "users": users_file,
        "interactions": interactions_file,
    }
    return import_by_kind(catalog, {kind: path for kind, path in given.items() if path}, say=say)


@database_faults()
def import_by_kind(
    catalog: Catalog,
    files: Mapping[str, Path],
    *,
    names: Mapping[str, Names] | None = None,
    origin: Origin = Origin(),
    say: Say = lambda stage, rows: None,
) -> Outcome:
    """Import a file of each of these kinds; good rows are kept, bad ones listed in a report.

    Everything is read into temporary tables first, and written in one transaction: a file that
    cannot be read, a full disk or a kill leaves nothing half written. A second run of the same
    files changes nothing.

    Parameters
    ----------
    files
        items, offers, users or interactions → file.
    names
        Kind → which columns of its file have another name with us; see mapping.py.

    Raises
    ------
    CatalogError
        When a file is missing, is none of CSV, JSON Lines and Parquet, or cannot be read; and
        when the database gives up.
    """
    names = names or {}
    wanted = [(layout, files[kind]) for kind, layout in LAYOUTS.items() if kind in files]
    for layout, path in wanted:
        check_file(path)
        mapping.check(names.get(layout.kind, {}), layout.kind)
    parts = [
        _Part(
            layout,
            path,
            names.get(layout.kind, {}),
            None if origin.is_dry else loads.begin(catalog, f"import {layout.kind}", None),
        )
        for layout, path in wanted
    ]
    try:
        with Report(settings.IMPORT_REPORT_DIR, catalog.slug) as report:
            for part in parts:
                _stage(part, report, say)
            number = _merge_all(catalog, parts, report, origin, say)
    except BaseException:
        LoadState.objects.filter(pk__in=[part.load.pk for part in parts if part.load]).delete()
        raise
    finally:
        staging.drop(*LAYOUTS.values())
    for part in parts:
        if part.load:
            told = f"{part.summary.added} new, {part.summary.changed} changed, {part.bad} bad"
            loads.finish(part.load, part.rows, told)
    return Outcome(
        [part.summary for part in parts],
        report.path if report.rows else None,
        report.first,
        number,
    )


def _stage(part: _Part, report: Report, say: Say) -> None:
    """Read one file into its staging table."""

    def bad(row: BadRow) -> None:
        part.bad += 1
        report.add(part.path, row)

    def progress(rows: int) -> None:
        if part.load:
            loads.advance(part.load, rows)
        say(f"read {part.layout.kind}", rows)

    rows = read(part.path, part.layout, part.names)
    part.rows = staging.stage(part.layout, rows, bad, progress)


def _merge_all(
    catalog: Catalog, parts: list[_Part], report: Report, origin: Origin, say: Say
) -> int | None:
    """Write what was staged, in one transaction, or see what that would do; the import's number."""
    if any(part.layout is INTERACTIONS for part in parts):
        interactions.check(catalog)
        if not origin.is_dry:
            interactions.add_months()
    with transaction.atomic():
        lock(catalog)
        number = None if origin.is_dry else _next_number()
        for part in parts:
            say(f"{'check' if origin.is_dry else 'write'} {part.layout.kind}", part.rows)
            part.merged = _merge(catalog, part.layout, number)
            for row in part.merged.bad:
                part.bad += 1
                report.add(part.path, row)
            if part.layout in (ITEMS, OFFERS) and part.merged.added + part.merged.changed:
                catalog.touch_items()
        report.flush()
        if number is None:
            transaction.set_rollback(True)
        else:
            _record(number, catalog, parts, report, origin)
        say("checked" if origin.is_dry else "written", sum(part.rows for part in parts))
    return number


def lock(catalog: Catalog) -> None:
    """One import, or undo of one, of a catalog at a time; to the end of the transaction."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_advisory_xact_lock(hashtextextended(%s, 2))", [f"import {catalog.pk}"]
        )


def _next_number() -> int:
    [(number,)] = run("SELECT nextval(pg_get_serial_sequence('catalog_import', 'id'))", {})
    return int(number)


def _record(
    number: int, catalog: Catalog, parts: list[_Part], report: Report, origin: Origin
) -> None:
    """The row of the import: its rows refer to it already, and are checked at the commit."""
    Import.objects.create(
        pk=number,
        catalog=catalog,
        name=", ".join(part.path.name for part in parts),
        who=origin.who,
        run_id=origin.run_id,
        made_at=TransactionNow(),
        files=[_told(part) for part in parts],
        report=report.path.name if report.rows else "",
    )


def _told(part: _Part) -> dict[str, Any]:
    """What the import's row says of one file."""
    header = mapping.header_digest(preview(part.path).columns) if part.names else ""
    return asdict(part.summary) | {
        "name": part.path.name,
        "header": header,
        "names": dict(part.names),
    }


def _merge(catalog: Catalog, layout: Layout, number: int | None) -> Merged:
    """Merge one staged file; without a number only to see what that does."""
    if layout is ITEMS:
        return items.merge(catalog, number)
    if layout is OFFERS:
        return offers.merge(catalog, number)
    if layout is USERS:
        return users.merge(number=number)
    if number is None:
        return interactions.try_merge(catalog)
    return interactions.merge(catalog, number=number)
