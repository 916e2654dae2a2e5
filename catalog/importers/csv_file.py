"""CSV files (RFC 4180, a header in the first row, UTF-8 with or without a byte order mark)."""

import _csv
import csv
import json
from collections.abc import Iterator
from pathlib import Path

from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from catalog.errors import CatalogError
from catalog.importers.rows import (
    BadRow,
    Layout,
    Names,
    Rows,
    StagedRow,
    check_columns,
    check_names,
    check_once,
)

LONGEST_CELL = 16 * 1024 * 1024  # characters; a missing quote would else swallow the whole file


def read(path: Path, layout: Layout, names: Names) -> Rows:
    """Yield the rows below the header; a row that doesn't fit it is bad, the others go on.

    Raises
    ------
    CatalogError
        When the file is empty, or lacks a required column, or names one twice.
    """
    csv.field_size_limit(LONGEST_CELL)
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.reader(file, strict=True)
        header = [name.strip() for name in _header(reader, path)]
        check_names(names, header, path)
        named = [
            (place, names.get(name, name))
            for place, name in enumerate(header)
            if names.get(name) != ""
        ]
        _check_header([name for _, name in named], layout, path)
        at = {name: place for place, name in named}
        places = [at.get(name, -1) for name in layout.columns]
        extra = [
            (place, name)
            for place, name in named
            if layout.keeps_extra and name not in layout.columns
        ]
        for line, cells in _cells(reader):
            if isinstance(cells, BadRow):
                yield cells
            elif len(cells) != len(header):
                yield _torn(line, len(cells), len(header))
            else:
                yield _staged(line, cells, places, extra)


def _torn(line: int, cells: int, columns: int) -> BadRow:
    told = {"cells": cells, "columns": columns}
    return BadRow(
        line, "", gettext_noop("has %(cells)s cells where the header has %(columns)s"), told
    )


def _header(reader: "_csv.Reader", path: Path) -> list[str]:
    try:
        return next(reader)
    except StopIteration:
        told = {"file": path}
        raise CatalogError(
            _("%(file)s is empty; its first row must name the columns.") % told
        ) from None
    except csv.Error as error:
        reason = {"file": path, "reason": error}
        raise CatalogError(_("%(file)s is no CSV file: %(reason)s.") % reason) from None


def _check_header(header: list[str], layout: Layout, path: Path) -> None:
    check_columns(layout.required, header, path)
    check_once(header, path)


def _cells(reader: "_csv.Reader") -> Iterator[tuple[int, list[str] | BadRow]]:
    """Each row with the line that it starts on; blank lines are passed over."""
    while True:
        line = reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield (
                line,
                BadRow(
                    line, "", gettext_noop("cannot be read: %(reason)s"), {"reason": str(error)}
                ),
            )
        else:
            if cells:
                yield line, cells


def _staged(
    line: int, cells: list[str], places: list[int], extra: list[tuple[int, str]]
) -> StagedRow:
    rest = {name: cells[place] for place, name in extra if cells[place]}
    return (
        line,
        *[cells[place] if place >= 0 else None for place in places],
        json.dumps(rest, ensure_ascii=False) if rest else None,
    )
