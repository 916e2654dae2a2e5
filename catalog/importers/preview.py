"""The first rows of a file, as they stand there: for a person who says what its columns are."""

import csv
import json
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from django.utils.translation import gettext as _

from catalog.errors import CatalogError
from catalog.importers.reading import check_file, unreadable
from catalog.importers.rows import as_text

ROWS = 6
LINES_FOR_COLUMNS = 200  # of JSON Lines, whose objects may each have other names
LONGEST = 120  # characters of a cell


@dataclass(frozen=True)
class Preview:
    """The names of the columns, and a few rows of text."""

    columns: list[str]
    rows: list[list[str]]


def preview(path: Path) -> Preview:
    """Look into a file; a broken row further down is found by the dry run.

    Raises
    ------
    CatalogError
        It is empty, or cannot be read.
    """
    check_file(path)
    with unreadable(path):
        if path.stat().st_size == 0:
            raise CatalogError(_("%(file)s is empty.") % {"file": path})
        found = {".csv": _csv, ".parquet": _parquet}.get(path.suffix.lower(), _jsonl)(path)
    if not found.columns:
        told = {"file": path}
        raise CatalogError(_("%(file)s has no columns; its first row must name them.") % told)
    return found


def _csv(path: Path) -> Preview:
    with path.open(encoding="utf-8-sig", newline="") as file:
        try:
            rows = list(islice(csv.reader(file), ROWS + 1))
        except csv.Error as error:
            told = {"file": path, "reason": error}
            raise CatalogError(_("%(file)s is no CSV file: %(reason)s.") % told) from None
    if not rows:
        raise CatalogError(
            _("%(file)s is empty; its first row must name the columns.") % {"file": path}
        )
    columns = [name.strip() for name in rows[0]]
    return Preview(columns, [[_short(cell) for cell in row[: len(columns)]] for row in rows[1:]])


def _jsonl(path: Path) -> Preview:
    objects = []
    with path.open(encoding="utf-8-sig") as file:
        for text in islice(file, LINES_FOR_COLUMNS):
            try:
                value = json.loads(text)
            except (ValueError, RecursionError):
                continue
            if isinstance(value, dict):
                objects.append(value)
    if not objects:
        told = {"file": path}
        raise CatalogError(_("%(file)s has no JSON object in its first lines.") % told)
    columns = list(dict.fromkeys(name for row in objects for name in row))
    return Preview(columns, [[_short(row.get(name)) for name in columns] for row in objects[:ROWS]])


def _parquet(path: Path) -> Preview:
    try:
        with pq.ParquetFile(path) as file:
            columns = list(file.schema_arrow.names)
            batch = next(file.iter_batches(batch_size=ROWS), None)
    except (pa.ArrowException, OSError) as error:
        told = {"file": path, "reason": str(error).splitlines()[0]}
        raise CatalogError(_("%(file)s cannot be read as Parquet: %(reason)s") % told) from error
    rows = batch.to_pylist() if batch is not None else []
    return Preview(columns, [[_short(row.get(name)) for name in columns] for row in rows])


def _short(value: object) -> str:
    text = as_text(value) or ""
    return text if len(text) <= LONGEST else f"{text[:LONGEST]} …"
