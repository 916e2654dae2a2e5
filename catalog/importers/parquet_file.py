"""Parquet files. `line` is the number of the row, the first is 1."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from django.utils.translation import gettext as _

from catalog.errors import CatalogError
from catalog.importers.rows import (
    Layout,
    Names,
    Rows,
    as_text,
    check_columns,
    check_names,
    check_once,
    staged,
)

ROWS_AT_ONCE = 20_000


def read(path: Path, layout: Layout, names: Names) -> Rows:
    """Yield the rows, batch by batch: the file may be larger than memory.

    Raises
    ------
    CatalogError
        When this is no Parquet file, or lacks a required column, or names one twice.
    """
    try:
        with pq.ParquetFile(path) as file:
            columns = list(file.schema_arrow.names)
            check_names(names, columns, path)
            kept = [name for name in columns if names.get(name) != ""]
            named = [names.get(name, name) for name in kept]
            check_columns(layout.required, named, path)
            check_once(named, path)
            first = 1
            for batch in file.iter_batches(batch_size=ROWS_AT_ONCE):
                yield from _rows(batch.select(kept).rename_columns(named), layout, first)
                first += batch.num_rows
    except (pa.ArrowException, OSError) as error:
        told = {"file": path, "reason": str(error).splitlines()[0]}
        raise CatalogError(_("%(file)s cannot be read as Parquet: %(reason)s") % told) from error


def rows_of(path: Path) -> int:
    """How many rows its footer says there are; 0 where it cannot be read."""
    try:
        return int(pq.read_metadata(path).num_rows)
    except (pa.ArrowException, OSError):
        return 0


def _rows(batch: "pa.RecordBatch", layout: Layout, first: int) -> Rows:
    extra = [name for name in batch.schema.names if name not in layout.columns]
    if extra and layout.keeps_extra:
        for line, row in enumerate(batch.to_pylist(), start=first):
            yield staged(line, row, layout)
        return
    columns = [
        _texts(batch.column(name)) if name in batch.schema.names else [None] * batch.num_rows
        for name in layout.columns
    ]
    for line, values in enumerate(zip(*columns, strict=True), start=first):
        yield (line, *values, None)


def _texts(column: "pa.Array") -> list[str | None]:
    """A column as text, cast by Arrow where that is what Python would write."""
    if pa.types.is_integer(column.type) or pa.types.is_timestamp(column.type):
        return list(column.cast(pa.string()).to_pylist())
    return [as_text(value) for value in column.to_pylist()]
